# SPDX-License-Identifier: Apache-2.0
"""Instance actions of servers. Those from before a move are not in the pod: the move has kept them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trio2o.db import moves as db_moves
from trio2o.gateway.translate import next_link
from trio2o.nova_apigw.servers.forward import ForwardServer
from trio2o.pods.own_answers import is_missing
from trio2o.pods.registry import PodView
from trio2o.resources import Item, normalized_id, parse_time
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.numbers import parse_number

#: Field -> first minor version of Nova that shows it.
_SINCE = {'updated_at': 58}
_EVENTS_SINCE = {'hostId': 62, 'details': 84}
#: Fields of events that only administrators see.
_ADMIN_FIELDS = frozenset({'traceback', 'host', 'details'})
_EVENTS_FOR_ALL = 51
_PAGED = 58


def _earlier(call: Call) -> list[tuple[str, Item]]:
    """Return the pods and the actions of the server from before its moves, the newest first."""
    server_id = normalized_id(call.id)
    if server_id not in call.runtime.registry.snapshot().moved:
        return []
    return db_moves.actions_before(call.runtime.db, server_id)


def _minor(call: Call) -> int:
    return call.version[1] if call.version is not None else 1


def _brief(call: Call, action: Mapping[str, Any]) -> Item:
    return {name: value for name, value in action.items() if name != 'events' and _minor(call) >= _SINCE.get(name, 0)}


@dataclass(frozen=True)
class ListActions(ForwardServer):
    """The pod's actions, and then those from before the moves of the server."""

    def translate(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        answer = super().translate(call, pod, answer)
        document = answer.json
        shown = json_body.objects_at(document, 'instanceActions')
        if not isinstance(document, dict) or document.get('links'):
            # Another page of the pod follows.
            return answer
        earlier = [action for _pod_id, action in _earlier(call)]
        return self._page(call, answer, shown, earlier) if earlier else answer

    def translate_refusal(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        answer = super().translate_refusal(call, pod, answer)
        marker = dict(call.query).get('marker')
        # Other parameters may be wrong, too: the message names the one that the pod refuses.
        if answer.status != 400 or not marker or marker not in json_body.error_message(answer.json):
            return answer
        # The marker may be an action that only the move knows.
        earlier = [action for _pod_id, action in _earlier(call)]
        at = next((at for at, action in enumerate(earlier) if action['request_id'] == marker), None)
        return answer if at is None else self._page(call, Answer.of({}), [], earlier[at + 1 :])

    def _page(self, call: Call, answer: Answer, shown: list[Item], earlier: list[Item]) -> Answer:
        query = dict(call.query) if _minor(call) >= _PAGED else {}
        since, before = (parse_time(query.get(name)) for name in ('changes-since', 'changes-before'))
        for action in earlier:
            changed_at = parse_time(action.get('updated_at')) or parse_time(action.get('start_time'))
            if changed_at is None or (
                (since is None or changed_at >= since) and (before is None or changed_at <= before)
            ):
                shown = [*shown, _brief(call, action)]
        limit = parse_number(query.get('limit', ''))
        document: dict[str, Any] = {'instanceActions': shown[:limit]}
        if limit and len(shown) > limit:
            link = next_link(call.base_url, call.prefix, call.path, call.query, shown[limit - 1]['request_id'])
            document['links'] = [{'rel': 'next', 'href': link}]
        return Answer(200, answer.headers, dump_json(document))


@dataclass(frozen=True)
class ShowAction(ForwardServer):
    """An action that the pod has, or one from before a move of the server."""

    def translate_refusal(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        answer = super().translate_refusal(call, pod, answer)
        if not is_missing(answer):
            return answer
        wanted = call.params['id']
        for pod_id, action in _earlier(call):
            if action['request_id'] == wanted:
                found = _brief(call, action)
                if call.context.may_see_all or _minor(call) >= _EVENTS_FOR_ALL:
                    found['events'] = [self._event(call, pod_id, event) for event in action.get('events') or ()]
                return Answer.of({'instanceAction': found}, headers=call.version_headers)
        return answer

    def _event(self, call: Call, pod_id: str, event: Mapping[str, Any]) -> Item:
        hidden = frozenset() if call.context.may_see_all else _ADMIN_FIELDS
        shown = {
            name: value
            for name, value in event.items()
            if name not in hidden and _minor(call) >= _EVENTS_SINCE.get(name, 0)
        }
        if shown.get('hostId'):
            shown['hostId'] = call.runtime.host_ids.up(pod_id, str(shown['hostId']))
        return shown
