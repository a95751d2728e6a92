# SPDX-License-Identifier: Apache-2.0
"""Host aggregates of all pods, and one aggregate for each pod: ``ag_<pod name>`` with the pod's zone.

An aggregate is in one pod, as its hosts are. A new aggregate is created in a pod of its zone. One without a zone may
name its pod, as in ``Pod2@fast``; otherwise it is created in the first pod that takes new resources. An aggregate
without hosts moves to the pod of the first host that is added to it, and keeps its id: a routing then records its pod
and its number there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from trio2o import exception
from trio2o.db import routings
from trio2o.db.records import NewRouting
from trio2o.gateway.admin.by_id import refusal_or_raise
from trio2o.gateway.admin.by_name import find_named
from trio2o.gateway.admin.ids import (
    MAX_DIGITS,
    AdminResource,
    bottom_number,
    free_ids,
    renumber_refusal,
    split_name,
    top_number,
)
from trio2o.gateway.admin.send import path_with_id, place_of, send_to_pod
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import call_pods, merged_answer, pods_of, refusal_or_none
from trio2o.gateway.translate import PodNames, zone_up
from trio2o.nova_apigw.hypervisors import BY_HOST, record_compute_hosts
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.json_body import replaced
from trio2o.web.numbers import parse_number
from trio2o.web.operations import Operation

PATH = '/os-aggregates'
PREFIX = 'ag_'
ZONE = 'availability_zone'
#: Type of the routings of aggregates that are in another pod than their id says.
TYPE = 'aggregate'
_UUID_FROM = (2, 41)
#: More aggregates than a pod can have; a list of routings needs a limit.
_MAX_ROUTINGS = 10000


def translate_zones(item: Item, names: PodNames) -> None:
    """Replace the pod's name of its zone by the one that tenants know, in place."""
    metadata = item.get('metadata')
    for fields in (item, metadata):
        if isinstance(fields, dict) and ZONE in fields:
            fields[ZONE] = zone_up(fields[ZONE], names)


AGGREGATE = AdminResource(
    'Aggregate', 'aggregate', 'aggregates', 'Aggregate {id} could not be found.', rename=translate_zones
)


# -- the aggregates of whole pods --


def of_pod(call: Call, pod: PodView) -> Item:
    """Return the aggregate of a whole pod.

    Its id is that of the number 0 in the pod, which no other aggregate has: those in the pod are numbered from 1.
    """
    item: Item = {
        'id': top_number(0, pod),
        'name': f'{PREFIX}{pod.name}',
        ZONE: pod.zone,
        'hosts': call.runtime.compute_hosts.of(pod),
        'metadata': {ZONE: pod.zone},
        'created_at': _format_time(pod.record.created_at),
        'updated_at': _format_time(pod.record.updated_at),
        'deleted': False,
        'deleted_at': None,
    }
    if call.version is not None and call.version >= _UUID_FROM:
        item['uuid'] = pod.id
    return item


def _format_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec='microseconds')


def _whole_pod(call: Call) -> PodView | None:
    """Return the pod if the path has the id of a whole pod's aggregate, else None."""
    found = bottom_number(call, call.id)
    return found[0] if found is not None and found[1] == 0 else None


def _read_hosts(call: Call, pods: list[PodView]) -> None:
    """Read the compute hosts of pods, and record them."""
    found = call_pods(call, pods, path='/os-services', query=lambda pod: 'binary=nova-compute')
    for pod, document in found.documents.items():
        record_compute_hosts(call, pod, json_body.objects_at(document, 'services'))


# -- all other aggregates --


@dataclass(frozen=True)
class Location:
    """The pod of an aggregate.

    :ivar bottom_id: number of the aggregate in the pod
    :ivar is_moved: whether the pod comes from a routing, as the id is of another pod
    """

    pod: PodView
    bottom_id: int
    top_id: str
    is_moved: bool


def find(call: Call) -> Location | None:
    """Find the pod of the aggregate in the path.

    :returns: None if the id in the path is not a number
    :raises NotFound: no aggregate has this id
    """
    if parse_number(call.id, MAX_DIGITS) is None:
        return None
    moved = routings.get(call.runtime.db, TYPE, call.id)
    if moved is not None and moved.is_live:
        pod = call.runtime.registry.snapshot().by_id.get(moved.pod_id)
        if pod is not None:
            return Location(pod, int(moved.bottom_id), call.id, True)
    found = bottom_number(call, call.id)
    if found is None or found[1] == 0 or found[1] in _moved_in(call, found[0]):
        raise exception.NotFound(AGGREGATE.missing.format(id=call.id))
    return Location(found[0], found[1], call.id, False)


def _moved_in(call: Call, pod: PodView) -> dict[int, str]:
    """Return the aggregates that moved to a pod: number in the pod -> id."""
    rows = routings.list_for_pod(call.runtime.db, TYPE, pod.id, None, _MAX_ROUTINGS)
    return {int(row.bottom_id): row.top_id for row in rows}


def _up(call: Call, pod: PodView, item: Item, moved: Mapping[int, str]) -> Item:
    top = moved.get(item.get('id', 0))
    AGGREGATE.up(item, pod, names_of(call, pod))
    if top is not None:
        item['id'] = int(top)
    return item


def _answer_up(call: Call, pod: PodView, answer: Answer) -> Answer:
    document = answer.json if answer.is_ok else None
    item = json_body.object_at(document, 'aggregate')
    if item is None:
        return answer
    _up(call, pod, item, _moved_in(call, pod))
    return replace(answer, body=dump_json(document))


def _zone_down(call: Call, document: Any, path: tuple[str, ...], pod: PodView) -> Any:
    """Replace the zone in a body by the pod's name of that zone.

    :param path: keys that lead to the zone
    :raises Conflict: the zone is that of other pods
    """
    zone = json_body.at(document, *path)
    if not isinstance(zone, str):
        return document
    if zone != pod.zone and zone in call.runtime.registry.snapshot().zones:
        raise exception.Conflict(
            f'The aggregate is in {place_of(call, pod)}, whose hosts are in availability zone {pod.zone}, '
            f'not in {zone}.'
        )
    if zone != pod.zone or not _zone_in(pod):
        return document
    if not _has_zone_from_aggregates(call, pod):
        raise exception.Conflict(
            f'Hosts of {place_of(call, pod)} are in availability zone {zone} without any aggregate. With an '
            'aggregate of that zone, Nova would use no other hosts: leave out the zone.'
        )
    return replaced(document, path, _zone_in(pod))


def _zone_in(pod: PodView) -> str:
    """Return the name of the pod's zone in its Nova; '' if Nova gets no zone."""
    return pod.zone_in('compute')


def _has_zone_from_aggregates(call: Call, pod: PodView) -> bool:
    """Return whether aggregates put the pod's hosts in its zone. Otherwise it is the default zone of the hosts.

    As soon as one aggregate names a zone, Nova (``map_az_to_placement_aggregate``) uses only hosts of aggregates that
    name it.
    """
    found = call_pods(call, [pod], path=PATH, query=lambda pod: '')
    if pod not in found.documents:
        return True  # The request itself goes to the pod next, which then answers with its error.
    zones = [item.get(ZONE) for item in found.documents[pod].get('aggregates') or []]
    return _zone_in(pod) in zones


# -- the operations --


def list_aggregates(call: Call) -> Answer:
    """List the aggregates of whole pods, then those in the pods."""
    pods = pods_of(call)
    if not pods:
        return call_any_pod(call)
    found = call_pods(call, pods)
    for pod, document in list(found.documents.items()):
        if not isinstance(document.get('aggregates'), list):
            found.reject(call, pod, 'answered without a list')
    refusal = refusal_or_none(call, found)
    if refusal is not None:
        return refusal
    _read_hosts(call, pods)
    items = [of_pod(call, pod) for pod in call.runtime.registry.snapshot().pods if call.context.may_see_all]
    for pod, document in found.documents.items():
        moved = _moved_in(call, pod)
        items += [_up(call, pod, item, moved) for item in json_body.objects_at(document, 'aggregates')]
    return merged_answer(call, {'aggregates': items}, found.first)


def create(call: Call) -> Answer:
    """Create an aggregate in the pod that its name is qualified with, or in one of its zone.

    :raises Conflict: an aggregate has the name, or its pod cannot have the zone
    :raises ServiceUnavailable: no pod takes new resources
    """
    document = call.json
    body = json_body.object_at(document, 'aggregate')
    if body is None or not isinstance(body.get('name'), str):
        return call_any_pod(call)
    pod, name = split_name(call, body['name'])
    if pod is None and _is_taken(call, name):
        raise exception.Conflict(f'Aggregate {name} already exists.')
    zone = body.get(ZONE)
    pod = pod or _pod_for(call, zone)
    document = _zone_down(call, replaced(document, ('aggregate', 'name'), name), ('aggregate', ZONE), pod)
    answer = send_to_pod(call, pod, f'Aggregate {name}', body=dump_json(document))
    bottom_id = _created_id(answer)
    if bottom_id is None:
        return answer
    _assign_id(call, pod, bottom_id)
    return _answer_up(call, pod, answer)


def _is_taken(call: Call, name: str) -> bool:
    """Return whether an aggregate in any pod has the name. In a single cloud names of aggregates are unique.

    A name qualified with a pod is not checked: different pods may have aggregates of the same name.
    """
    found = call_pods(call, pods_of(call), query=lambda pod: '')
    named = [
        item.get('name')
        for document in found.documents.values()
        for item in json_body.objects_at(document, 'aggregates')
    ]
    pods = call.runtime.registry.snapshot().pods
    return bool(found.documents) and (name in named or any(name == of_pod(call, pod)['name'] for pod in pods))


def _pod_for(call: Call, zone: Any) -> PodView:
    """Return the first pod that takes new resources; a pod of the zone if there is such a zone.

    :raises ServiceUnavailable: no pod takes new resources
    """
    pods = [pod for pod in pods_of(call) if pod.is_enabled]
    if zone in call.runtime.registry.snapshot().zones:
        pods = [pod for pod in pods if pod.zone == zone]
    if not pods:
        raise pod_failures.cannot_create('aggregate', zone if isinstance(zone, str) else '')
    return pods[0]


def _created_id(answer: Answer) -> int | None:
    number = json_body.at(answer.json, 'aggregate', 'id') if answer.is_ok else None
    return number if isinstance(number, int) else None


def _assign_id(call: Call, pod: PodView, bottom_id: int) -> None:
    """Assign an unused id to a new aggregate, if the id of its pod and number is used by one that moved away.

    Some databases use the number of a deleted row again. So after an aggregate moved away from the pod, a new one may
    get its number there.
    """
    taken = routings.get(call.runtime.db, TYPE, str(top_number(bottom_id, pod)))
    if taken is None or not taken.is_live:
        return
    for top_id in map(str, free_ids(bottom_id)):
        known = routings.get(call.runtime.db, TYPE, top_id)
        if known is None or not known.is_live:
            return _record(call, top_id, pod, bottom_id)


def _record(call: Call, top_id: str, pod: PodView, bottom_id: int) -> None:
    new = NewRouting(TYPE, top_id, pod.id, call.context.project_id or '', bottom_id=str(bottom_id))
    routings.record(call.runtime.db, new)


def _mark_deleted(call: Call, location: Location) -> None:
    routings.mark_deleted(call.runtime.db, TYPE, location.top_id, location.pod.id, str(location.bottom_id))


@dataclass(frozen=True)
class ForwardAggregate:
    """Send the call to the pod of the aggregate.

    :ivar zone_at: keys that lead to the zone in the body; ``host_at``: to the host
    """

    zone_at: tuple[str, ...] = ()
    host_at: tuple[str, ...] = ()

    def __call__(self, call: Call) -> Answer:
        try:
            whole_pod = _whole_pod(call)
            if whole_pod is not None:
                return self._on_whole_pod(call, whole_pod)
            location = find(call)
        except exception.NotFound as error:
            return refusal_or_raise(call, PATH, error)
        if location is None:
            return call_any_pod(call)
        document = call.json
        if self.zone_at:
            document = _zone_down(call, document, self.zone_at, location.pod)
        host = self._host(call)
        if host is not None:
            document = replaced(document, self.host_at, host[1])
            if host[0].id != location.pod.id:
                if call.operation.action != 'add_host':
                    raise exception.NotFound(f'Aggregate {call.id} has no host {host[1]}.')
                return self._move(call, location, host[0], document)
        body = call.body if document is call.json else dump_json(document)
        return self._send(call, location, body)

    def _on_whole_pod(self, call: Call, pod: PodView) -> Answer:
        """Show the aggregate of a whole pod; only the Admin API can change it."""
        if not call.context.may_see_all:
            return call_any_pod(call)
        if call.method != 'GET':
            raise exception.Conflict(
                f'Aggregate {PREFIX}{pod.name} is the pod {pod.name} itself. Use the Admin API to change the pod.'
            )
        if not pod.in_maintenance:
            _read_hosts(call, [pod])
        return Answer.of({'aggregate': of_pod(call, pod)}, headers=call.version_headers)

    def _send(self, call: Call, location: Location, body: bytes) -> Answer:
        answer = send_to_pod(
            call, location.pod, f'Aggregate {call.id}', path=path_with_id(call, str(location.bottom_id)), body=body
        )
        if answer.status == 404 and b'ggregate' in answer.body:
            raise exception.NotFound(AGGREGATE.missing.format(id=call.id))
        if not answer.is_ok:
            return renumber_refusal(answer, AGGREGATE.title, location.bottom_id, call.id)
        if call.method == 'DELETE' and location.is_moved:
            _mark_deleted(call, location)
        return _answer_up(call, location.pod, answer)

    def _host(self, call: Call) -> tuple[PodView, str] | None:
        host = json_body.at(call.json, *self.host_at) if self.host_at else None
        return find_named(call, BY_HOST, host) if isinstance(host, str) else None

    def _move(self, call: Call, location: Location, pod: PodView, document: Any) -> Answer:
        """Move an aggregate without hosts to the pod of the host that is to be added.

        A copy is created there and gets the host; then the original is deleted. If the host cannot be added, the copy
        is deleted.

        :param document: the request that adds the host
        :raises Conflict: the aggregate has hosts in its pod, or has the zone of other pods
        """
        shown = send_to_pod(
            call, location.pod, f'Aggregate {call.id}', path=f'{PATH}/{location.bottom_id}', method='GET', body=b''
        )
        if not shown.is_ok:
            return self._send(call, location, dump_json(document))
        aggregate = shown.json['aggregate']
        zone = zone_up(aggregate.get(ZONE), names_of(call, location.pod))
        if aggregate['hosts'] or (zone in call.runtime.registry.snapshot().zones and zone != pod.zone):
            raise exception.Conflict(
                f'Aggregate {call.id} is in {place_of(call, location.pod)} and the host in {place_of(call, pod)}; an '
                'aggregate has hosts of one pod only.'
            )
        copy_id = self._copy(call, aggregate, zone, pod)
        if isinstance(copy_id, Answer):
            return copy_id
        answer = send_to_pod(
            call, pod, f'Aggregate {call.id}', path=f'{PATH}/{copy_id}/action', body=dump_json(document)
        )
        is_added = answer.is_ok
        old_pod, old_id = (location.pod, location.bottom_id) if is_added else (pod, copy_id)
        send_to_pod(call, old_pod, f'Aggregate {call.id}', path=f'{PATH}/{old_id}', method='DELETE', body=b'')
        if not is_added:
            return answer
        if location.is_moved:
            _mark_deleted(call, location)
        _record(call, location.top_id, pod, copy_id)
        return _answer_up(call, pod, answer)

    def _copy(self, call: Call, aggregate: Item, zone: Any, pod: PodView) -> int | Answer:
        """Create a copy of an aggregate in another pod.

        :returns: number of the copy; or the pod's answer if it refuses to create it
        """
        body: Item = {'name': aggregate['name']}
        if zone and (zone != pod.zone or not _zone_in(pod)):
            body[ZONE] = zone
        elif zone and _has_zone_from_aggregates(call, pod):
            body[ZONE] = _zone_in(pod)
        title = f'Aggregate {aggregate["name"]}'
        answer = send_to_pod(call, pod, title, path=PATH, method='POST', body=dump_json({'aggregate': body}))
        number = _created_id(answer)
        if number is None:
            return answer
        metadata = {key: value for key, value in (aggregate.get('metadata') or {}).items() if key != ZONE}
        if metadata:
            action = dump_json({'set_metadata': {'metadata': metadata}})
            send_to_pod(call, pod, title, path=f'{PATH}/{number}/action', method='POST', body=action)
        return number


def _action(name: str, handler: ForwardAggregate) -> Operation:
    return Operation(f'aggregates.action.{name}', 'POST', PATH + '/{id}/action', handler, action=name)


_PLAIN = ForwardAggregate()

OPERATIONS = [
    Operation('aggregates.list', 'GET', PATH, list_aggregates),
    Operation('aggregates.create', 'POST', PATH, create),
    Operation('aggregates.show', 'GET', PATH + '/{id}', _PLAIN),
    Operation('aggregates.update', 'PUT', PATH + '/{id}', ForwardAggregate(zone_at=('aggregate', ZONE))),
    Operation('aggregates.delete', 'DELETE', PATH + '/{id}', _PLAIN),
    _action('add_host', ForwardAggregate(host_at=('add_host', 'host'))),
    _action('remove_host', ForwardAggregate(host_at=('remove_host', 'host'))),
    _action('set_metadata', ForwardAggregate(zone_at=('set_metadata', 'metadata', ZONE))),
    Operation('aggregates.action', 'POST', PATH + '/{id}/action', _PLAIN),
    Operation('aggregates.cache_images', 'POST', PATH + '/{id}/images', _PLAIN, min_version=(2, 81)),
]
