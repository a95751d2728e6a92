# SPDX-License-Identifier: Apache-2.0
"""Resources for admins: services, hosts, clusters, pools, and volumes that Cinder does not manage yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from trio2o.cinder_apigw.hosts import BY_CLUSTER, BY_HOST
from trio2o.cinder_apigw.snapshots import CreateSnapshot
from trio2o.concurrency import Deadline
from trio2o.gateway.admin.by_name import ForwardByName, find_named
from trio2o.gateway.admin.ids import AdminResource, split_name, top_number
from trio2o.gateway.admin.lists import AdminList
from trio2o.gateway.admin.send import place_of, send_to_pod
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import PodAnswers, call_pods, merged_headers, pods_of, refusal_or_none
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.refs import NamedPod
from trio2o.gateway.translate import PodNames, body_up, zone_up
from trio2o.pods.registry import PodView
from trio2o.resources import VOLUME, Item
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.json_body import replaced
from trio2o.web.operations import Operation


def translate_zone(item: Item, names: PodNames) -> None:
    """Replace the pod's name of its zone by the one that tenants know, in place."""
    if 'zone' in item:
        item['zone'] = zone_up(item['zone'], names)


SERVICE = AdminResource(
    'Service', 'service', 'services', 'Service {id} could not be found.', (), rename=translate_zone
)
HOST = AdminResource('Host', 'host', 'hosts', 'Host {id} could not be found.', (), rename=translate_zone)
CLUSTER = AdminResource('Cluster', 'cluster', 'clusters', 'Cluster {id} could not be found.', ())
POOL = AdminResource('Pool', 'pool', 'pools', 'Pool {id} could not be found.', ())
CAPABILITY = AdminResource('Backend', '', '', "Can't find service: {id}", ())


@dataclass(frozen=True)
class ForwardBackend:
    """Send the call to the pod of the host or cluster that the body names.

    :ivar host: keys that lead to a host in the body; ``cluster``: to a cluster
    """

    host: tuple[str, ...]
    cluster: tuple[str, ...]
    kind: AdminResource = SERVICE

    def __call__(self, call: Call) -> Answer:
        found = find_backend(call, self.host, self.cluster, call.json)
        if found is None:
            return call_any_pod(call)
        pod, path, name, bare = found
        body = None if bare == name else dump_json(replaced(call.json, path, bare))
        answer = send_to_pod(call, pod, f'{BY_HOST.title} {name}', body=body)
        return self.kind.answer_up(call, pod, answer)


def find_backend(
    call: Call, host: tuple[str, ...], cluster: tuple[str, ...], document: Any
) -> tuple[PodView, tuple[str, ...], str, str] | None:
    """Find the backend in a document.

    :param host: keys that lead to a host; ``cluster``: to a cluster, which counts first
    :returns: its pod, the keys that lead to its name, the name, and the name in the pod; None if no pod has it
    :raises Conflict: several pods have the name
    """
    for path, source in ((cluster, BY_CLUSTER), (host, BY_HOST)):
        name = json_body.at(document, *path) if path else None
        if not isinstance(name, str) or not name:
            continue
        pod, bare = split_name(call, name)
        if pod is None:
            # The host of a service is host@backend; that of a volume also has #pool.
            found = find_named(call, source, bare.partition('#')[0])
            if found is None:
                return None
            pod = found[0]
        return pod, path, name, bare
    return None


@dataclass(frozen=True)
class ListManageable:
    """List what a backend has that Cinder does not manage. The query names the host or the cluster."""

    def __call__(self, call: Call) -> Answer:
        query = dict(call.query)
        found = find_backend(call, ('host',), ('cluster',), query)
        if found is None:
            return call_any_pod(call)
        pod, path, _name, bare = found
        query[path[0]] = bare
        answer = send_to_pod(call, pod, f'{BY_HOST.title} {bare}', query=urlencode(query))
        return replace(answer, body=body_up(answer.body, names_of(call, pod)))


class ManageVolume(Create):
    """Take over a volume that a backend has and Cinder does not manage, in the pod of the backend."""

    resource = VOLUME
    unknown_zone = "Availability zone '{zone}' is invalid."
    is_dependent = True

    def resolve(self, creation: Creation) -> NamedPod | None:
        """Find the pod of the backend, and replace the name of the backend by the one in the pod."""
        found = find_backend(creation.call, ('volume', 'host'), ('volume', 'cluster'), creation.document)
        if found is None:
            return None
        pod, path, name, bare = found
        if bare != name:
            creation.change_body(replaced(creation.document, path, bare))
        return f'Host {name}', pod

    def replicated_refs(self, creation: Creation) -> list[tuple[str, str]]:
        """Return the volume type."""
        name = creation.inner.get('volume_type')
        return [('volume_type', name)] if isinstance(name, str) else []


@dataclass(frozen=True)
class Broadcast:
    """Send the call to every pod, or to the pod of the backend in the body, and merge the answers.

    :ivar lists: keys of the lists in an answer
    :ivar host: keys that lead to a host in the body; ``cluster``: to a cluster
    :ivar is_read: whether the call changes nothing in the pods
    """

    lists: tuple[str, ...]
    host: tuple[str, ...]
    cluster: tuple[str, ...] = ()
    is_read: bool = False

    def __call__(self, call: Call) -> Answer:
        backend = find_backend(call, self.host, self.cluster, call.json) if call.json else None
        bodies = {pod: call.body for pod in pods_of(call)}
        if backend is not None:
            pod, path, _name, bare = backend
            bodies = {pod: dump_json(replaced(call.json, path, bare))}
        found = call_pods(
            call,
            bodies,
            method=call.method,
            body=bodies.__getitem__,
            may_be_empty=True,
            deadline=Deadline(call.runtime.conf.pods.read_timeout),
        )
        for pod, document in list(found.documents.items()):
            if not all(isinstance(document.get(name), list) for name in self.lists):
                found.reject(call, pod, f'answered without {" and ".join(self.lists)}')
        if not self.is_read:
            _check_carried_out(call, found)
        refusal = refusal_or_none(call, found)
        if refusal is not None:
            return refusal
        first = found.first
        if first is None:
            return call_any_pod(call)
        if not self.lists:
            return first
        merged = {
            name: [
                _up(row, pod)
                for pod, document in found.documents.items()
                for row in json_body.objects_at(document, name)
            ]
            for name in self.lists
        }
        return Answer(first.status, merged_headers(call, first), dump_json(merged))


def _check_carried_out(call: Call, found: PodAnswers) -> None:
    """Raise an error if a write may have been carried out in some pods only. No option lets a write skip pods.

    :raises OutcomeUnknown: no clear answer came from a pod
    :raises ServiceUnavailable: the write was not sent to all pods
    """
    if found.unclear:
        raise pod_failures.outcome_unknown_in_parts([place_of(call, pod) for pod in found.unclear])
    if found.unreachable and found.documents:
        raise pod_failures.carried_out_in_part()


def _up(row: Item, pod: PodView) -> Item:
    return {**row, 'id': top_number(row['id'], pod)} if type(row.get('id')) is int else row


def join_filters(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Keep the resources and their filters that all pods support."""
    rows = [{row['resource']: row['filters'] for row in document['resource_filters']} for document in documents]
    return {
        'resource_filters': [
            {
                'resource': name,
                'filters': [each for each in filters if all(each in other.get(name, ()) for other in rows[1:])],
            }
            for name, filters in rows[0].items()
            if all(name in other for other in rows[1:])
        ]
    }


_BY_HOST = ForwardBackend(('host',), ())
_BY_EITHER = ForwardBackend(('host',), ('cluster',))
_HOST = ForwardByName(HOST, BY_HOST)
_CLUSTERS = AdminList(CLUSTER, named=('name',))
_MANAGEABLE = ListManageable()
_LOG = (3, 32)
_GET_LOG = Broadcast(('log_levels',), ('server',), is_read=True)


def rows_of_manageable(name: str, path: str, handler: Create, since: tuple[int, int] | None) -> list[Operation]:
    """Return the rows of resources that Cinder may take over."""
    return [
        Operation(f'{name}.list', 'GET', path, _MANAGEABLE, None, since),
        Operation(f'{name}.list_detail', 'GET', f'{path}/detail', _MANAGEABLE, None, since),
        Operation(f'{name}.create', 'POST', path, handler, None, since),
    ]


OPERATIONS = [
    Operation('services.list', 'GET', '/os-services', AdminList(SERVICE, named=('host',))),
    Operation('services.enable', 'PUT', '/os-services/enable', _BY_HOST),
    Operation('services.disable', 'PUT', '/os-services/disable', _BY_HOST),
    Operation('services.disable_log_reason', 'PUT', '/os-services/disable-log-reason', _BY_HOST),
    Operation('services.freeze', 'PUT', '/os-services/freeze', _BY_EITHER),
    Operation('services.thaw', 'PUT', '/os-services/thaw', _BY_EITHER),
    Operation('services.failover_host', 'PUT', '/os-services/failover_host', _BY_EITHER),
    Operation('services.get_log', 'PUT', '/os-services/get-log', _GET_LOG, None, _LOG),
    Operation('services.set_log', 'PUT', '/os-services/set-log', Broadcast((), ('server',)), None, _LOG),
    Operation('hosts.list', 'GET', '/os-hosts', AdminList(HOST, zoned=('zone',))),
    Operation('hosts.show', 'GET', '/os-hosts/{id}', _HOST),
    Operation('hosts.update', 'PUT', '/os-hosts/{id}', _HOST),
    Operation('clusters.list', 'GET', '/clusters', _CLUSTERS, None, (3, 7)),
    Operation('clusters.list_detail', 'GET', '/clusters/detail', _CLUSTERS, None, (3, 7)),
    Operation('clusters.show', 'GET', '/clusters/{id}', ForwardByName(CLUSTER, BY_CLUSTER), None, (3, 7)),
    Operation(
        'clusters.enable', 'PUT', '/clusters/enable', ForwardByName(CLUSTER, BY_CLUSTER, ('name',)), None, (3, 7)
    ),
    Operation(
        'clusters.disable', 'PUT', '/clusters/disable', ForwardByName(CLUSTER, BY_CLUSTER, ('name',)), None, (3, 7)
    ),
    Operation(
        'workers.cleanup',
        'POST',
        '/workers/cleanup',
        Broadcast(('cleaning', 'unavailable'), ('host',), ('cluster_name',)),
        None,
        (3, 24),
    ),
    Operation('scheduler_stats.get_pools', 'GET', '/scheduler-stats/get_pools', AdminList(POOL, named=('name',))),
    Operation('capabilities.show', 'GET', '/capabilities/{id}', ForwardByName(CAPABILITY, BY_HOST)),
    Operation('resource_filters.list', 'GET', '/resource_filters', Sum(join_filters), None, (3, 33)),
    *rows_of_manageable('manageable_volumes', '/manageable_volumes', ManageVolume(), (3, 8)),
    *rows_of_manageable('manageable_snapshots', '/manageable_snapshots', CreateSnapshot(), (3, 8)),
    *rows_of_manageable('os_volume_manage', '/os-volume-manage', ManageVolume(), None),
    *rows_of_manageable('os_snapshot_manage', '/os-snapshot-manage', CreateSnapshot(), None),
]
