# SPDX-License-Identifier: Apache-2.0
"""What pods have of their own, for admins: services, hosts, clusters, pools, and volumes not managed yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.cinder_apigw.snapshots import CreateSnapshot
from trio2o.concurrency import Deadline
from trio2o.gateway.admin.by_name import ForwardNamed, NameSource, find_named, replaced
from trio2o.gateway.admin.ids import Kind, split_name, top_number
from trio2o.gateway.admin.lists import InfraList
from trio2o.gateway.call_pod import ask_any, names_of, send
from trio2o.gateway.call_pods import Asked as Told
from trio2o.gateway.call_pods import must_be_complete, pods_of, send_in
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import at
from trio2o.gateway.handlers.list import headers_of_many
from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.refs import NamedPod
from trio2o.gateway.translate import PodNames, body_up, zone_up
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.resources import VOLUME, Item
from trio2o.web.call import Answer, Call, dump_json, parse_json
from trio2o.web.operations import Operation


def rename(item: Item, names: PodNames) -> None:
    if 'zone' in item:
        item['zone'] = zone_up(item['zone'], names)


SERVICE = Kind('Service', 'service', 'services', 'Service {id} could not be found.', (), rename=rename)
HOST = Kind('Host', 'host', 'hosts', 'Host {id} could not be found.', (), rename=rename)
CLUSTER = Kind('Cluster', 'cluster', 'clusters', 'Cluster {id} could not be found.', ())
POOL = Kind('Pool', 'pool', 'pools', 'Pool {id} could not be found.', ())
CAPABILITY = Kind('Backend', '', '', "Can't find service: {id}", ())

BY_HOST = NameSource('Host', '/os-services', 'services', 'host', lambda name: [('host', name)])
BY_CLUSTER = NameSource('Cluster', '/clusters', 'clusters', 'name', lambda name: [('name', name)])


@dataclass(frozen=True)
class ForwardBackend:
    """Send the call to the pod of the host or cluster that the body names.

    :ivar places: where they may stand in the body, a cluster last
    """

    host: tuple[str, ...]
    cluster: tuple[str, ...]
    kind: Kind = SERVICE

    def __call__(self, call: Call) -> Answer:
        found = locate(call, self.host, self.cluster, call.json)
        if found is None:
            return ask_any(call)
        pod, place, name, bare = found
        body = None if bare == name else dump_json(replaced(call.json, place, bare))
        answer = send_in(call, pod, f'{BY_HOST.title} {name}', body=body)
        return self.kind.answer_up(call, pod, answer)


def locate(
    call: Call, host: tuple[str, ...], cluster: tuple[str, ...], document: Any
) -> tuple[PodView, tuple[str, ...], str, str] | None:
    """The pod of the backend a document names: pod, where the name stands, the name, and the name in the pod."""
    for place, source in ((cluster, BY_CLUSTER), (host, BY_HOST)):
        name = at(*place)(document) if place else None
        if not isinstance(name, str) or not name:
            continue
        pod, bare = split_name(call, name)
        if pod is None:
            # Services have the host and the backend in their names, volumes the pool too.
            found = find_named(call, source, bare.partition('#')[0])
            if found is None:
                return None
            pod = found[0]
        return pod, place, name, bare
    return None


@dataclass(frozen=True)
class ListManageable:
    """What a backend has that Cinder does not manage: the query names host or cluster."""

    def __call__(self, call: Call) -> Answer:
        query = dict(call.query)
        found = locate(call, ('host',), ('cluster',), query)
        if found is None:
            return ask_any(call)
        pod, place, _name, bare = found
        query[place[0]] = bare
        answer = send_in(call, pod, f'{BY_HOST.title} {bare}', query=urlencode(query))
        return replace(answer, body=body_up(answer.body, names_of(call, pod)))


class ManageVolume(Create):
    """Take over a volume that a backend has and Cinder does not manage, in the pod of the backend."""

    resource = VOLUME
    unknown_zone = "Availability zone '{zone}' is invalid."
    is_dependent = True

    def resolve(self, creation: Creation) -> NamedPod | None:
        """Find the pod of the backend, and give that the name it has in the pod."""
        found = locate(creation.call, ('volume', 'host'), ('volume', 'cluster'), creation.document)
        if found is None:
            return None
        pod, place, name, bare = found
        if bare != name:
            creation.change_body(replaced(creation.document, place, bare))
        return f'Host {name}', pod

    def replicated_refs(self, creation: Creation) -> list[tuple[str, str]]:
        """The volume type."""
        name = creation.inner.get('volume_type')
        return [('volume_type', name)] if isinstance(name, str) else []


@dataclass(frozen=True)
class Broadcast:
    """Tell every pod, or the one that the body names, and put together what they say.

    :ivar lists: keys of the lists in an answer
    :ivar host: where a host may stand in the body; ``cluster``: and a cluster
    """

    lists: tuple[str, ...]
    host: tuple[str, ...]
    cluster: tuple[str, ...] = ()

    def __call__(self, call: Call) -> Answer:
        found = locate(call, self.host, self.cluster, call.json) if call.json else None
        bodies = {pod: call.body for pod in pods_of(call)}
        if found is not None:
            pod, place, _name, bare = found
            bodies = {pod: dump_json(replaced(call.json, place, bare))}
        deadline = Deadline(call.runtime.conf.pods.read_timeout)
        told, first = Told(), None

        def ask(pod: PodView) -> Answer:
            return send(call, pod, body=bodies[pod], timeout=deadline.remaining())

        joined: dict[str, list[Item]] = {name: [] for name in self.lists}
        for pod, answer in ask_all(call.runtime.executor, list(bodies), ask, deadline).items():
            if isinstance(answer, exception.PodError) or answer.status >= 500:
                told.silent.append(pod)
            elif not answer.is_ok:
                told.refusals[pod] = answer
            else:
                first = first or answer
                document = parse_json(answer.body)
                told.documents[pod] = document if isinstance(document, dict) else {}
                for name in self.lists:
                    joined[name] += self._rows(pod, told.documents[pod].get(name) or [])
        must_be_complete(call, told)
        if first is None:
            return told.refusal or ask_any(call)
        if not self.lists:
            return first
        return Answer(first.status, headers_of_many(call, first), dump_json(joined))

    def _rows(self, pod: PodView, rows: Iterable[Item]) -> list[Item]:
        return [{**row, 'id': top_number(row['id'], pod)} if isinstance(row.get('id'), int) else row for row in rows]


def join_filters(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """What all pods let a list be filtered by."""
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
_HOST = ForwardNamed(HOST, BY_HOST)
_CLUSTERS = InfraList(CLUSTER, named=('name',))
_MANAGEABLE = ListManageable()
_LOG = (3, 32)


def manage(name: str, path: str, handler: Create, since: tuple[int, int] | None) -> list[Operation]:
    return [
        Operation(f'{name}.list', 'GET', path, _MANAGEABLE, None, since),
        Operation(f'{name}.list_detail', 'GET', f'{path}/detail', _MANAGEABLE, None, since),
        Operation(f'{name}.create', 'POST', path, handler, None, since),
    ]


OPERATIONS = [
    Operation('services.list', 'GET', '/os-services', InfraList(SERVICE, named=('host',))),
    Operation('services.enable', 'PUT', '/os-services/enable', _BY_HOST),
    Operation('services.disable', 'PUT', '/os-services/disable', _BY_HOST),
    Operation('services.disable_log_reason', 'PUT', '/os-services/disable-log-reason', _BY_HOST),
    Operation('services.freeze', 'PUT', '/os-services/freeze', _BY_EITHER),
    Operation('services.thaw', 'PUT', '/os-services/thaw', _BY_EITHER),
    Operation('services.failover_host', 'PUT', '/os-services/failover_host', _BY_EITHER),
    Operation('services.get_log', 'PUT', '/os-services/get-log', Broadcast(('log_levels',), ('server',)), None, _LOG),
    Operation('services.set_log', 'PUT', '/os-services/set-log', Broadcast((), ('server',)), None, _LOG),
    Operation('hosts.list', 'GET', '/os-hosts', InfraList(HOST, zoned=('zone',))),
    Operation('hosts.show', 'GET', '/os-hosts/{id}', _HOST),
    Operation('hosts.update', 'PUT', '/os-hosts/{id}', _HOST),
    Operation('clusters.list', 'GET', '/clusters', _CLUSTERS, None, (3, 7)),
    Operation('clusters.list_detail', 'GET', '/clusters/detail', _CLUSTERS, None, (3, 7)),
    Operation('clusters.show', 'GET', '/clusters/{id}', ForwardNamed(CLUSTER, BY_CLUSTER), None, (3, 7)),
    Operation(
        'clusters.enable', 'PUT', '/clusters/enable', ForwardNamed(CLUSTER, BY_CLUSTER, ('name',)), None, (3, 7)
    ),
    Operation(
        'clusters.disable', 'PUT', '/clusters/disable', ForwardNamed(CLUSTER, BY_CLUSTER, ('name',)), None, (3, 7)
    ),
    Operation(
        'workers.cleanup',
        'POST',
        '/workers/cleanup',
        Broadcast(('cleaning', 'unavailable'), ('host',), ('cluster_name',)),
        None,
        (3, 24),
    ),
    Operation('scheduler_stats.get_pools', 'GET', '/scheduler-stats/get_pools', InfraList(POOL, named=('name',))),
    Operation('capabilities.show', 'GET', '/capabilities/{id}', ForwardNamed(CAPABILITY, BY_HOST)),
    Operation('resource_filters.list', 'GET', '/resource_filters', Sum(join_filters), None, (3, 33)),
    *manage('manageable_volumes', '/manageable_volumes', ManageVolume(), (3, 8)),
    *manage('manageable_snapshots', '/manageable_snapshots', CreateSnapshot(), (3, 8)),
    *manage('os_volume_manage', '/os-volume-manage', ManageVolume(), None),
    *manage('os_snapshot_manage', '/os-snapshot-manage', CreateSnapshot(), None),
]
