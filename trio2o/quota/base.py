# SPDX-License-Identifier: Apache-2.0
"""The interface of quota drivers. A driver knows the limits; ``claims`` compares usage with them."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping

from oslo_config import cfg

from trio2o.db.database import Database
from trio2o.db.quotas import Bound
from trio2o.pods.identity import Identity
from trio2o.quota.amounts import UNLIMITED, Amounts


class Driver(abc.ABC):
    """Base class of quota drivers, which are entry points of ``trio2o.quota.drivers``.

    One object serves all requests of a process, from several threads. A limit of -1 means unlimited.
    """

    #: Whether limits can be set through the quota APIs.
    is_settable = True

    def __init__(self, conf: cfg.ConfigOpts, db: Database, identity: Identity) -> None:
        self.conf = conf
        self.db = db
        self.identity = identity

    @abc.abstractmethod
    def defaults(self, class_name: str = 'default') -> Amounts:
        """Return the limits of projects without limits of their own. A quota resource without a limit is unlimited."""

    @abc.abstractmethod
    def limits(self, project_id: str, user_id: str = '') -> Amounts:
        """Return the limits of a project, or of a user in it, with the defaults for those not set."""

    def bounds(self, project_id: str, user_id: str, names: Collection[str]) -> list[Bound]:
        """Return all limits that apply to a claim on these quota resources."""
        return bounds_of(project_id, '', self.limits(project_id), names)

    def check(self, project_id: str, user_id: str, given: Amounts) -> None:  # noqa: B027 (optional)
        """Check limits before they are set.

        :raises BadRequest: they contradict other limits
        """


def bounds_of(
    project_id: str, user_id: str, limits: Mapping[str, int], names: Collection[str], members: tuple[str, ...] = ()
) -> list[Bound]:
    """Return the limits of these quota resources as bounds of a claim; unlimited ones are left out.

    :param members: projects whose usage is counted together; empty: only that of the project
    """
    return [
        Bound(project_id, user_id, name, limits[name], members) for name in names if limits.get(name, UNLIMITED) >= 0
    ]
