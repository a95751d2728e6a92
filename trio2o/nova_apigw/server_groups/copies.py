# SPDX-License-Identifier: Apache-2.0
"""Resources that are made in one pod and used in all: a twin stands in every other pod that uses them.

A twin is made with the caller's own token right before something that names the resource is sent to a pod that
does not have it. Tenants see the resource alone, under its one id: what lists and answers say of twins is added
to it. What is used in one pod at a time, whichever that is, is in use where it has members.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from trio2o import exception, job_types
from trio2o.concurrency import Deadline
from trio2o.db import routings, server_group_copies
from trio2o.db.records import ServerGroupCopy
from trio2o.gateway.call_pod import names_of, send
from trio2o.gateway.call_pods import PodAnswers
from trio2o.gateway.handlers.create import Create, PodRefused
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.translate import PodNames, answer_up
from trio2o.nova_apigw.server_groups.members import MemberLimit
from trio2o.pods.fanout import ask_all
from trio2o.pods.registry import PodView
from trio2o.resources import Item, Resource
from trio2o.routing.locator import Route
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.microversion import Version

LOG = logging.getLogger(__name__)

#: How long one that makes a twin, or uses what is used in one pod only, is waited for should it have died.
BUSY_SECONDS = 60.0
_LOOK_AGAIN_SECONDS = 0.05
#: How long to wait for whoever uses such a thing elsewhere to be done.
_HOLD_SECONDS = 10.0


@dataclass(frozen=True)
class Twinned:
    """Such a kind of resource.

    :ivar version: microversion in which ``definition`` is read and posted
    :ivar members: key of the list of what is in it
    :ivar definition: what of an item another like it is made of
    :ivar is_single: whether one with this definition is used in one pod at a time
    :ivar named_in: the id that a body names, if it names one
    :ivar member: what its members are, and ``limit``: how many of them there may be
    :ivar unknown: what is said to a body that names one nobody has, with ``{id}``
    """

    resource: Resource
    version: Version
    members: str
    definition: Callable[[Item], Item]
    is_single: Callable[[Item], bool]
    named_in: Callable[[Any], str | None]
    member: Resource
    limit: MemberLimit
    unknown: str

    # -- what is made with one --

    def pod_for(self, call: Call, document: Any) -> tuple[str, PodView] | None:
        """What a body names, and its pod, if it can be used in no other."""
        top_id = self.named_in(document)
        rows = self._rows(call, top_id) if top_id else []
        pods = call.runtime.registry.snapshot().by_id
        if not rows or rows[0].pod_id not in pods:
            return None
        origin = rows[0]
        title = f'{self.resource.title} {origin.top_id}'
        if origin.project_id != call.context.project_id:
            # It is not the caller's: no twin of it may become the caller's either.
            return title, pods[origin.pod_id]
        if not self.is_single(origin.definition or {}):
            return None
        pod = self._pod_in_use(call, rows)
        return None if pod is None else (title, pod)

    @contextmanager
    def prepared_in(self, call: Call, document: Any, pod: PodView, names: PodNames) -> Iterator[PodNames]:
        """See that a pod has what a body names, for as long as the body is sent.

        :returns: names with its id in that pod
        :raises PodRefused: the pod refuses to have it
        :raises PodNotReached: it is not there and cannot be made now
        :raises PinsDisagree: it is in use in another pod
        :raises Forbidden: it has as many members as it may have
        """
        top_id = self.named_in(document)
        rows = self._rows(call, top_id) if top_id else []
        if not rows:
            if top_id and self._is_twin(call, top_id):
                raise exception.BadRequest(self.unknown.format(id=top_id))
            yield names  # a pod says it better
            return
        origin = rows[0]
        is_held = self.is_single(origin.definition or {})
        if is_held:
            self._hold(call, rows, pod)
        try:
            count = partial(self._count_members, call, origin)
            with self.limit.kept(call, document, origin.project_id, origin.top_id, count):
                found = origin.top_id if pod.id == origin.pod_id else self._twin_in(call, origin, pod)
                if isinstance(found, Answer):
                    raise PodRefused(found)
                yield names.with_id(found, origin.top_id)
        finally:
            if is_held:
                server_group_copies.release(call.runtime.db, origin.id, pod.id)

    def _count_members(self, call: Call, origin: ServerGroupCopy) -> int:
        """How many members it has that are the caller's own, or nobody knows whose."""
        db = call.runtime.db
        found: set[str] = set()
        for answer in self._asked(call, server_group_copies.list_for_group(db, origin.top_id)).values():
            item = self._item(answer) if isinstance(answer, Answer) else None
            if item is not None:
                found |= set(item.get(self.members) or ())
            elif isinstance(answer, exception.PodError):
                LOG.warning('members of %s %s are not counted: %s', self.resource.type, origin.top_id, answer)
        users = {each.top_id: each.user_id for each in routings.get_many(db, self.member.type, list(found)).values()}
        return sum(users.get(each, '') in ('', call.context.user_id) for each in found)

    def _rows(self, call: Call, top_id: str) -> list[ServerGroupCopy]:
        """Where it stands, its own pod first; empty if nobody knows it."""
        db = call.runtime.db
        rows = server_group_copies.list_for_group(db, top_id) if len(top_id) <= 64 else []
        if rows and rows[0].is_original:
            return rows
        if self._is_twin(call, top_id):
            return []  # nobody is shown it, and nothing is recorded of it
        try:
            route: Route = call.runtime.locator.find(call, self.resource, top_id)
        except exception.NotFound:
            return []
        item = self._read(call, route.pod, route.bottom_id)
        if item is None:
            return []
        owner = self.resource.owner_of(item, route.project_id)
        server_group_copies.record_original(db, top_id, route.pod.id, owner, self.definition(item))
        return server_group_copies.list_for_group(db, top_id)

    def _read(self, call: Call, pod: PodView, bottom_id: str) -> Item | None:
        """One as its pod shows it; None if there is none.

        :raises ServiceUnavailable: the pod does not tell
        """
        try:
            answer = self._ask(call, pod, 'GET', f'/{bottom_id}')
        except exception.PodError:
            answer = Answer(503)
        if answer.status >= 500:
            raise pod_failures.unreachable(f'{self.resource.title} {bottom_id}', pod.zone)
        return self._item(answer)

    def _item(self, answer: Answer) -> Item | None:
        document = answer.json if answer.is_ok else None
        item = document.get(self.resource.member) if isinstance(document, dict) else None
        return item if isinstance(item, dict) else None

    def _ask(self, call: Call, pod: PodView, method: str, path: str, document: Any = None) -> Answer:
        """:raises PodError: no answer came"""
        call = replace(call, version=self.version)
        body = b'' if document is None else dump_json(document)
        return send(call, pod, method=method, path=f'{self.resource.path}{path}', query='', body=body)

    def _twin_in(self, call: Call, origin: ServerGroupCopy, pod: PodView) -> str | Answer:
        """The id of its twin in a pod, made if there is none; or the pod's refusal.

        :raises PodNotReached: it cannot be made now
        """
        db = call.runtime.db
        deadline = Deadline(BUSY_SECONDS / 2)
        while True:
            twin, is_mine = server_group_copies.begin(db, origin.top_id, pod.id, origin.project_id, BUSY_SECONDS)
            if is_mine:
                return self._make(call, origin, twin, pod)
            if twin.state == 'deleting':
                raise self._is_gone(origin)
            if twin.bottom_id is not None:
                if self._is_there(call, pod, twin.bottom_id):
                    return twin.bottom_id
                server_group_copies.delete(db, twin.id)
                continue
            if deadline.is_over():
                raise exception.PodNotReached(pod.name, f'the twin of {origin.top_id} is being made')
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _is_there(self, call: Call, pod: PodView, bottom_id: str) -> bool:
        """:raises PodNotReached: the pod does not tell"""
        try:
            answer = self._ask(call, pod, 'GET', f'/{bottom_id}')
        except exception.PodError as error:
            raise exception.PodNotReached(pod.name, error.reason) from error
        return answer.status != 404

    def _make(self, call: Call, origin: ServerGroupCopy, twin: ServerGroupCopy, pod: PodView) -> str | Answer:
        """:raises PodNotReached: it could not be made"""
        db = call.runtime.db
        bottom_id = None
        try:
            answer = self._ask(call, pod, 'POST', '', {self.resource.member: origin.definition})
            bottom_id = (self._item(answer) or {}).get('id')
        except exception.PodError as error:
            # Nothing that was asked for has been sent: another pod may have it yet.
            raise exception.PodNotReached(pod.name, f'no twin of {origin.top_id}: {error.reason}') from error
        finally:
            if bottom_id is None:
                server_group_copies.delete(db, twin.id)
        if not isinstance(bottom_id, str):
            if answer.status >= 500 or answer.is_ok:
                raise exception.PodNotReached(pod.name, f'no twin of {origin.top_id}: answered {answer.status}')
            return answer
        if not server_group_copies.record_made(db, twin.id, bottom_id):
            # What it is a twin of was deleted meanwhile.
            self._drop_in(call, pod, bottom_id)
            raise self._is_gone(origin)
        return bottom_id

    def _is_gone(self, origin: ServerGroupCopy) -> exception.BadRequest:
        return exception.BadRequest(self.resource.missing.format(id=origin.top_id))

    # -- what is used in one pod at a time --

    def _pod_in_use(self, call: Call, rows: Sequence[ServerGroupCopy]) -> PodView | None:
        """The pod in which it has members."""
        found = self._asked(call, rows)
        for pod, answer in found.items():
            item = self._item(answer) if isinstance(answer, Answer) else None
            if item is not None and item.get(self.members):
                return pod
            if item is None and pod.id == rows[0].used_in:
                return pod  # that was the last one, and it does not tell
        return None

    def _asked(self, call: Call, rows: Sequence[ServerGroupCopy]) -> dict[PodView, Answer | exception.PodError]:
        """What each of these says now, in the order of ``rows``."""
        by_id = call.runtime.registry.snapshot().by_id
        ids = {by_id[row.pod_id]: row.bottom_id for row in rows if row.bottom_id and row.pod_id in by_id}

        def ask(pod: PodView) -> Answer:
            if not pod.is_asked:
                raise exception.PodNotReached(pod.name, 'in maintenance')
            return self._ask(call, pod, 'GET', f'/{ids[pod]}')

        return ask_all(call.runtime.executor, ids, ask, Deadline(call.runtime.conf.pods.gather_timeout))

    def _hold(self, call: Call, rows: Sequence[ServerGroupCopy], pod: PodView) -> None:
        """:raises PinsDisagree: it is in use elsewhere"""
        db, origin = call.runtime.db, rows[0]
        deadline = Deadline(_HOLD_SECONDS)
        while True:
            is_held, before = server_group_copies.hold(db, origin.id, pod.id, BUSY_SECONDS)
            # Nobody uses it elsewhere from now on; who did may have come between our look and now.
            other = self._used_elsewhere(call, origin, pod, before)
            if is_held and other is None:
                return
            if is_held:
                server_group_copies.release(db, origin.id, pod.id, restore=before)
            if other is not None or deadline.is_over():
                where = f'is in availability zone {other.zone}' if other is not None else 'is in use in another zone'
                raise exception.PinsDisagree(f'{self.resource.title} {origin.top_id} {where}, not in {pod.zone}.')
            # Somebody holds it elsewhere, perhaps only to find that it is in use here.
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _used_elsewhere(self, call: Call, origin: ServerGroupCopy, pod: PodView, last: str | None) -> PodView | None:
        """Another pod in which it has members, or had them last and does not tell."""
        rows = server_group_copies.list_for_group(call.runtime.db, origin.top_id)
        others = [replace(row, used_in=last) for row in rows if row.pod_id != pod.id]
        return self._pod_in_use(call, others) if others else None

    # -- the resource itself --

    def create(self, call: Call, create: Create) -> Answer:
        """Make one, and remember what it is made of should its pod be away when a twin is wanted."""
        answer = create(call)
        item = self._item(answer)
        if item is not None and isinstance(item.get('id'), str):
            route = call.runtime.locator.look_up(self.resource.type, item['id'])
            if route is not None:
                server_group_copies.record_original(
                    call.runtime.db,
                    route.top_id,
                    route.pod.id,
                    route.project_id,
                    self.definition(item),
                )
        return answer

    def show(self, call: Call, forward: Forward) -> Answer:
        """One with its members in all pods. If its own pod does not answer, a twin's does."""
        route, others = self._stands(call)
        failure: exception.ServiceUnavailable | None = None
        answer = Answer(503)
        try:
            answer = forward(call)
        except exception.ServiceUnavailable as error:
            failure = error
        if answer.status == 404:
            self._end_if_gone(call)
        item = self._item(answer)
        if not others or (item is None and failure is None):
            if failure is not None:
                raise failure
            return answer
        for pod, reply in self._replies(call, others).items():
            there = self._item(reply)
            if there is None:
                continue
            if item is None:
                answer, item = reply, {**there, 'id': call.id}
            else:
                item[self.members] = _union(item.get(self.members), there.get(self.members))
            LOG.debug('%s %s also stands in %s', self.resource.type, route.top_id, pod.name)
        if item is None:
            assert failure is not None
            raise failure
        return replace(answer, body=dump_json({self.resource.member: item}))

    def _stands(self, call: Call) -> tuple[Route, list[ServerGroupCopy]]:
        """Where it is, and its twins.

        :raises NotFound: it is not there; or it is a twin itself, which nobody is shown
        """
        db, kind = call.runtime.db, self.resource.type
        known: Route | None = call.runtime.locator.look_up(kind, call.id)
        if known is None and self._is_twin(call, call.id):
            raise exception.NotFound(self.resource.missing.format(id=call.id))
        route: Route = known or call.runtime.locator.find(call, self.resource, call.id)
        rows = server_group_copies.list_for_group(db, call.id)
        return route, [row for row in rows if row.state == 'made' and not row.is_original]

    def _is_twin(self, call: Call, bottom_id: str) -> bool:
        pods = call.runtime.registry.snapshot().pods
        return any(server_group_copies.find_copies(call.runtime.db, pod.id, [bottom_id]) for pod in pods)

    def _replies(self, call: Call, others: Sequence[ServerGroupCopy]) -> dict[PodView, Answer]:
        """What pods answer the call itself about their twins, in the top's terms; those that do not are left out."""
        by_id = call.runtime.registry.snapshot().by_id
        ids = {by_id[row.pod_id]: str(row.bottom_id) for row in others if row.pod_id in by_id}

        def ask(pod: PodView) -> Answer:
            names = names_of(call, pod).with_id(ids[pod], call.id)
            return answer_up(send(call, pod, names=names, is_repeated=False), names, self.resource)

        asked = [pod for pod in ids if pod.is_asked]
        deadline = Deadline(call.runtime.conf.pods.gather_timeout)
        replies = ask_all(call.runtime.executor, asked, ask, deadline)
        return {pod: reply for pod, reply in replies.items() if isinstance(reply, Answer)}

    def delete(self, call: Call, forward: Forward) -> Answer:
        """Delete one, then its twins; those of pods that are away go when they are back."""
        self._stands(call)
        answer = forward(call)
        self._end_if_gone(call)
        return answer

    def _end_if_gone(self, call: Call) -> None:
        runtime = call.runtime
        route = runtime.locator.look_up(self.resource.type, call.id)
        if route is not None and route.is_live:
            return
        for twin in server_group_copies.begin_delete(runtime.db, call.id):
            pod = runtime.registry.snapshot().by_id.get(twin.pod_id)
            if pod is not None and pod.is_asked and self._drop_in(call, pod, str(twin.bottom_id)):
                server_group_copies.delete(runtime.db, twin.id)
            else:
                payload = {'pod_id': twin.pod_id}
                runtime.jobs.submit(
                    'delete_server_group_copies', twin.pod_id, payload, request_id=call.context.request_id
                )

    def _drop_in(self, call: Call, pod: PodView, bottom_id: str) -> bool:
        try:
            answer = self._ask(call, pod, 'DELETE', f'/{bottom_id}')
        except exception.PodError as error:
            LOG.warning('twin %s in pod %s is not deleted yet: %s', bottom_id, pod.name, error.reason)
            return False
        return answer.is_ok or answer.status == 404

    def merged(
        self, call: Call, asked: PodAnswers, found: Sequence[tuple[PodView, Item]]
    ) -> list[tuple[PodView, Item]]:
        """Items of all pods, each with the members of its twins; of one whose pod does not answer, a twin."""
        twin_of = self._twins_in(call, found)
        shown = {item.get('id'): item for pod, item in found if (pod, item.get('id')) not in twin_of}
        merged = []
        for pod, item in found:
            twin = twin_of.get((pod, item.get('id')))
            if twin is None:
                merged.append((pod, item))
                continue
            top_id, state = twin
            if top_id in shown:
                mine = shown[top_id]
                mine[self.members] = _union(mine.get(self.members), item.get(self.members))
            elif state == 'made' and self._is_away(call, asked, top_id):
                shown[top_id] = item
                item['id'] = top_id
                merged.append((pod, item))
        return merged

    def _twins_in(
        self, call: Call, found: Sequence[tuple[PodView, Item]]
    ) -> Mapping[tuple[PodView, Any], tuple[str, str]]:
        ids: dict[PodView, list[str]] = {}
        for pod, item in found:
            ids.setdefault(pod, []).append(str(item.get('id')))
        return {
            (pod, bottom_id): twin
            for pod, bottom_ids in ids.items()
            for bottom_id, twin in server_group_copies.find_copies(call.runtime.db, pod.id, bottom_ids).items()
        }

    def _is_away(self, call: Call, asked: PodAnswers, top_id: str) -> bool:
        route = call.runtime.locator.look_up(self.resource.type, top_id)
        return route is not None and route.is_live and route.pod not in asked.documents

    def ids_up(self, call: Call, pod: PodView, bottom_ids: Sequence[str]) -> dict[str, str]:
        """Of ids that a pod's answer names, those that tenants know by another."""
        found = server_group_copies.find_copies(call.runtime.db, pod.id, bottom_ids)
        return {bottom_id: top_id for bottom_id, (top_id, _state) in found.items()}


def _union(first: Any, second: Any) -> list[Any]:
    return list(dict.fromkeys([*(first or []), *(second or [])]))


@dataclass(frozen=True)
class TwinnedCreate:
    twinned: Twinned
    create: Create

    def __call__(self, call: Call) -> Answer:
        return self.twinned.create(call, self.create)


@dataclass(frozen=True)
class TwinnedShow:
    twinned: Twinned
    forward: Forward

    def __call__(self, call: Call) -> Answer:
        return self.twinned.show(call, self.forward)


@dataclass(frozen=True)
class TwinnedDelete:
    twinned: Twinned
    forward: Forward

    def __call__(self, call: Call) -> Answer:
        return self.twinned.delete(call, self.forward)
