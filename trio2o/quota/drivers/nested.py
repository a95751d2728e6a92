# SPDX-License-Identifier: Apache-2.0
"""Limits in Trio2o's own tables that also limit the projects below a project.

A limit set for a project applies to the usage of the project and of all projects below it in Keystone's tree together,
as in Keystone's strict two-level model, but to any depth. A limit of the default quota class or of the configuration
applies to the project's own usage only, so a parent without limits of its own does not limit its children.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from trio2o import exception
from trio2o.db import quotas
from trio2o.db.quotas import Bound
from trio2o.quota.amounts import Amounts
from trio2o.quota.base import bounds_of
from trio2o.quota.drivers.db import DbDriver
from trio2o.quota.tree import ProjectTree


class NestedDriver(DbDriver):
    _kept: ProjectTree | None = None

    @property
    def tree(self) -> ProjectTree:
        if self._kept is None:
            self._kept = ProjectTree(self.conf, self.identity)
        return self._kept

    def bounds(self, project_id: str, user_id: str, names: Collection[str]) -> list[Bound]:
        above = self.tree.ancestors(project_id)
        found = quotas.get_limits(self.db, (project_id, *above), user_id)
        bounds = self._bounds(found, project_id, user_id, names)
        for owner in (project_id, *above):
            own = found.of.get((owner, ''), {})
            if any(own.get(name, -1) >= 0 for name in names):
                members = (owner, *self.tree.descendants(owner))
                if len(members) > 1:
                    bounds += bounds_of(owner, '', own, names, members)
        return bounds

    def check(self, project_id: str, user_id: str, given: Amounts) -> None:
        """Refuse a limit above a parent's, below a child's, or below the usage of the project and its children."""
        super().check(project_id, user_id, given)
        if user_id:
            return
        above, below = self.tree.ancestors(project_id), self.tree.descendants(project_id)
        of = quotas.get_limits(self.db, (*above, *below)).of
        for name, limit in given.items():
            for parent in above:
                bound = _set(of, parent, name)
                if bound is not None and (limit < 0 or limit > bound):
                    raise exception.BadRequest(
                        f'Quota limit {limit} for {name} must be less than or equal to {bound}, which is the limit '
                        f'of project {parent} above it.'
                    )
            if limit < 0:
                continue
            used = self._used((project_id, *below), name) if below else 0
            if used > limit:
                raise exception.BadRequest(
                    f'Quota limit {limit} for {name} must be greater than or equal to {used}, which is what project '
                    f'{project_id} and the projects below it use.'
                )
            for child in below:
                bound = _set(of, child, name)
                if bound is not None and bound > limit:
                    raise exception.BadRequest(
                        f'Quota limit {limit} for {name} must be greater than or equal to {bound}, which is the limit '
                        f'of project {child} below it.'
                    )

    def _used(self, members: Collection[str], name: str) -> int:
        rows = [quotas.usage(self.db, member).get(name) for member in members]
        return sum(row.in_use + row.claimed for row in rows if row is not None)


def _set(of: Mapping[tuple[str, str], Amounts], project_id: str, name: str) -> int | None:
    """Return the limit that is set for a project, or None if there is none or it is unlimited."""
    limit = of.get((project_id, ''), {}).get(name, -1)
    return limit if limit >= 0 else None
