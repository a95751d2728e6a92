# SPDX-License-Identifier: Apache-2.0
"""Host aggregates of all pods, and one for each pod as a whole: ``ag_<pod name>`` with the pod's zone.

An aggregate is in one pod, as its hosts are. A new one goes to a pod of its zone; without a zone it may be
sent to one by its name, ``Pod2@fast``, and else goes to the first pod that takes anything new. One that has
no host yet moves to the pod of its first host, and keeps its id.
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
from trio2o.gateway.admin.ids import MAX_DIGITS, STEP, AdminResource, bottom_number, split_name
from trio2o.gateway.admin.send import path_with_id, send_to_pod
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.call_pods import call_pods, merged_answer, pods_of, refusal_or_none
from trio2o.gateway.translate import PodNames, zone_up
from trio2o.nova_apigw.hypervisors import BY_HOST, remember
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.json_body import replaced
from trio2o.web.microversion import response_headers
from trio2o.web.numbers import parse_number
from trio2o.web.operations import Operation

PATH = '/os-aggregates'
PREFIX = 'ag_'
ZONE = 'availability_zone'
#: Its routings are of those that are not where their number says.
TYPE = 'aggregate'
_UUID_FROM = (2, 41)
#: More than there can be; a list of routings has to have an end.
_MOST = 10000


def rename(item: Item, names: PodNames) -> None:
    metadata = item.get('metadata')
    for fields in (item, metadata):
        if isinstance(fields, dict) and ZONE in fields:
            fields[ZONE] = zone_up(fields[ZONE], names)


AGGREGATE = AdminResource('Aggregate', 'aggregate', 'aggregates', 'Aggregate {id} could not be found.', rename=rename)


# -- the one that stands for a pod --


def of_pod(call: Call, pod: PodView) -> Item:
    """The aggregate that is the pod. Its id is the pod's number, as no pod has one with the number 0."""
    item: Item = {
        'id': pod.record.number,
        'name': f'{PREFIX}{pod.name}',
        ZONE: pod.zone,
        'hosts': call.runtime.compute_hosts.of(pod),
        'metadata': {ZONE: pod.zone},
        'created_at': _shown(pod.record.created_at),
        'updated_at': _shown(pod.record.updated_at),
        'deleted': False,
        'deleted_at': None,
    }
    if call.version is not None and call.version >= _UUID_FROM:
        item['uuid'] = pod.id
    return item


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec='microseconds')


def _pod_itself(call: Call) -> PodView | None:
    """The pod whose own aggregate the call is about."""
    found = bottom_number(call, call.id)
    return found[0] if found is not None and found[1] == 0 else None


def _read_hosts(call: Call, pods: list[PodView]) -> None:
    """Look which compute hosts the pods have."""
    found = call_pods(call, pods, path='/os-services', query=lambda pod: 'binary=nova-compute')
    for pod, document in found.documents.items():
        remember(call, pod, document.get('services') or [])


# -- where the others are --


@dataclass(frozen=True)
class Place:
    """Where an aggregate is."""

    pod: PodView
    bottom: int
    top: str
    is_moved: bool


def find(call: Call) -> Place | None:
    """Where the aggregate in the path is; None if its id is none."""
    if parse_number(call.id, MAX_DIGITS) is None:
        return None
    moved = routings.get(call.runtime.db, TYPE, call.id)
    if moved is not None and moved.is_live:
        pod = call.runtime.registry.snapshot().by_id.get(moved.pod_id)
        if pod is not None:
            return Place(pod, int(moved.bottom_id), call.id, True)
    found = bottom_number(call, call.id)
    if found is None or found[1] == 0 or found[1] in _moved_in(call, found[0]):
        raise exception.NotFound(AGGREGATE.missing.format(id=call.id))
    return Place(found[0], found[1], call.id, False)


def _moved_in(call: Call, pod: PodView) -> dict[int, str]:
    """Number in the pod -> id, of those that came from elsewhere."""
    rows = routings.list_for_pod(call.runtime.db, TYPE, pod.id, None, _MOST)
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


def _zone_down(call: Call, document: Any, place: tuple[str, ...], pod: PodView) -> Any:
    """A body with the pod's name for its zone.

    :raises Conflict: it names the zone of other pods
    """
    zone = json_body.at(document, *place)
    if not isinstance(zone, str):
        return document
    if zone != pod.zone and zone in call.runtime.registry.snapshot().zones:
        raise exception.Conflict(
            f'The aggregate is in pod {pod.name}, whose hosts are in availability zone {pod.zone}, not in {zone}.'
        )
    if zone != pod.zone or not pod.record.pod_az_name:
        return document
    if not _makes_zone(call, pod):
        raise exception.Conflict(
            f'Hosts of pod {pod.name} are in availability zone {zone} without any aggregate, and one of that zone '
            'would keep servers off all others: leave its zone out.'
        )
    return replaced(document, place, pod.record.pod_az_name)


def _makes_zone(call: Call, pod: PodView) -> bool:
    """Whether the zone of a pod is made by its aggregates, and not the one its hosts are in by default.

    Of a zone that any aggregate names, Nova (``map_az_to_placement_aggregate``) takes hosts of such aggregates alone.
    """
    found = call_pods(call, [pod], path=PATH, query=lambda pod: '')
    if pod not in found.documents:
        return True  # what it says to the request itself is the answer
    zones = [item.get(ZONE) for item in found.documents[pod].get('aggregates') or []]
    return pod.record.pod_az_name in zones


# -- the operations --


def list_aggregates(call: Call) -> Answer:
    pods = pods_of(call)
    if not pods:
        return call_any_pod(call)
    found = call_pods(call, pods)
    refusal = refusal_or_none(call, found)
    if refusal is not None:
        return refusal
    _read_hosts(call, pods)
    items = [of_pod(call, pod) for pod in call.runtime.registry.snapshot().pods]
    for pod, document in found.documents.items():
        moved = _moved_in(call, pod)
        items += [_up(call, pod, item, moved) for item in document.get('aggregates') or []]
    return merged_answer(call, {'aggregates': items}, next(iter(found.answers.values()), None))


def create(call: Call) -> Answer:
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
    made = _made(answer)
    if made is None:
        return answer
    _give_free_id(call, pod, made)
    return _answer_up(call, pod, answer)


def _is_taken(call: Call, name: str) -> bool:
    """Whether an aggregate has a name: of one cloud, they are unique. Who says the pod's name too may have it."""
    found = call_pods(call, pods_of(call), query=lambda pod: '')
    named = {item.get('name') for document in found.documents.values() for item in document.get('aggregates') or []}
    pods = call.runtime.registry.snapshot().pods
    return bool(found.documents) and (name in named or any(name == of_pod(call, pod)['name'] for pod in pods))


def _pod_for(call: Call, zone: Any) -> PodView:
    """The first pod that takes anything new, of the zone if it is one.

    :raises ServiceUnavailable: there is none
    """
    pods = [pod for pod in pods_of(call) if pod.takes_new]
    if zone in call.runtime.registry.snapshot().zones:
        pods = [pod for pod in pods if pod.zone == zone]
    if not pods:
        raise pod_failures.cannot_create('aggregate', zone if isinstance(zone, str) else '')
    return pods[0]


def _made(answer: Answer) -> int | None:
    number = json_body.at(answer.json, 'aggregate', 'id') if answer.is_ok else None
    return number if isinstance(number, int) else None


def _give_free_id(call: Call, pod: PodView, bottom: int) -> None:
    """See to it that a new aggregate has an id of its own.

    Some databases give a number out again once its last owner is gone; one that moved keeps the id made of it.
    """
    top = bottom * STEP + pod.record.number
    taken = routings.get(call.runtime.db, TYPE, str(top))
    if taken is None or not taken.is_live:
        return
    # No pod has the number 0.
    top = bottom * STEP
    while True:
        top += STEP**2
        known = routings.get(call.runtime.db, TYPE, str(top))
        if known is None or not known.is_live:
            return _record(call, str(top), pod, bottom)


def _record(call: Call, top: str, pod: PodView, bottom: int) -> None:
    new = NewRouting(TYPE, top, pod.id, call.context.project_id or '', bottom_id=str(bottom))
    routings.record(call.runtime.db, new)


@dataclass(frozen=True)
class OnAggregate:
    """Send the call to the pod of the aggregate.

    :ivar zone_at: of the zone in the body; ``host_at``: of the host
    """

    zone_at: tuple[str, ...] = ()
    host_at: tuple[str, ...] = ()

    def __call__(self, call: Call) -> Answer:
        try:
            itself = _pod_itself(call)
            if itself is not None:
                return self._on_pod(call, itself)
            place = find(call)
        except exception.NotFound as error:
            return refusal_or_raise(call, PATH, error)
        if place is None:
            return call_any_pod(call)
        document = call.json
        if self.zone_at:
            document = _zone_down(call, document, self.zone_at, place.pod)
        host = self._host(call)
        if host is not None:
            document = replaced(document, self.host_at, host[1])
            if host[0].id != place.pod.id:
                if call.operation.action != 'add_host':
                    raise exception.NotFound(f'Aggregate {call.id} has no host {host[1]}.')
                return self._follow(call, place, host[0], document)
        body = call.body if document is call.json else dump_json(document)
        return self._send(call, place, body)

    def _on_pod(self, call: Call, pod: PodView) -> Answer:
        """What concerns a pod as a whole is the Admin API's."""
        if not call.context.may_see_all:
            return call_any_pod(call)
        if call.method != 'GET':
            raise exception.Conflict(
                f'{PREFIX}{pod.name} stands for the pod {pod.name} and changes with it, through the Admin API.'
            )
        if pod.is_asked:
            _read_hosts(call, [pod])
        return Answer.of({'aggregate': of_pod(call, pod)}, headers=_version_headers(call))

    def _send(self, call: Call, place: Place, body: bytes) -> Answer:
        answer = send_to_pod(
            call, place.pod, f'Aggregate {call.id}', path=path_with_id(call, str(place.bottom)), body=body
        )
        if answer.status == 404 and b'ggregate' in answer.body:
            raise exception.NotFound(AGGREGATE.missing.format(id=call.id))
        if answer.is_ok and call.method == 'DELETE' and place.is_moved:
            routings.mark_deleted(call.runtime.db, TYPE, place.top)
        return _answer_up(call, place.pod, answer)

    def _host(self, call: Call) -> tuple[PodView, str] | None:
        host = json_body.at(call.json, *self.host_at) if self.host_at else None
        return find_named(call, BY_HOST, host) if isinstance(host, str) else None

    def _follow(self, call: Call, place: Place, pod: PodView, document: Any) -> Answer:
        """Move an aggregate that has no host to the pod of its first.

        :raises Conflict: it has hosts, or a zone, where it is
        """
        shown = send_to_pod(
            call, place.pod, f'Aggregate {call.id}', path=f'{PATH}/{place.bottom}', method='GET', body=b''
        )
        if not shown.is_ok:
            return self._send(call, place, dump_json(document))
        aggregate = shown.json['aggregate']
        zone = zone_up(aggregate.get(ZONE), names_of(call, place.pod))
        if aggregate['hosts'] or (zone in call.runtime.registry.snapshot().zones and zone != pod.zone):
            raise exception.Conflict(
                f'Aggregate {call.id} is in pod {place.pod.name} and the host in pod {pod.name}; an aggregate has '
                'hosts of one pod only.'
            )
        moved = self._copy(call, aggregate, zone, pod)
        if isinstance(moved, Answer):
            return moved
        answer = send_to_pod(
            call, pod, f'Aggregate {call.id}', path=f'{PATH}/{moved}/action', body=dump_json(document)
        )
        is_added = answer.is_ok
        here, bottom = (place.pod, place.bottom) if is_added else (pod, moved)
        send_to_pod(call, here, f'Aggregate {call.id}', path=f'{PATH}/{bottom}', method='DELETE', body=b'')
        if not is_added:
            return answer
        if place.is_moved:
            routings.mark_deleted(call.runtime.db, TYPE, place.top)
        _record(call, place.top, pod, moved)
        return _answer_up(call, pod, answer)

    def _copy(self, call: Call, aggregate: Item, zone: Any, pod: PodView) -> int | Answer:
        """The same aggregate in another pod: its number, or the refusal."""
        body: Item = {'name': aggregate['name']}
        if zone and (zone != pod.zone or not pod.record.pod_az_name):
            body[ZONE] = zone
        elif zone and _makes_zone(call, pod):
            body[ZONE] = pod.record.pod_az_name
        what = f'Aggregate {aggregate["name"]}'
        answer = send_to_pod(call, pod, what, path=PATH, method='POST', body=dump_json({'aggregate': body}))
        number = _made(answer)
        if number is None:
            return answer
        metadata = {key: value for key, value in (aggregate.get('metadata') or {}).items() if key != ZONE}
        if metadata:
            action = dump_json({'set_metadata': {'metadata': metadata}})
            send_to_pod(call, pod, what, path=f'{PATH}/{number}/action', method='POST', body=action)
        return number


def _version_headers(call: Call) -> list[tuple[str, str]]:
    return response_headers(call.service, call.version) if call.version else []


def _action(name: str, handler: OnAggregate) -> Operation:
    return Operation(f'aggregates.action.{name}', 'POST', PATH + '/{id}/action', handler, action=name)


_PLAIN = OnAggregate()

OPERATIONS = [
    Operation('aggregates.list', 'GET', PATH, list_aggregates),
    Operation('aggregates.create', 'POST', PATH, create),
    Operation('aggregates.show', 'GET', PATH + '/{id}', _PLAIN),
    Operation('aggregates.update', 'PUT', PATH + '/{id}', OnAggregate(zone_at=('aggregate', ZONE))),
    Operation('aggregates.delete', 'DELETE', PATH + '/{id}', _PLAIN),
    _action('add_host', OnAggregate(host_at=('add_host', 'host'))),
    _action('remove_host', OnAggregate(host_at=('remove_host', 'host'))),
    _action('set_metadata', OnAggregate(zone_at=('set_metadata', 'metadata', ZONE))),
    Operation('aggregates.action', 'POST', PATH + '/{id}/action', _PLAIN),
    Operation('aggregates.cache_images', 'POST', PATH + '/{id}/images', _PLAIN, min_version=(2, 81)),
]
