# SPDX-License-Identifier: Apache-2.0
"""Quota sets and classes: set over the whole cloud, and the same in every pod.

One pod checks and answers a change, as for everything that is the same everywhere. But pods compare a new limit
with what they have themselves, so what all of them have is looked at before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.forward import at
from trio2o.gateway.replicate import ReplicatedRead, ReplicatedWrite, Replicator
from trio2o.gateway.send import send
from trio2o.gateway.sum import Sum
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call

MAX_DIGITS = 18
_NO_LIMITS = frozenset({'id', 'tenant_id', 'project_id'})
#: Limits of single things, not of how many there are.
_NOT_COUNTED = frozenset({'per_volume_gigabytes'})


def no_key(call: Call, answer: Answer | None) -> None:
    """Pods show more limits than were set, so what they show is not what is wanted."""
    return None


@dataclass(frozen=True)
class QuotaWrite(ReplicatedWrite):
    """Change limits, or with DELETE have them all forgotten.

    :ivar member: key of the limits in the body
    :ivar usage_query: query that lets a pod show what is used, and ``usage_path``: what follows the path for it;
        both empty: it is not compared with that
    :ivar over: text of the 400 for a limit below what is used: ``{name}``, ``{used}``, ``{limit}``
    """

    member: str = 'quota_set'
    usage_query: str = ''
    usage_path: str = ''
    over: str = ''

    def __call__(self, call: Call) -> Answer:
        if (self.usage_query or self.usage_path) and call.method == 'PUT':
            self._compare(call)
        return super().__call__(call)

    def _name(self, call: Call) -> str:
        """What the limits are recorded by."""
        return call.id

    def _given(self, call: Call) -> dict[str, int]:
        inner = at(self.member)(call.json)
        return limits_of(inner) if isinstance(inner, dict) else {}

    def _compare(self, call: Call) -> None:
        """:raises BadRequest: less is wanted than all pods have together"""
        given = {name: limit for name, limit in self._given(call).items() if limit >= 0 and name not in _NOT_COUNTED}
        if not given:
            return
        runtime = call.runtime
        pods = runtime.registry.snapshot().asked(call.service.service_type)
        deadline = Deadline(runtime.conf.pods.gather_timeout)

        def ask(pod: PodView) -> Answer:
            path = call.path + self.usage_path
            return send(
                call, pod, method='GET', path=path, query=self.usage_query, body=b'', timeout=deadline.remaining()
            )

        used = dict.fromkeys(given, 0)
        for answer in ask_all(runtime.executor, pods, ask, deadline).values():
            document = at(self.member)(answer.json) if isinstance(answer, Answer) and answer.is_ok else None
            if isinstance(document, dict):
                used = {name: used[name] + used_of(document.get(name)) for name in given}
        for name, limit in given.items():
            if limit < used[name]:
                raise exception.BadRequest(self.over.format(name=name, used=used[name], limit=limit))

    def _follow(self, call: Call, pod: PodView, key: str | None, answer: Answer, before: Any) -> None:
        engine: Replicator = call.runtime.sync
        name = self._name(call)
        if answer.is_ok:
            wanted = None
            if call.method != 'DELETE':
                old = engine.wanted(self.kind, name) or {}
                wanted = {'name': name, 'limits': {**old.get('limits', {}), **self._given(call)}}
            engine.want(self.kind, name, wanted, call.context.request_id)
        elif answer.status >= 500:
            engine.find_out(self.kind, None, pod, call.context.request_id)


def limits_of(given: Mapping[str, Any]) -> dict[str, int]:
    """The limits in a body, which may be numbers as text; what is neither is none."""
    limits: dict[str, int] = {}
    for name, value in given.items():
        if isinstance(value, str) and name not in _NO_LIMITS:
            text = value.strip()
            if text.removeprefix('-').isdecimal() and len(text) < MAX_DIGITS:
                limits[name] = int(text)
        elif type(value) is int:
            limits[name] = value
    return limits


def used_of(row: Any) -> int:
    """What a pod shows as used, and as about to be."""
    if not isinstance(row, dict):
        return 0
    return sum(row[name] for name in ('in_use', 'reserved') if isinstance(row.get(name), int))


@dataclass(frozen=True)
class QuotaRead:
    """Show limits as one pod does, and what is used as all pods do together.

    :ivar shows_usage: whether a call asks for what is used
    """

    kind: str
    shows_usage: Callable[[Call], bool]
    member: str = 'quota_set'

    def __call__(self, call: Call) -> Answer:
        if self.shows_usage(call):
            return Sum(self._join)(call)
        return ReplicatedRead(self.kind)(call)

    def _join(self, documents: list[dict[str, Any]]) -> dict[str, Any]:
        """The first pod's limits, and what all have."""
        joined: dict[str, Any] = {}
        for document in documents:
            for name, row in document[self.member].items():
                if not isinstance(row, dict) or name not in joined:
                    joined[name] = dict(row) if isinstance(row, dict) else row
                    continue
                for part in ('in_use', 'reserved', 'allocated'):
                    if part in row:
                        joined[name][part] = joined[name].get(part, 0) + row[part]
        return {self.member: joined}
