# SPDX-License-Identifier: Apache-2.0
"""Handlers of quota sets, quota classes and absolute limits.

Trio2o limits the resources that it counts over all pods, and sets them to unlimited in the pods, so that no pod
refuses what Trio2o allows. The other limits are the same in every pod, and pods check them. Each request goes to a
pod, which decides whether the caller is authorized and what a microversion shows; the limits and the usage of counted
resources are then put into its answer.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from trio2o import exception
from trio2o.db import quotas
from trio2o.db.records import QuotaUsage
from trio2o.gateway.handlers.replicate import ReplicatedRead, ReplicatedWrite
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import COUNTED, UNLIMITED, Amounts, is_counted
from trio2o.replication.request_writes import Prepared
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.numbers import parse_number

MAX_LIMIT = 0x7FFFFFFF
_NO_LIMITS = frozenset({'id', 'tenant_id', 'project_id'})


class LimitsWrite(ReplicatedWrite, abc.ABC):
    """Set the limits in a body, or forget all of them with DELETE.

    Subclasses set those of a project, a user or a quota class. The methods without underscore are hooks.

    :cvar member: key of the limits in a body
    """

    member: ClassVar[str]
    is_create: ClassVar[bool] = True

    def key(self, call: Call) -> None:
        """Return None: a pod also shows limits that were not set, so the desired state is not read from a pod."""
        return None

    def key_in_answer(self, call: Call, answer: Answer) -> None:
        return None

    def given_limits(self, call: Call) -> dict[str, int]:
        """Return the limits in the body."""
        return parse_limits(json_body.object_at(call.json, self.member) or {})

    def check(self, call: Call, counted: Amounts) -> None:  # noqa: B027 (a class has nothing to check)
        """Check the limits of counted resources.

        :raises BadRequest: a limit cannot be set
        """

    @abc.abstractmethod
    def set_limits(self, call: Call, counted: Amounts) -> None:
        """Record the limits of counted resources, after the pod accepted the request."""

    def desired_key(self, call: Call) -> str:
        """Return the key of the desired limits in all pods."""
        return call.id

    @abc.abstractmethod
    def current_limits(self, call: Call) -> Amounts:
        """Return the limits of counted resources for the answer."""

    def __call__(self, call: Call) -> Answer:
        counted = self._counted_limits(call)
        is_put = call.method == 'PUT'
        # The errors of the check contain the usage of a project. Only a pod knows who else may set limits; counted
        # resources are unlimited there whatever it answers.
        is_checked_first = call.context.may_see_all
        if is_put and is_checked_first:
            self._check(call, counted)
        answer = super().__call__(self._with_unlimited(call, counted) if is_put else call)
        if not answer.is_ok:
            return answer
        if is_put and not is_checked_first:
            self._check(call, counted)
        self.set_limits(call, counted)
        return with_limits(call, answer, self.member, self.current_limits(call))

    def _check(self, call: Call, counted: Amounts) -> None:
        if counted and not call.runtime.quota.driver.is_settable:
            raise exception.BadRequest('Limits of this cloud are not kept here: they cannot be set this way.')
        self.check(call, counted)

    def _counted_limits(self, call: Call) -> dict[str, int]:
        """Return the given limits of counted resources. Those out of range are left to a pod to refuse."""
        service = call.service.service_type
        return {
            name: limit
            for name, limit in self.given_limits(call).items()
            if is_counted(name, service) and UNLIMITED <= limit <= MAX_LIMIT
        }

    def _with_unlimited(self, call: Call, counted: Amounts) -> Call:
        """Return the request for the pod: counted resources are unlimited there."""
        if not counted:
            return call
        limits = {**call.json[self.member], **dict.fromkeys(counted, UNLIMITED)}
        return call.with_body({**call.json, self.member: limits})

    def record_answer(self, call: Call, pod: PodView, key: str | None, answer: Answer, prepared: Prepared) -> None:
        replicator, request_id = call.runtime.replicator, call.context.request_id
        if answer.is_ok:
            key = self.desired_key(call)
            if call.method == 'DELETE':
                replicator.desired.delete(self.kind, key, request_id)
            else:
                replicator.desired.set_limits(self.kind, key, self.given_limits(call), request_id)
        elif answer.status >= 500:
            replicator.writes.record_later(self.kind, None, pod, prepared, request_id)


@dataclass(frozen=True)
class QuotaSetWrite(LimitsWrite):
    """Set the limits of a project, or of a user in it.

    :ivar below_usage: text of the error for a limit below the usage: ``{name}``, ``{used}``, ``{limit}``
    """

    below_usage: str = ''
    member: ClassVar[str] = 'quota_set'

    def user_id(self, call: Call) -> str:
        """Return the user whose limits the request is about; '' for those of the project."""
        return ''

    def is_forced(self, call: Call) -> bool:
        """Return whether a limit may be below the usage."""
        return False

    def desired_key(self, call: Call) -> str:
        user_id = self.user_id(call)
        return f'{call.id}:{user_id}' if user_id else call.id

    def check(self, call: Call, counted: Amounts) -> None:
        """
        :raises BadRequest: a limit is below the usage, or contradicts another
        """
        if self.is_forced(call):
            return
        user_id = self.user_id(call)
        usage = quotas.usage(call.runtime.db, call.id, user_id)
        for name, limit in counted.items():
            row = usage.get(name)
            used = row.in_use + row.claimed if row is not None else 0
            if 0 <= limit < used:
                raise exception.BadRequest(self.below_usage.format(name=name, used=used, limit=limit))
        call.runtime.quota.driver.check(call.id, user_id, counted)

    def set_limits(self, call: Call, counted: Amounts) -> None:
        db, user_id = call.runtime.db, self.user_id(call)
        if call.method == 'DELETE':
            quotas.delete_limits(db, call.id, user_id, COUNTED[call.service.service_type])
        else:
            quotas.set_limits(db, call.id, user_id, counted)

    def current_limits(self, call: Call) -> Amounts:
        return call.runtime.quota.driver.limits(call.id, self.user_id(call))


class QuotaClassWrite(LimitsWrite):
    """Set the limits of a class."""

    member: ClassVar[str] = 'quota_class_set'

    def set_limits(self, call: Call, counted: Amounts) -> None:
        quotas.set_class_limits(call.runtime.db, call.id, counted)

    def current_limits(self, call: Call) -> Amounts:
        return call.runtime.quota.driver.defaults(call.id)


@dataclass(frozen=True)
class QuotaRead(abc.ABC):
    """Show limits.

    Subclasses show those of a project, a user, a quota class or the defaults.

    :cvar member: key of the limits in a body
    """

    kind: str
    member: ClassVar[str] = 'quota_set'

    @abc.abstractmethod
    def limits(self, call: Call) -> Amounts:
        """Return the limits of counted resources."""

    def usage(self, call: Call) -> Mapping[str, QuotaUsage] | None:
        """Return the usage of counted resources, shown where a pod shows its own; None if there is none."""
        return None

    def __call__(self, call: Call) -> Answer:
        answer = ReplicatedRead(self.kind)(call)
        if not answer.is_ok:
            return answer
        return with_limits(call, answer, self.member, self.limits(call), self.usage(call))


class QuotaSetRead(QuotaRead):
    """Show the limits and the usage of a project, or of a user in it."""

    def user_id(self, call: Call) -> str:
        """Return the user whose limits are shown; '' for those of the project."""
        return ''

    def limits(self, call: Call) -> Amounts:
        return call.runtime.quota.driver.limits(call.id, self.user_id(call))

    def usage(self, call: Call) -> Mapping[str, QuotaUsage]:
        return quotas.usage(call.runtime.db, call.id, self.user_id(call))


class QuotaDefaultsRead(QuotaRead):
    """Show the limits of projects that have none of their own, in the form of a quota set."""

    def limits(self, call: Call) -> Amounts:
        return call.runtime.quota.driver.defaults()


class QuotaClassRead(QuotaRead):
    """Show the limits of a class."""

    member: ClassVar[str] = 'quota_class_set'

    def limits(self, call: Call) -> Amounts:
        return call.runtime.quota.driver.defaults(call.id)


@dataclass(frozen=True)
class LimitsRead:
    """Show the absolute limits of a project, and their usage.

    :ivar limits: name of an absolute limit -> resource
    :ivar used: name of the usage of an absolute limit -> resource
    """

    kind: str
    limits: Mapping[str, str]
    used: Mapping[str, str]

    def project_id(self, call: Call) -> str:
        """Return the project whose limits are shown."""
        return call.context.project_id or ''

    def __call__(self, call: Call) -> Answer:
        answer = ReplicatedRead(self.kind)(call)
        document = answer.json
        absolute = json_body.object_at(document, 'limits', 'absolute')
        if not answer.is_ok or absolute is None:
            return answer
        project_id = self.project_id(call)
        limits = call.runtime.quota.driver.limits(project_id)
        usage = quotas.usage(call.runtime.db, project_id)
        for name in absolute:
            if name in self.limits:
                absolute[name] = limits.get(self.limits[name], UNLIMITED)
            elif name in self.used:
                row = usage.get(self.used[name])
                absolute[name] = row.in_use if row is not None else 0
        return Answer(answer.status, answer.headers, dump_json(document))


def parse_limits(given: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits in a body, which may be numeric strings; other values are ignored.

    Pods read text with ``int``, whatever its length, so zeros at its start do not count.

    :returns: a text beyond ``MAX_LIMIT`` as the number after it, which is refused as well
    """
    limits: dict[str, int] = {}
    for name, value in given.items():
        if isinstance(value, str) and name not in _NO_LIMITS:
            text = value.strip()
            number = parse_number(text.removeprefix('-'), clamp=MAX_LIMIT + 1)
            if number is not None:
                limits[name] = -number if text.startswith('-') else number
        elif type(value) is int or (isinstance(value, float) and value.is_integer()):
            limits[name] = int(value)
    return limits


def with_limits(
    call: Call, answer: Answer, member: str, limits: Amounts, usage: Mapping[str, QuotaUsage] | None = None
) -> Answer:
    """Put the limits, and the usage, of counted resources into a pod's answer.

    :param member: key of the limits in the answer
    """
    document = answer.json
    shown = json_body.at(document, member)
    if not isinstance(shown, dict):
        return answer
    for name, value in shown.items():
        if not is_counted(name, call.service.service_type):
            continue
        limit = limits.get(name, UNLIMITED)
        if isinstance(value, dict):
            row = usage.get(name) if usage else None
            numbers = {'limit': limit, 'in_use': row.in_use if row else 0, 'reserved': row.claimed if row else 0}
            shown[name] = {**value, **{key: number for key, number in numbers.items() if key in value}}
        else:
            shown[name] = limit
    return Answer(answer.status, answer.headers, dump_json(document))


def first_value(call: Call, name: str) -> str | None:
    """Return the first value of a query parameter that is not empty, which counts where a pod uses ``parse_qs``."""
    return next((value for key, value in call.query if key == name and value), None)


def last_value(call: Call, name: str) -> str | None:
    """Return the last value of a query parameter, which counts where a pod uses WebOb."""
    return dict(call.query).get(name)
