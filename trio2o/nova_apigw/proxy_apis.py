# SPDX-License-Identifier: Apache-2.0
"""Proxy APIs: early versions of Nova pass these requests on to Glance, Neutron, Cinder and Ironic.

Pods that share Glance and Neutron have the same images and networks, so any pod can answer. As not all pods share
them, a call about one resource goes to one pod after another until one has it. Requests about volumes and snapshots
go to the pod in their routing.
"""

from __future__ import annotations

from dataclasses import dataclass

from trio2o import exception
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.call_pods import pods_of
from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.create_snapshot import CreateVolumeSnapshot
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.gateway.handlers.offset_list import OffsetList
from trio2o.gateway.requested import Requested, default_type, volume_type, whole_number
from trio2o.gateway.translate import answer_up
from trio2o.nova_apigw.quota_errors import over_quota_error
from trio2o.pods.own_answers import is_about_pod, is_unknown_path
from trio2o.quota.amounts import volume_type_of, with_volume_type
from trio2o.quota.claims import OverQuota
from trio2o.resources import PROXIED_SNAPSHOT, PROXIED_VOLUME, SNAPSHOT
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Handler, Operation

LAST = (2, 35)
LAST_IMAGE_METADATA = (2, 38)


@dataclass(frozen=True)
class ForwardUntilFound:
    """Send the call to one pod after another until one has the resource in the path."""

    def __call__(self, call: Call) -> Answer:
        """
        :raises ServiceUnavailable: no pod that answers has it, and another may have it
        :raises OutcomeUnknown: a write was sent and not answered
        """
        pods = pods_of(call)
        if len(pods) < 2:
            return call_any_pod(call)
        breakers, service = call.runtime.client.breakers, call.service.service_type
        is_read = call.method in ('GET', 'HEAD')
        missing: Answer | None = None
        is_complete = True
        for pod in sorted(pods, key=lambda view: breakers.is_open((view.id, service))):
            names = names_of(call, pod)
            try:
                answer = answer_up(send(call, pod, names=names), names, None)
            except exception.PodError as error:
                if isinstance(error, exception.PodNoAnswer) and not is_read:
                    raise pod_failures.write_outcome_unknown() from error
                is_complete = False
                continue
            if answer.status == 503 or is_unknown_path(answer) or (is_read and is_about_pod(answer)):
                is_complete = False
            elif answer.status != 404:
                return answer
            else:
                missing = missing or answer
        if missing is not None and not is_complete:
            raise pod_failures.maybe_elsewhere('The resource')
        return missing or call_any_pod(call)


class CreateProxiedVolume(Create):
    """Create a volume through Nova."""

    resource = PROXIED_VOLUME
    unknown_zone = "Availability zone '{zone}' is invalid."
    affinity_fields = {'snapshot_id': SNAPSHOT}

    def requested(self, creation: Creation) -> Requested:
        """Return one volume with the size and the type in the body, or else those of its snapshot."""
        call, volume = creation.call, creation.inner
        source = amounts_of(call, SNAPSHOT, volume.get('snapshot_id'))
        found = volume_type(call, volume.get('volume_type') or volume_type_of(source)) or default_type(call)
        amounts = {'volumes': 1, 'gigabytes': whole_number(volume.get('size')) or source.get('gigabytes', 0)}
        return Requested(quota=with_volume_type(amounts, found.name if found is not None else None))

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error(error)


class CreateProxiedSnapshot(CreateVolumeSnapshot):
    """Create a volume snapshot through Nova."""

    resource = PROXIED_SNAPSHOT

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error(error)


_ANY = ForwardToAny()
_FOUND = ForwardUntilFound()


def _rows(
    noun: str, path: str, handler: Handler, *rows: tuple[str, str, str], last: tuple[int, int] = LAST
) -> list[Operation]:
    """Return rows under one path.

    :param rows: name, method, and what follows the path
    """
    return [Operation(f'{noun}.{name}', method, path + rest, handler, max_version=last) for name, method, rest in rows]


_LIST = ('list', 'GET', '')
_DETAIL = ('list_detail', 'GET', '/detail')
_CREATE = ('create', 'POST', '')
_SHOW = ('show', 'GET', '/{id}')
_UPDATE = ('update', 'PUT', '/{id}')
_DELETE = ('delete', 'DELETE', '/{id}')

OPERATIONS = [
    *_rows('images', '/images', _ANY, _LIST, _DETAIL),
    *_rows('images', '/images', _FOUND, _SHOW, _DELETE),
    *_rows(
        'image_metadata',
        '/images/{image_id}/metadata',
        _FOUND,
        _LIST,
        _CREATE,
        ('replace', 'PUT', ''),
        _SHOW,
        _UPDATE,
        _DELETE,
        last=LAST_IMAGE_METADATA,
    ),
    *_rows('baremetal_nodes', '/os-baremetal-nodes', _ANY, _LIST, _CREATE, _DELETE),
    *_rows('baremetal_nodes', '/os-baremetal-nodes', _FOUND, _SHOW),
    *(
        Operation(
            f'baremetal_nodes.action.{key}',
            'POST',
            '/os-baremetal-nodes/{id}/action',
            _ANY,
            action=key,
            max_version=LAST,
        )
        for key in ('add_interface', 'remove_interface')
    ),
    *_rows('baremetal_nodes', '/os-baremetal-nodes/{id}', _ANY, ('action', 'POST', '/action')),
    *_rows('floating_ip_pools', '/os-floating-ip-pools', _ANY, _LIST),
    *_rows('floating_ips', '/os-floating-ips', _ANY, _LIST, _CREATE),
    *_rows('floating_ips', '/os-floating-ips', _FOUND, _SHOW, _DELETE),
    *_rows('networks', '/os-networks', _ANY, _LIST),
    *_rows('networks', '/os-networks', _FOUND, _SHOW),
    *_rows('tenant_networks', '/os-tenant-networks', _ANY, _LIST),
    *_rows('tenant_networks', '/os-tenant-networks', _FOUND, _SHOW),
    *_rows('security_groups', '/os-security-groups', _ANY, _LIST, _CREATE),
    *_rows('security_groups', '/os-security-groups', _FOUND, _SHOW, _UPDATE, _DELETE),
    *_rows('security_group_rules', '/os-security-group-rules', _FOUND, _CREATE, _DELETE),
    *_rows('volumes', '/os-volumes', OffsetList(PROXIED_VOLUME, newest_first=True), _LIST, _DETAIL),
    *_rows('volumes', '/os-volumes', Forward(PROXIED_VOLUME), _SHOW, _DELETE),
    *_rows('volumes', '/os-volumes', CreateProxiedVolume(), _CREATE),
    *_rows('snapshots', '/os-snapshots', OffsetList(PROXIED_SNAPSHOT, newest_first=True), _LIST, _DETAIL),
    *_rows('snapshots', '/os-snapshots', Forward(PROXIED_SNAPSHOT), _SHOW, _DELETE),
    *_rows('snapshots', '/os-snapshots', CreateProxiedSnapshot(), _CREATE),
]
