# SPDX-License-Identifier: Apache-2.0
"""What is found by a name: of a host, mostly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from trio2o import exception
from trio2o.gateway.admin.ids import AT, Kind, Query, split_name
from trio2o.gateway.call_pod import RETRY_AFTER, ask_any
from trio2o.gateway.call_pods import ask_pods, pods_of, send_in, with_id
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call, dump_json


@dataclass(frozen=True)
class NameSource:
    """Where a name is looked for.

    :ivar path: of a list; ``collection``: its key; ``field``: of the name in an item
    :ivar query: (name) -> a query that finds it
    """

    title: str
    path: str
    collection: str
    name_field: str
    query: Callable[[str], Query]


def find_named(
    call: Call, source: NameSource, name: str, pods: Sequence[PodView] | None = None
) -> tuple[PodView, str] | None:
    """The pod that has a name, and the name in it; None if no pod has it, or none would say.

    :param pods: those that are meant; all, if None
    :raises Conflict: several pods have it
    :raises ServiceUnavailable: a pod does not answer that may have it too
    """
    pod, bare = split_name(call, name)
    if pod is not None:
        return pod, bare
    query = urlencode(source.query(bare), quote_via=quote)
    asked = ask_pods(call, pods_of(call) if pods is None else pods, path=source.path, query=lambda pod: query)
    holders = [
        pod
        for pod, document in asked.documents.items()
        if any(item.get(source.name_field) == bare for item in document.get(source.collection) or [])
    ]
    if len(holders) > 1:
        names = ' or '.join(f'{pod.name}{AT}{bare}' for pod in holders)
        raise exception.Conflict(f'{source.title} {bare} is in more than one pod; say {names}.')
    if asked.silent:
        example = f'{(holders or asked.silent)[0].name}{AT}{bare}'
        raise exception.ServiceUnavailable(
            f'A pod that may have {source.title.lower()} {bare} does not answer; say which is meant, as in {example}.',
            retry_after=RETRY_AFTER,
        )
    return (holders[0], bare) if holders else None


@dataclass(frozen=True)
class ForwardNamed:
    """Send the call to the pod that has a name, which stands in the path or in the body.

    :ivar place: of the name in the body; empty: it is the first id in the path
    :ivar is_repeated: whether its reads are only that, and may be sent twice
    """

    kind: Kind
    source: NameSource
    place: tuple[str, ...] = ()
    is_repeated: bool = True

    def __call__(self, call: Call) -> Answer:
        name = self._name(call)
        found = find_named(call, self.source, name) if name else None
        if found is None:
            return ask_any(call)
        pod, bare = found
        what = f'{self.source.title} {name}'
        if not self.place:
            answer = send_in(call, pod, what, path=with_id(call, bare), is_repeated=self.is_repeated)
        else:
            answer = send_in(call, pod, what, body=None if bare == name else self._body(call, bare))
        return self.kind.answer_up(call, pod, answer)

    def _name(self, call: Call) -> str:
        if not self.place:
            return call.id
        inner = call.json
        for key in self.place:
            inner = inner.get(key) if isinstance(inner, dict) else None
        return inner if isinstance(inner, str) else ''

    def _body(self, call: Call, bare: str) -> bytes:
        return dump_json(replaced(call.json, self.place, bare))


def replaced(document: Any, place: Sequence[str], value: Any) -> Any:
    """A copy of a document with another value in one place."""
    if not place:
        return value
    return {**document, place[0]: replaced(document[place[0]], place[1:], value)}
