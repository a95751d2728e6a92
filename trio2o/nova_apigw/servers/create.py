# SPDX-License-Identifier: Apache-2.0
"""Create servers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.gateway.admin.by_name import NameSource, find_named
from trio2o.gateway.call_pods import pods_of
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.refs import NamedPod, Ref, check_number, hinted_refs, refs
from trio2o.gateway.requested import Requested, flavor_id_of
from trio2o.gateway.translate import PodNames
from trio2o.nova_apigw.hypervisors import BY_HOST, BY_NODE
from trio2o.nova_apigw.quota_errors import over_quota_error
from trio2o.nova_apigw.server_groups.hint import group_prepared_in, pod_of_group
from trio2o.nova_apigw.servers import reschedule
from trio2o.nova_apigw.servers.requested import block_devices, counts, requested_servers
from trio2o.pods.registry import PodView
from trio2o.quota.claims import OverQuota
from trio2o.resources import SERVER, SNAPSHOT, VOLUME
from trio2o.web import json_body
from trio2o.web.call import Answer

#: Most servers of one request that are looked for in a list.
_MAX_BATCH = 20000
_SOURCES = {'volume': VOLUME, 'snapshot': SNAPSHOT}


class CreateServer(Create):
    """Create one server, or several equal ones in one pod."""

    resource = SERVER
    unknown_zone = 'The requested availability zone is not available'
    refuses_null_zone = True

    def resolve(self, creation: Creation) -> NamedPod | None:
        """Find the pod of a server group, of images that are made of snapshots, and of hosts that an admin names.

        :raises BadRequest: the body has too many block devices
        """
        call, server = creation.call, creation.inner
        for key in ('block_device_mapping_v2', 'block_device_mapping'):
            check_number(call, key, block_devices(server, key))
        found = pod_of_group(creation)
        of_devices = [each.get('uuid') for each in block_devices(server) if each.get('source_type') == 'image']
        for named in call.runtime.images.pods_of(call, [server.get('imageRef'), *of_devices]):
            found = _agreed(named, found)
        return self._resolve_hosts(creation, found) if call.context.may_see_all else found

    def _resolve_hosts(self, creation: Creation, found: NamedPod | None) -> NamedPod | None:
        """Find the pod of the hosts and nodes in the body, and give them the names that they have in that pod.

        They may be qualified with their pod, as ``Pod1@compute-1``, in two fields and after the colons of the zone.
        """
        call, server = creation.call, dict(creation.inner)
        zone, *target = (server.get('availability_zone') or '').split(':')
        pods = [pod for pod in pods_of(call) if zone in ('', pod.zone)]

        def name_in_pod(source: NameSource, name: Any) -> Any:
            nonlocal found
            located = find_named(call, source, name, pods) if isinstance(name, str) and name else None
            if located is None:
                return name
            pod, bare_name = located
            found = _agreed(found, (f'{source.title} {name}', pod))
            return bare_name

        for key, source in (('host', BY_HOST), ('hypervisor_hostname', BY_NODE)):
            if key in server:
                server[key] = name_in_pod(source, server[key])
        target[:2] = [name_in_pod(source, name) for source, name in zip((BY_HOST, BY_NODE), target, strict=False)]
        if target:
            server['availability_zone'] = ':'.join([zone, *target])
        if server != creation.inner:
            creation.change_body({**creation.document, creation.key: server})
        return found

    def split_zone(self, text: str) -> tuple[str, str]:
        """Split ``zone:host:node`` after the zone."""
        zone, colon, host = text.partition(':')
        return zone, colon + host

    def affinity_refs(self, creation: Creation) -> list[Ref]:
        """Return the volumes and snapshots for the server, and the servers of a ``same_host`` hint."""
        found: list[Ref] = []
        for mapping in block_devices(creation.inner):
            source = _SOURCES.get(str(mapping.get('source_type')))
            if source is not None:
                found += refs(source, mapping.get('uuid'))
        for mapping in block_devices(creation.inner, 'block_device_mapping'):
            found += refs(VOLUME, mapping.get('volume_id')) + refs(SNAPSHOT, mapping.get('snapshot_id'))
        return found + hinted_refs(creation.call, 'same_host', SERVER)

    def requested(self, creation: Creation) -> Requested:
        return requested_servers(creation.call, creation.inner)

    def replicated_refs(self, creation: Creation) -> list[tuple[str, str]]:
        """Return the flavor and the key pair."""
        flavor_id, key_name = flavor_id_of(creation.inner.get('flavorRef')), creation.inner.get('key_name')
        found = [] if flavor_id is None else [('flavor', flavor_id)]
        return [*found, ('keypair', key_name)] if isinstance(key_name, str) else found

    def soft_affinity_refs(self, creation: Creation) -> list[Ref]:
        """Return the servers of a ``different_host`` hint: only their pod can check it, and any other one meets it."""
        return hinted_refs(creation.call, 'different_host', SERVER)

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error(error)

    def with_count(self, creation: Creation, count: int) -> Any:
        return {**creation.document, creation.key: {**creation.inner, 'max_count': count}}

    def prepared_in(self, creation: Creation, pod: PodView, names: PodNames) -> AbstractContextManager[PodNames]:
        """Prepare the server group of a hint in the pod, and claim its new members."""
        return group_prepared_in(creation, pod, names)

    def batch_query(self, creation: Creation, answer: Answer) -> str | None:
        reservation = json_body.at(answer.json, 'reservation_id')
        if isinstance(reservation, str):
            return urlencode({'reservation_id': reservation})
        _min_count, count = counts(creation.inner)
        if count < 2 or json_body.member(answer, self.resource) is None:
            return None
        # The servers of the request are the newest, except for any that others create now; so read twice as many.
        return urlencode({'limit': min(2 * count, _MAX_BATCH)})

    def created(self, creation: Creation, answer: Answer) -> None:
        """Watch a server that may have to be rescheduled: neither the body nor an admin chose its pod or host."""
        if creation.pod is None and not creation.host:
            reschedule.watch(self, creation, answer)


def _agreed(first: NamedPod | None, second: NamedPod | None) -> NamedPod | None:
    """Return the pod that one or both name; None if neither does.

    :raises RefsDisagree: they name different pods
    """
    if first is not None and second is not None and first[1].id != second[1].id:
        title = second[0][:1].lower() + second[0][1:]
        raise exception.RefsDisagree(f'{first[0]} and {title} are in different pods.')
    return second or first
