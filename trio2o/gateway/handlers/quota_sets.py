# SPDX-License-Identifier: Apache-2.0
"""Quota sets, quota classes and limits, of the whole cloud.

What is counted over all pods is limited here, and in the pods not at all, so that no pod refuses what is allowed. The
other limits are the same in every pod, which checks them by itself. A pod answers every call, so that who may ask, and
what there is to be shown at which version, is the pod's to say; numbers of what is counted are then put in its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trio2o import exception
from trio2o.db import quotas
from trio2o.gateway.handlers.forward import at
from trio2o.gateway.handlers.replicate import ReplicatedRead, ReplicatedWrite, Replicator
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import COUNTED, UNLIMITED, Amounts, is_counted
from trio2o.quota.base import Driver
from trio2o.web.call import Answer, Call, dump_json

MAX_LIMIT = 0x7FFFFFFF
MAX_DIGITS = 18
_NO_LIMITS = frozenset({'id', 'tenant_id', 'project_id'})


def no_key(call: Call, answer: Answer | None) -> None:
    """Pods show more limits than were set, so what they show is not what is wanted."""
    return None


def driver_of(call: Call) -> Driver:
    driver: Driver = call.runtime.quota.driver
    return driver


def no_user(call: Call) -> str:
    return ''


@dataclass(frozen=True)
class QuotaWrite(ReplicatedWrite):
    """Change limits, or with DELETE have them all forgotten.

    :ivar member: key of the limits in the body
    :ivar is_class: whether they are of a class, and not of a project
    :ivar user: whose limits they are, within a project; '' for the project's
    :ivar is_forced: whether a limit may be below what is used
    :ivar over: text of the 400 for a limit below what is used: ``{name}``, ``{used}``, ``{limit}``
    """

    member: str = 'quota_set'
    is_class: bool = False
    user: Callable[[Call], str] = no_user
    is_forced: Callable[[Call], bool] = field(default=lambda call: False)
    over: str = ''

    def __call__(self, call: Call) -> Answer:
        sent = call
        if call.method == 'PUT':
            counted = self._counted(call)
            if counted and not driver_of(call).is_settable:
                raise exception.BadRequest('Limits of this cloud are not kept here: they cannot be set this way.')
            if not self.is_class:
                self._check(call, counted)
            sent = self._without(call, counted)
        answer = super().__call__(sent)
        if not answer.is_ok:
            return answer
        self._set(call)
        return self._shown(call, answer)

    def _name(self, call: Call) -> str:
        """What the limits are recorded by."""
        user_id = self.user(call)
        return f'{call.id}:{user_id}' if user_id else call.id

    def _given(self, call: Call) -> dict[str, int]:
        inner = at(self.member)(call.json)
        return limits_of(inner) if isinstance(inner, dict) else {}

    def _counted(self, call: Call) -> dict[str, int]:
        """The limits given of what is counted here; what is out of range a pod refuses."""
        service = call.service.service_type
        return {
            name: limit
            for name, limit in self._given(call).items()
            if is_counted(name, service) and UNLIMITED <= limit <= MAX_LIMIT
        }

    def _check(self, call: Call, counted: Amounts) -> None:
        """:raises BadRequest: a limit is less than what is used, or contradicts another"""
        if self.is_forced(call):
            return
        user_id = self.user(call)
        used = quotas.usage(call.runtime.db, call.id, user_id)
        for name, limit in counted.items():
            row = used.get(name)
            already = row.in_use + row.claimed if row is not None else 0
            if 0 <= limit < already:
                raise exception.BadRequest(self.over.format(name=name, used=already, limit=limit))
        driver_of(call).check(call.id, user_id, counted)

    def _without(self, call: Call, counted: Amounts) -> Call:
        """The call as pods see it: nothing that is counted here is limited there."""
        if not counted:
            return call
        inner = {**call.json[self.member], **dict.fromkeys(counted, UNLIMITED)}
        return call.with_body({**call.json, self.member: inner})

    def _set(self, call: Call) -> None:
        db, user_id = call.runtime.db, self.user(call)
        if call.method == 'DELETE':
            quotas.forget_limits(db, call.id, user_id, COUNTED[call.service.service_type])
        elif self.is_class:
            quotas.set_class_limits(db, call.id, self._counted(call))
        else:
            quotas.set_limits(db, call.id, user_id, self._counted(call))

    def _shown(self, call: Call, answer: Answer) -> Answer:
        driver = driver_of(call)
        limits = driver.defaults(call.id) if self.is_class else driver.limits(call.id, self.user(call))
        return with_numbers(call, answer, self.member, limits)

    def _follow(self, call: Call, pod: PodView, key: str | None, answer: Answer, before: Any) -> None:
        engine: Replicator = call.runtime.replicator
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


def with_numbers(
    call: Call, answer: Answer, member: str, limits: Amounts, used: Mapping[str, Any] | None = None
) -> Answer:
    """A pod's answer with the limits, and the use, of what is counted over all pods."""
    document = answer.json
    inner = document.get(member) if isinstance(document, dict) else None
    if not isinstance(inner, dict):
        return answer
    for name, value in inner.items():
        if not is_counted(name, call.service.service_type):
            continue
        limit = limits.get(name, UNLIMITED)
        if isinstance(value, dict):
            row = used.get(name) if used else None
            numbers = {'limit': limit, 'in_use': row.in_use if row else 0, 'reserved': row.claimed if row else 0}
            inner[name] = {**value, **{key: number for key, number in numbers.items() if key in value}}
        else:
            inner[name] = limit
    return Answer(answer.status, answer.headers, dump_json(document))


@dataclass(frozen=True)
class QuotaRead:
    """Show limits of a project, or of a user in it, and what is used where a pod would.

    :ivar shows_defaults: whether they are those of whoever has none of his own
    """

    kind: str
    user: Callable[[Call], str] = no_user
    shows_defaults: bool = False
    member: str = 'quota_set'

    def __call__(self, call: Call) -> Answer:
        answer = ReplicatedRead(self.kind)(call)
        if not answer.is_ok:
            return answer
        driver, user_id = driver_of(call), self.user(call)
        if self.shows_defaults:
            return with_numbers(call, answer, self.member, driver.defaults())
        limits = driver.limits(call.id, user_id)
        return with_numbers(call, answer, self.member, limits, quotas.usage(call.runtime.db, call.id, user_id))


@dataclass(frozen=True)
class ClassRead:
    """Show the limits of a class."""

    kind: str
    member: str = 'quota_class_set'

    def __call__(self, call: Call) -> Answer:
        answer = ReplicatedRead(self.kind)(call)
        if not answer.is_ok:
            return answer
        return with_numbers(call, answer, self.member, driver_of(call).defaults(call.id))


@dataclass(frozen=True)
class LimitsRead:
    """Show what a project may have, and what it uses of it, by the names that absolute limits have.

    :ivar limits: name of an absolute limit -> resource
    :ivar used: name of what is used of one -> resource
    :ivar project: whose they are
    """

    kind: str
    limits: Mapping[str, str]
    used: Mapping[str, str]
    project: Callable[[Call], str]

    def __call__(self, call: Call) -> Answer:
        answer = ReplicatedRead(self.kind)(call)
        document = answer.json
        absolute = at('limits', 'absolute')(document)
        if not answer.is_ok or not isinstance(absolute, dict):
            return answer
        project_id = self.project(call)
        limits = driver_of(call).limits(project_id)
        used = quotas.usage(call.runtime.db, project_id)
        for name in absolute:
            if name in self.limits:
                absolute[name] = limits.get(self.limits[name], UNLIMITED)
            elif name in self.used:
                row = used.get(self.used[name])
                absolute[name] = row.in_use if row is not None else 0
        return Answer(answer.status, answer.headers, dump_json(document))


def asked_for(call: Call, *names: str) -> str | None:
    """The first value of a query parameter, by any of its names."""
    for name in names:
        value = next((value for key, value in call.query if key == name and value), None)
        if value is not None:
            return value
    return None
