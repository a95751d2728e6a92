# SPDX-License-Identifier: Apache-2.0
"""Attachments: in the pod of their volume. Most are made by the pod's own Nova, and met here first."""

from __future__ import annotations

from trio2o.cinder_apigw import paging
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import AskAny, Forward
from trio2o.gateway.handlers.list import Gather
from trio2o.gateway.refs import Ref, refs
from trio2o.resources import ATTACHMENT, SERVER, VOLUME
from trio2o.web.operations import Operation

#: When one was made does not show; when it was attached is the nearest to it.
SORT_KEYS = paging.sort_keys(
    'id',
    'volume_id',
    'updated_at',
    'attached_host',
    'mountpoint',
    'attach_mode',
    'project_id',
    'attach_time',
    'detach_time',
    'connector',
    'connection_info',
    created_at='attached_at',
    attach_status='status',
    instance_uuid='instance',
)


def attachment_list(path: str, *, is_detailed: bool) -> Gather:
    return Gather(
        ATTACHMENT,
        paging.paging(ATTACHMENT, ''),
        SORT_KEYS,
        ('created_at', True),
        path,
        detail_path='/attachments/detail',
        brief=None if is_detailed else paging.brief('id', 'status', 'instance', 'volume_id'),
        all_projects=paging.all_projects,
        narrowed_by=(('volume_id', VOLUME), ('instance_id', SERVER)),
        is_order_hidden=True,
    )


class CreateAttachment(Create):
    """Create an attachment in the pod of its volume."""

    resource = ATTACHMENT
    zone_field = ''
    is_dependent = True

    def affinity_refs(self, creation: Creation) -> list[Ref]:
        return refs(VOLUME, creation.inner.get('volume_uuid'))

    def known_affinity_refs(self, creation: Creation) -> list[Ref]:
        """The server that gets the volume, unless it is bare metal, which has ids of its own."""
        return refs(SERVER, creation.inner.get('instance_uuid'))


_FORWARD = Forward(ATTACHMENT)
_SINCE = (3, 27)

OPERATIONS = [
    Operation(
        'attachments.list', 'GET', '/attachments', attachment_list('/attachments', is_detailed=False), None, _SINCE
    ),
    Operation(
        'attachments.list_detail',
        'GET',
        '/attachments/detail',
        attachment_list('/attachments/detail', is_detailed=True),
        None,
        _SINCE,
    ),
    Operation('attachments.create', 'POST', '/attachments', CreateAttachment(), None, _SINCE),
    Operation('attachments.show', 'GET', '/attachments/{id}', _FORWARD, None, _SINCE),
    Operation('attachments.update', 'PUT', '/attachments/{id}', _FORWARD, None, _SINCE),
    Operation('attachments.delete', 'DELETE', '/attachments/{id}', _FORWARD, None, _SINCE),
    Operation('attachments.action.os-complete', 'POST', '/attachments/{id}/action', _FORWARD, 'os-complete', (3, 44)),
    Operation('attachments.action', 'POST', '/attachments/{id}/action', AskAny(), None, _SINCE),
]
