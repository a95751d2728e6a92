# SPDX-License-Identifier: Apache-2.0
"""What a driver is: it says how much a project may have. Claims are the engine's."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping

from oslo_config import cfg

from trio2o.db.quotas import Bound
from trio2o.db.session import Database
from trio2o.pods.identity import Identity
from trio2o.quota.amounts import UNLIMITED, Amounts


class Driver(abc.ABC):
    """Drivers of operators derive from this and are named by an entry point in ``trio2o.quota.drivers``.

    One object serves all requests at once. -1 is no limit.
    """

    #: Whether limits can be set through the quota APIs.
    is_settable = True

    def __init__(self, conf: cfg.ConfigOpts, db: Database, identity: Identity) -> None:
        self.conf = conf
        self.db = db
        self.identity = identity

    @abc.abstractmethod
    def defaults(self, class_name: str = 'default') -> Amounts:
        """The limits of whoever has none of his own; what is not named is not limited."""

    @abc.abstractmethod
    def limits(self, project_id: str, user_id: str = '') -> Amounts:
        """The limits of a project, or of a user in it, defaults among them."""

    def bounds(self, project_id: str, user_id: str, names: Collection[str]) -> list[Bound]:
        """All limits that a claim on these resources has to keep."""
        return bounds_of(project_id, '', self.limits(project_id), names)

    def check(self, project_id: str, user_id: str, given: Amounts) -> None:  # noqa: B027 (most have nothing to check)
        """Called before limits are set.

        :raises BadRequest: they contradict others
        """


def bounds_of(
    project_id: str, user_id: str, limits: Mapping[str, int], names: Collection[str], members: tuple[str, ...] = ()
) -> list[Bound]:
    """The limits there are, as bounds on these resources."""
    return [
        Bound(project_id, user_id, name, limits[name], members) for name in names if limits.get(name, UNLIMITED) >= 0
    ]
