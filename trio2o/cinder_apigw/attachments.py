# SPDX-License-Identifier: Apache-2.0
"""Attachments, which are in the pod of their volume. The pod's own Nova makes most of them."""

from __future__ import annotations

from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.gateway.refs import Ref, refs
from trio2o.resources import ATTACHMENT, SERVER, VOLUME
from trio2o.web.operations import Operation


class AttachmentList(CinderList):
    """``GET /attachments`` and ``GET /attachments/detail``."""

    resource = ATTACHMENT
    #: Attachments do not show their time of creation. The time of attachment is a little later.
    sort_keys = shown_keys(
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
    is_sort_hidden = True
    related = {'volume_id': VOLUME, 'instance_id': SERVER}
    summary_fields = ('id', 'status', 'instance', 'volume_id')

    @property
    def pod_path(self) -> str:
        return '/attachments/detail'


class CreateAttachment(Create):
    """Create an attachment in the pod of its volume."""

    resource = ATTACHMENT
    zone_field = ''
    affinity_fields = {'volume_uuid': VOLUME}
    is_dependent = True

    def known_affinity_refs(self, creation: Creation) -> list[Ref]:
        """Return the server that gets the volume. A bare metal node may be named instead, which has no routing."""
        return refs(SERVER, creation.inner.get('instance_uuid'))


_FORWARD = Forward(ATTACHMENT)
_SINCE = (3, 27)

OPERATIONS = [
    Operation(
        'attachments.list', 'GET', '/attachments', AttachmentList('/attachments', is_detailed=False), None, _SINCE
    ),
    Operation(
        'attachments.list_detail',
        'GET',
        '/attachments/detail',
        AttachmentList('/attachments/detail', is_detailed=True),
        None,
        _SINCE,
    ),
    Operation('attachments.create', 'POST', '/attachments', CreateAttachment(), None, _SINCE),
    Operation('attachments.show', 'GET', '/attachments/{id}', _FORWARD, None, _SINCE),
    Operation('attachments.update', 'PUT', '/attachments/{id}', _FORWARD, None, _SINCE),
    Operation('attachments.delete', 'DELETE', '/attachments/{id}', _FORWARD, None, _SINCE),
    Operation('attachments.action.os-complete', 'POST', '/attachments/{id}/action', _FORWARD, 'os-complete', (3, 44)),
    Operation('attachments.action', 'POST', '/attachments/{id}/action', ForwardToAny(), None, _SINCE),
]
