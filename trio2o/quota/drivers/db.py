# SPDX-License-Identifier: Apache-2.0
"""Limits in Trio2o's own tables.

A limit is that of the user, else that of the project, else that of the default quota class, else that of the
configuration. Nothing is cached, so a limit applies in every process as soon as it is set.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

from trio2o import exception
from trio2o.conf.quota import DEFAULTS
from trio2o.db import quotas
from trio2o.db.quotas import OF_USERS, Bound
from trio2o.quota.amounts import UNLIMITED, Amounts
from trio2o.quota.base import Driver, bounds_of

DEFAULT_CLASS = 'default'


class DbDriver(Driver):
    @functools.cached_property
    def configured(self) -> dict[str, int]:
        """The limits in the configuration file, which changes with a restart only."""
        return {name: self.conf.quota[name] for name in DEFAULTS}

    def defaults(self, class_name: str = DEFAULT_CLASS) -> Amounts:
        found = {**self.configured, **quotas.get_limits(self.db, ()).defaults}
        if class_name != DEFAULT_CLASS:
            found |= quotas.get_limits(self.db, (), class_name=class_name).defaults
        return found

    def limits(self, project_id: str, user_id: str = '') -> Amounts:
        found = quotas.get_limits(self.db, (project_id,), user_id)
        own = found.of.get((project_id, user_id), {}) if user_id else {}
        return {**self.configured, **found.defaults, **found.of.get((project_id, ''), {}), **own}

    def bounds(self, project_id: str, user_id: str, names: Collection[str]) -> list[Bound]:
        return self._bounds(quotas.get_limits(self.db, (project_id,), user_id), project_id, user_id, names)

    def _bounds(self, found: quotas.Limits, project_id: str, user_id: str, names: Collection[str]) -> list[Bound]:
        limits = {**self.configured, **found.defaults, **found.of.get((project_id, ''), {})}
        bounds = bounds_of(project_id, '', limits, names)
        own = found.of.get((project_id, user_id), {}) if user_id else {}
        return bounds + bounds_of(project_id, user_id, own, [name for name in names if name in OF_USERS])

    def check(self, project_id: str, user_id: str, given: Amounts) -> None:
        """Refuse a user's limit if the sum of all users' limits would exceed the project's limit."""
        if not user_id:
            return
        limits = self.limits(project_id)
        others = quotas.get_limits_of_users(self.db, project_id)
        for name, limit in given.items():
            project = limits.get(name, UNLIMITED)
            if project < 0:
                continue
            taken = sum(max(0, each.get(name, 0)) for user, each in others.items() if user != user_id)
            if limit < 0 or limit > project - taken:
                raise exception.BadRequest(
                    f'Quota limit {limit} for {name} must be less than or equal to {max(0, project - taken)}.'
                )
