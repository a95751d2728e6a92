# SPDX-License-Identifier: Apache-2.0
"""pod_infra: what every pod has of its own, seen by admins as if it were one cloud's.

Whole numbers serve as ids in every pod, so the top's are made of the pod's and of the pod's number, which
never changes: ``top = bottom * 1000 + number``. Names (of hosts) stay as they are. One that is in several
pods has to be qualified with the pod's name, ``Pod1@compute-1``, and may always be.

Who may ask is for the pods to decide: they are asked with the caller's token, and their refusal is the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.gather import headers_of_many
from trio2o.gateway.resource import Item
from trio2o.gateway.send import RETRY_AFTER, ask_any, names_of, send
from trio2o.gateway.translate import PodNames, answer_up, body_up, next_link
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call, dump_json, parse_json

LOG = logging.getLogger(__name__)

#: Pods have numbers below this; they are given out from 1 and used again.
STEP = 1000
#: Stands between a pod's name and a name in it: no host name has it, and URLs and arguments may.
AT = '@'
#: Longer numbers are nobody's id.
MAX_DIGITS = 18
MAX_PAGES = 1000

Query = list[tuple[str, str]]
#: Puts an item of a pod into the top's terms, in place, beyond links and numbers.
Rename = Callable[[Item, PodNames], None]


def top_number(bottom: int, pod: PodView) -> int:
    return bottom * STEP + pod.record.number


def bottom_number(call: Call, text: str) -> tuple[PodView, int] | None:
    """The pod and its number that a number of the top stands for; None if it stands for nothing."""
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_DIGITS:
        return None
    bottom, number = divmod(int(text), STEP)
    for pod in call.runtime.registry.snapshot().pods:
        if pod.record.number == number:
            return pod, bottom
    return None


def split_name(call: Call, name: str) -> tuple[PodView | None, str]:
    """A name as it was qualified: its pod, or None, and the name in it."""
    pod_name, at, rest = name.partition(AT)
    if at:
        for pod in call.runtime.registry.snapshot().pods:
            if pod.name == pod_name:
                return pod, rest
    return None, name


@dataclass(frozen=True)
class Kind:
    """A kind of thing that every pod has of its own.

    :ivar member: key of one in a body; ``collection``: key of many
    :ivar numbers: places of its ids that are whole numbers in some version
    :ivar missing: text of the 404, with ``{id}``
    :ivar uuids_from: version from which its id is a UUID, if it ever is
    :ivar rename: puts an item into the top's terms beyond links and numbers
    """

    title: str
    member: str
    collection: str
    missing: str
    numbers: tuple[tuple[str, ...], ...] = (('id',),)
    uuids_from: tuple[int, int] | None = None
    rename: Rename | None = None

    def has_uuids(self, call: Call) -> bool:
        return self.uuids_from is not None and call.version is not None and call.version >= self.uuids_from

    def up(self, item: Item, pod: PodView, names: PodNames) -> None:
        """Put an item of a pod into the top's terms, in place."""
        for *place, last in self.numbers:
            inner: Any = item
            for key in place:
                inner = inner.get(key) if isinstance(inner, dict) else None
            if isinstance(inner, dict) and type(inner.get(last)) is int:
                inner[last] = top_number(inner[last], pod)
        if self.rename is not None:
            self.rename(item, names)

    def answer_up(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """A pod's answer about one of these in the top's terms."""
        names = names_of(call, pod)
        answer = answer_up(answer, names, None)
        document = parse_json(answer.body) if answer.is_ok else None
        item = document.get(self.member) if isinstance(document, dict) else None
        if not isinstance(item, dict):
            return answer
        self.up(item, pod, names)
        return replace(answer, body=dump_json(document))


# -- asking --


@dataclass
class Asked:
    """What pods said when all were asked the same.

    :ivar documents: of those that had something to say, in the order of their numbers
    :ivar refusals: answers of those that had not
    :ivar silent: those that gave no answer
    """

    documents: dict[PodView, dict[str, Any]] = field(default_factory=dict)
    answers: dict[PodView, Answer] = field(default_factory=dict)
    refusals: dict[PodView, Answer] = field(default_factory=dict)
    silent: list[PodView] = field(default_factory=list)

    @property
    def refusal(self) -> Answer | None:
        """The refusal that tells most: one that is not a mere 404, if there is one."""
        return min(self.refusals.values(), key=lambda answer: answer.status == 404, default=None)


def pods_of(call: Call) -> list[PodView]:
    pods: list[PodView] = call.runtime.registry.snapshot().asked(call.service.service_type)
    return pods


def ask_pods(
    call: Call,
    pods: Sequence[PodView],
    *,
    path: str | None = None,
    query: Callable[[PodView], str] | None = None,
    deadline: Deadline | None = None,
) -> Asked:
    """Ask pods for the same, all at once; links in what they tell are the top's."""
    deadline = deadline or Deadline(call.runtime.conf.pods.gather_timeout)

    def ask(pod: PodView) -> Answer:
        return send(
            call,
            pod,
            method='GET',
            path=path,
            query=None if query is None else query(pod),
            body=b'',
            timeout=deadline.remaining(),
        )

    asked = Asked()
    for pod, answer in sorted(
        ask_all(call.runtime.executor, pods, ask, deadline).items(), key=lambda row: row[0].record.number
    ):
        if isinstance(answer, Answer) and answer.is_ok:
            document = parse_json(body_up(answer.body, names_of(call, pod)))
            if isinstance(document, dict):
                asked.documents[pod] = document
                asked.answers[pod] = answer
                continue
        elif isinstance(answer, Answer) and answer.status < 500:
            asked.refusals[pod] = answer
            continue
        LOG.warning('%s without pod %s', call.operation.name, pod.name)
        asked.silent.append(pod)
    return asked


def must_be_complete(call: Call, asked: Asked) -> None:
    """:raises ServiceUnavailable: nobody answered, or not everybody did and everybody has to"""
    if not asked.silent:
        return
    if not asked.documents and not asked.refusals:
        raise exception.ServiceUnavailable('No part of this cloud can be reached now.', retry_after=RETRY_AFTER)
    if not call.runtime.conf[call.service.name].list_records_by_skipping_down_pods:
        raise exception.ServiceUnavailable(
            'A part of this cloud does not answer, and the answer would not be complete.', retry_after=RETRY_AFTER
        )


def send_in(
    call: Call,
    pod: PodView,
    what: str,
    *,
    path: str | None = None,
    query: str | None = None,
    body: bytes | None = None,
    method: str | None = None,
    is_repeated: bool = True,
) -> Answer:
    """Send a call to the one pod it is for.

    :param what: what it is about, for the error
    :param is_repeated: whether a read may be sent twice
    :raises ServiceUnavailable: the pod is not reached, or in maintenance
    :raises OutcomeUnknown: a write was sent and nothing came back
    """
    if not pod.is_asked:
        raise exception.ServiceUnavailable(f'{what} is in pod {pod.name}, which is under maintenance.')
    try:
        return send(call, pod, path=path, query=query, body=body, method=method, is_repeated=is_repeated)
    except exception.PodError as error:
        if isinstance(error, exception.PodNoAnswer) and (method or call.method) not in ('GET', 'HEAD'):
            raise exception.OutcomeUnknown(
                f'{what} is in pod {pod.name}, which did not answer in time. The request may or may not have been '
                'carried out.'
            ) from error
        raise exception.ServiceUnavailable(
            f'{what} is in pod {pod.name}, which cannot be reached now.', retry_after=RETRY_AFTER
        ) from error


# -- one --


@dataclass(frozen=True)
class ForwardInfra:
    """Send the call to the pod of the thing whose id is the first in the path.

    :ivar kind: what it is
    :ivar is_shown: whether ``GET path/{id}`` shows one; otherwise it is looked for in the list at ``path``
    """

    kind: Kind
    path: str
    is_shown: bool = True

    def __call__(self, call: Call) -> Answer:
        if self.kind.has_uuids(call):
            if not uuidutils.is_uuid_like(call.id):
                return ask_any(call)
            pod, bottom_id = self._holder(call), call.id
        else:
            if not call.id.lstrip('-').isdecimal():
                return ask_any(call)
            found = bottom_number(call, call.id)
            if found is None or found[1] == 0:
                return refused_or(call, self.path, exception.NotFound(self.kind.missing.format(id=call.id)))
            pod, bottom_id = found[0], str(found[1])
        answer = send_in(call, pod, f'{self.kind.title} {call.id}', path=with_id(call, bottom_id))
        answer = self.kind.answer_up(call, pod, answer)
        if answer.status == 404 and bottom_id != call.id:
            raise exception.NotFound(self.kind.missing.format(id=call.id))
        return answer

    def _holder(self, call: Call) -> PodView:
        """The pod that has a UUID.

        :raises NotFound: none has it
        :raises ServiceUnavailable: none of those that answer has it
        """
        path = f'{self.path}/{call.id}' if self.is_shown else self.path
        asked = ask_pods(call, pods_of(call), path=path, query=lambda pod: '')
        for pod, document in asked.documents.items():
            if self.is_shown or any(item.get('id') == call.id for item in document.get(self.kind.collection, [])):
                return pod
        if asked.silent:
            raise exception.ServiceUnavailable(
                f'{self.kind.title} {call.id} cannot be looked for everywhere now, as a part of this cloud does not '
                'answer.',
                retry_after=RETRY_AFTER,
            )
        refusal = asked.refusal
        if refusal is not None and refusal.status != 404:
            raise Refusal(refusal)
        raise exception.NotFound(self.kind.missing.format(id=call.id))


class Refusal(exception.Trio2oException):
    """What a pod said, where a search for something meets a refusal."""

    def __init__(self, answer: Answer) -> None:
        document = answer.json
        inner = next(iter(document.values()), None) if isinstance(document, dict) else None
        super().__init__(str(inner.get('message', '')) if isinstance(inner, dict) else '')
        self.code = answer.status


def refused_or(call: Call, path: str, error: exception.Trio2oException) -> Answer:
    """The refusal of a caller who may not see the list at ``path``; else the error.

    Pods check who is asking before they look whether there is what was asked for.
    """
    asked = ask_pods(call, pods_of(call)[:1], path=path, query=lambda pod: '')
    refusal = asked.refusal
    if refusal is not None and refusal.status in (401, 403):
        return refusal
    raise error


def with_id(call: Call, bottom_id: str) -> str:
    """The path with what stands for its first id put in its place."""
    segments = call.operation.path.split('/')
    values = iter([bottom_id, *list(call.params.values())[1:]])
    return '/'.join(next(values) if part.startswith('{') else part for part in segments)


@dataclass(frozen=True)
class AskEverybody:
    """Ask all pods for one thing that only one can have; the first that has it answers."""

    missing: str

    def __call__(self, call: Call) -> Answer:
        asked = ask_pods(call, pods_of(call), path=with_id(call, call.id))
        for answer in asked.answers.values():
            return answer
        if asked.silent:
            raise exception.ServiceUnavailable(
                'A part of this cloud, which may have what is asked for, does not answer.', retry_after=RETRY_AFTER
            )
        refusal = asked.refusal
        if refusal is None or refusal.status == 404:
            raise exception.NotFound(self.missing.format(id=call.id))
        return refusal


# -- lists --


@dataclass(frozen=True)
class InfraPaging:
    """How a list of infrastructure is paged.

    :ivar since: first version with pages; :ivar links_key: key of the next link
    :ivar marker: field of an item that a marker names
    :ivar newest_first: field of its time, if newer ones come first; else pods come one after another
    :ivar whole_with: query parameters with which the list has no pages
    """

    since: tuple[int, int]
    links_key: str
    marker: str = 'id'
    newest_first: str = ''
    max_limit: int = 1000
    whole_with: frozenset[str] = frozenset()


@dataclass(frozen=True)
class InfraList:
    """The lists of all pods in one.

    :ivar named: query parameters that hold a name which may be qualified
    :ivar zoned: query parameters that hold a zone
    :ivar stand_ins: makes items that stand for what those pods have that gave no answer
    :ivar seen: is told of the items of each pod as the pod gave them
    """

    kind: Kind
    paging: InfraPaging | None = None
    named: tuple[str, ...] = ()
    zoned: tuple[str, ...] = ()
    stand_ins: Callable[[Call, list[PodView]], list[Item]] | None = None
    seen: Callable[[Call, PodView, list[Item]], None] | None = None

    def __call__(self, call: Call) -> Answer:
        pods, query = self._narrowed(call)
        if not pods:
            return ask_any(call)
        paging = self.paging
        has_pages = paging is not None and call.version is not None and call.version >= paging.since
        if paging is None or not has_pages or any(name in paging.whole_with for name, _value in call.query):
            return self.whole(call, pods, query)
        return _InfraPages(self, paging, call, pods, query).answer()

    def _narrowed(self, call: Call) -> tuple[list[PodView], Callable[[PodView], str]]:
        """The pods to ask, and the query for each."""
        pods = pods_of(call)
        given: Query = []
        zones: list[int] = []
        for name, value in call.query:
            if name in self.named:
                pod, value = split_name(call, value)
                pods = pods if pod is None else [pod]
            if name in self.zoned and value in call.runtime.registry.snapshot().zones:
                pods = [pod for pod in pods if pod.zone == value]
                zones.append(len(given))
            given.append((name, value))

        def query(pod: PodView) -> str:
            rows = [
                (name, pod.record.pod_az_name if index in zones else value)
                for index, (name, value) in enumerate(given)
                if index not in zones or pod.record.pod_az_name
            ]
            return urlencode(rows, quote_via=quote)

        return pods, query

    def items_of(self, call: Call, pod: PodView, document: Mapping[str, Any]) -> list[Item]:
        names = names_of(call, pod)
        items = [item for item in document.get(self.kind.collection) or [] if isinstance(item, dict)]
        if self.seen is not None:
            self.seen(call, pod, items)
        for item in items:
            self.kind.up(item, pod, names)
        return items

    def whole(self, call: Call, pods: list[PodView], query: Callable[[PodView], str]) -> Answer:
        asked = ask_pods(call, pods, query=query)
        if asked.refusal is not None and not asked.documents:
            return asked.refusal
        items = [item for pod, document in asked.documents.items() for item in self.items_of(call, pod, document)]
        resting = [pod for pod in call.runtime.registry.snapshot().pods if not pod.is_asked]
        stand_ins = self.stand_ins(call, asked.silent + resting) if self.stand_ins is not None else []
        if not stand_ins:
            must_be_complete(call, asked)
        first = next(iter(asked.answers.values()), None)
        return Answer(200, headers_of_many(call, first), dump_json({self.kind.collection: items + stand_ins}))


class _InfraPages:
    """One request for a page. Pods are read from their beginning, as only they know what follows a marker."""

    def __init__(
        self,
        listing: InfraList,
        paging: InfraPaging,
        call: Call,
        pods: list[PodView],
        query: Callable[[PodView], str],
    ) -> None:
        self._listing, self._paging, self._call, self._pods, self._query = listing, paging, call, pods, query
        values = dict(call.query)
        limit = values.get('limit')
        self._is_odd = limit is not None and not (limit.isascii() and limit.isdecimal() and len(limit) < 10)
        self._limit = paging.max_limit if limit is None or self._is_odd else min(int(limit), paging.max_limit)
        self._marker = values.get('marker')
        self._items: dict[PodView, list[Item]] = {pod: [] for pod in pods}
        self._first: Answer | None = None
        self._missing = Asked()

    def answer(self) -> Answer:
        if self._is_odd:
            return ask_any(self._call)
        deadline = Deadline(self._call.runtime.conf.pods.gather_timeout)
        left: dict[PodView, str] = dict.fromkeys(self._pods, '')
        for _page in range(MAX_PAGES):
            left = self._read(left, deadline)
            if not left or (self._marker is None and all(len(self._items[pod]) >= self._limit for pod in left)):
                break
        must_be_complete(self._call, self._missing)
        if self._first is None and self._missing.refusal is not None:
            return self._missing.refusal
        return self._page()

    def _read(self, left: dict[PodView, str], deadline: Deadline) -> dict[PodView, str]:
        """Read the next page of these pods; those that have more, with their markers."""
        size = self._paging.max_limit if self._marker is not None else max(self._limit, 1)

        def query(pod: PodView) -> str:
            rows = [row for row in self._parsed(pod) if row[0] not in ('limit', 'marker')]
            rows.append(('limit', str(size)))
            if left[pod]:
                rows.append(('marker', left[pod]))
            return urlencode(rows, quote_via=quote)

        asked = ask_pods(self._call, list(left), query=query, deadline=deadline)
        self._missing.silent += asked.silent
        self._missing.refusals.update(asked.refusals)
        self._missing.documents.update(asked.documents)
        self._first = self._first or next(iter(asked.answers.values()), None)
        more: dict[PodView, str] = {}
        for pod, document in asked.documents.items():
            raw = document.get(self._listing.kind.collection) or []
            last = str(raw[-1].get(self._paging.marker)) if raw else ''
            self._items[pod] += self._listing.items_of(self._call, pod, document)
            if raw and document.get(self._paging.links_key):
                more[pod] = last
        return more

    def _parsed(self, pod: PodView) -> Query:
        return parse_qsl(self._query(pod), keep_blank_values=True)

    def _page(self) -> Answer:
        """:raises BadRequest: nobody has the marker"""
        call, paging, key = self._call, self._paging, self._listing.kind.collection
        rows = [item for pod in self._pods for item in self._items[pod]]
        if paging.newest_first:
            rows.sort(key=lambda item: (str(item.get(paging.newest_first)), item.get('id')), reverse=True)
        if self._marker is not None:
            at = next((i for i, item in enumerate(rows) if str(item.get(paging.marker)) == self._marker), None)
            if at is None:
                raise exception.BadRequest(f'marker [{self._marker}] not found')
            rows = rows[at + 1 :]
        rows = rows[: self._limit]
        document: dict[str, Any] = {key: rows}
        if rows and len(rows) == self._limit:
            link = next_link(call.base_url, call.prefix, call.path, call.query, str(rows[-1].get(paging.marker)))
            document[paging.links_key] = [{'rel': 'next', 'href': link}]
        return Answer(200, headers_of_many(call, self._first), dump_json(document))


# -- by name --


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
