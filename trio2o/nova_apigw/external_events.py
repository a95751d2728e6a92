# SPDX-License-Identifier: Apache-2.0
"""Server external events: what Neutron and Cinder report about servers.

One request holds events of many servers. Each pod gets the events of its own servers, and the answer lists the
events in the order of the request. An event of a server without a routing goes to every pod: it may arrive before
the create of the server is answered.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Any

from trio2o.concurrency import Deadline
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pods import PodAnswers, call_pods, pods_of
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Item
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

LOG = logging.getLogger(__name__)

#: Codes of an event, best first: if several pods got the event, the best of their codes counts.
_CODES = (200, 422, 400, 404)
#: Statuses with which a pod refuses all events of the request: other pods would refuse it for the same reason.
_REFUSED = (400, 401, 403)

#: Pod -> indexes of its events in the request.
_Shares = dict[PodView, list[int]]


def create_events(call: Call) -> Answer:
    """Send each pod the events of its servers.

    :returns: 200 if every event has the code 200, else 207; or the answer of a pod that refuses the request
    """
    events = call.json.get('events') if isinstance(call.json, dict) else None
    if not isinstance(events, list) or not events or not all(_has_server(event) for event in events):
        return call_any_pod(call)
    shares = _shares(call, events)
    if not shares:
        return call_any_pod(call)
    deadline = Deadline(call.runtime.conf.pods.read_timeout)
    answers = call_pods(
        call, shares, method='POST', body=lambda pod: _body(call, events, shares[pod]), deadline=deadline
    )
    for answer in answers.refusals.values():
        if answer.status in _REFUSED:
            return answer
    results = _merge(events, shares, answers)
    status = 200 if all(event['code'] == 200 for event in results) else 207
    return Answer.of({'events': results}, status, call.version_headers)


def _has_server(event: Any) -> bool:
    return isinstance(event, dict) and isinstance(event.get('server_uuid'), str)


def _shares(call: Call, events: list[Item]) -> _Shares:
    """Return which events each pod gets."""
    shares: _Shares = defaultdict(list)
    pods = pods_of(call)
    routes = call.runtime.locator.look_up_many(SERVER.type, {event['server_uuid']: None for event in events})
    for index, event in enumerate(events):
        route = routes.get(event['server_uuid'])
        for pod in pods if route is None else [route.pod]:
            if not pod.in_maintenance:
                shares[pod].append(index)
    return shares


def _body(call: Call, events: list[Item], indexes: list[int]) -> bytes:
    return call.with_body({**call.json, 'events': [events[index] for index in indexes]}).body


def _merge(events: list[Item], shares: _Shares, answers: PodAnswers) -> list[Item]:
    """Return each event with the best code that a pod gave it."""
    best: dict[int, Item] = {}
    for pod, indexes in shares.items():
        results = _results(pod, answers, len(indexes))
        if results is None:
            # Older releases of Nova answer 404 for the whole request if they know none of the servers.
            code = 404 if pod in answers.refusals and answers.refusals[pod].status == 404 else 422
            results = [_failed(events[index], code) for index in indexes]
        for index, event in zip(indexes, results, strict=True):
            if index not in best or _rank(event) < _rank(best[index]):
                best[index] = event
    return [best.get(index, _failed(event, 404)) for index, event in enumerate(events)]


def _results(pod: PodView, answers: PodAnswers, count: int) -> list[Item] | None:
    """Return a pod's events with their codes; None if its answer does not have them."""
    events = json_body.at(answers.documents.get(pod), 'events')
    results = json_body.objects(events)
    if results == events and len(results) == count and all(isinstance(event.get('code'), int) for event in results):
        return results
    if pod in answers.documents:
        LOG.warning('Pod %s did not return the server external events it was sent', pod.name)
    return None


def _failed(event: Item, code: int) -> Item:
    return {**event, 'code': code, 'status': 'failed'}


def _rank(event: Item) -> int:
    code = event.get('code')
    return _CODES.index(code if code in _CODES else 400)


OPERATIONS = [
    Operation('server_external_events.create', 'POST', '/os-server-external-events', create_events),
]
