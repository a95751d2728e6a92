# SPDX-License-Identifier: Apache-2.0
"""split_batch: a list in the body, each item about a resource of its own; each pod gets its part."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from trio2o.concurrency import Deadline
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.translate import answer_up
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.resources import Resource
from trio2o.web.call import Answer, Call
from trio2o.web.microversion import response_headers

LOG = logging.getLogger(__name__)

#: Best answer first when several pods speak of one item.
_RANK = {200: 0, 422: 1, 400: 2, 404: 3}


@dataclass(frozen=True)
class SplitEvents:
    """``POST /os-server-external-events``: each pod gets the events of its servers.

    An event whose server no routing knows goes to every pod: it may have come before the create's own answer.
    """

    server: Resource

    def __call__(self, call: Call) -> Answer:
        events = call.json.get('events') if isinstance(call.json, dict) else None
        if not isinstance(events, list) or not events or not all(_is_event(event) for event in events):
            return call_any_pod(call)
        pods = call.runtime.registry.snapshot().asked(call.service.service_type)
        wanted = self._share(call, events, pods)
        if not wanted:
            return call_any_pod(call)
        deadline = Deadline(call.runtime.conf.pods.read_timeout)

        def ask(pod: PodView) -> Answer:
            body = call.with_body({**call.json, 'events': [events[index] for index in wanted[pod]]}).body
            answer = send(call, pod, body=body, timeout=deadline.remaining())
            return answer_up(answer, names_of(call, pod), None)

        results = ask_all(call.runtime.executor, list(wanted), ask, deadline)
        refusal = next(
            (answer for answer in results.values() if isinstance(answer, Answer) and answer.status in (400, 401, 403)),
            None,
        )
        if refusal is not None:
            return refusal
        outcome = self._outcome(events, wanted, results)
        is_all_well = all(event['code'] == 200 for event in outcome)
        headers = response_headers(call.service, call.version) if call.version else []
        return Answer.of({'events': outcome}, 200 if is_all_well else 207, headers)

    def _share(self, call: Call, events: list[Any], pods: list[PodView]) -> dict[PodView, list[int]]:
        wanted: dict[PodView, list[int]] = defaultdict(list)
        for index, event in enumerate(events):
            route = call.runtime.locator.look_up(self.server.type, event['server_uuid'])
            for pod in pods if route is None else [route.pod]:
                if pod.is_asked:
                    wanted[pod].append(index)
        return dict(wanted)

    def _outcome(
        self, events: list[Any], wanted: dict[PodView, list[int]], results: dict[PodView, Any]
    ) -> list[dict[str, Any]]:
        """Each event with the best code any pod gave it."""
        codes: dict[int, dict[str, Any]] = {}
        for pod, answer in results.items():
            document = answer.json if isinstance(answer, Answer) else None
            told = document.get('events') if isinstance(document, dict) else None
            if not isinstance(told, list) or len(told) != len(wanted[pod]) or not all(map(_has_code, told)):
                LOG.warning('events to pod %s: %s', pod.name, getattr(answer, 'reason', 'no list of events'))
                # Older releases answer 404 for the whole list when they know none of the servers.
                code = 404 if isinstance(answer, Answer) and answer.status == 404 else 422
                told = [{**events[index], 'code': code, 'status': 'failed'} for index in wanted[pod]]
            for index, event in zip(wanted[pod], told, strict=True):
                known = codes.get(index)
                if known is None or _rank(event) < _rank(known):
                    codes[index] = event
        return [codes.get(index, {**event, 'code': 404, 'status': 'failed'}) for index, event in enumerate(events)]


def _is_event(event: Any) -> bool:
    return isinstance(event, dict) and isinstance(event.get('server_uuid'), str)


def _has_code(event: Any) -> bool:
    return isinstance(event, dict) and isinstance(event.get('code'), int)


def _rank(event: dict[str, Any]) -> int:
    return _RANK.get(event.get('code', 422), 2)
