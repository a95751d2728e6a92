# SPDX-License-Identifier: Apache-2.0
"""Claims on the quota, and what became of them.

A claim is a row in the database from before the first pod is asked until it is known what came of the request: it
turns into the deltas of a routing in the transaction that records it, or is given back, or stays open for a job to
find out (``settle``). Where no limit applies nothing is claimed; what is in use is counted all the same.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exc
from stevedore import DriverManager, ExtensionManager
from stevedore.exception import NoMatches

from trio2o.db import quotas
from trio2o.db.quotas import Exceeded, OverQuota
from trio2o.db.records import QuotaClaim
from trio2o.db.session import Database, utcnow
from trio2o.pods.identity import Identity
from trio2o.quota.amounts import Amounts, affordable, times
from trio2o.quota.base import Driver

LOG = logging.getLogger(__name__)

NAMESPACE = 'trio2o.quota.drivers'


@dataclass(frozen=True)
class Asked:
    """What a request asks of the quota.

    :ivar once: amounts for one of what it makes; ``count``: how many it makes; ``least``: how many will do
    """

    project_id: str
    user_id: str
    once: Amounts
    count: int = 1
    least: int = 1
    resource_type: str = ''
    resource_id: str = ''
    request_id: str = ''


@dataclass(frozen=True)
class Claim:
    """What was granted.

    :ivar row: None: no limit applies, and nothing was claimed
    :ivar count: how many of those asked for
    """

    row: QuotaClaim | None
    asked: Asked
    count: int = 1

    @property
    def id(self) -> str | None:
        return self.row.id if self.row is not None else None


class Refused(Exception):
    """A limit does not allow it.

    :ivar exceeded: the bounds that would be broken, in the order of their resources
    """

    def __init__(self, asked: Asked, exceeded: tuple[Exceeded, ...]) -> None:
        super().__init__(', '.join(each.bound.resource for each in exceeded))
        self.asked = asked
        self.exceeded = exceeded


class Quota:
    """One a process."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, identity: Identity, driver: Driver | None = None) -> None:
        """:param driver: instead of the one the configuration names"""
        self._db = db
        self._claim_seconds = conf.quota.claim_seconds
        self._watch_seconds = conf.quota.watch_seconds
        self.driver = driver or load_driver(conf, db, identity)

    def claim(self, asked: Asked) -> Claim:
        """Claim what is asked for, or as much of it as will do.

        :raises Refused: a limit does not allow it; nothing is claimed
        """
        names = sorted(name for name, amount in asked.once.items() if amount > 0)
        bounds = self.driver.bounds(asked.project_id, asked.user_id, names) if names else []
        if not bounds:
            return Claim(None, asked, asked.count)
        count = asked.count
        while True:
            row = self._row(asked, times(asked.once, count), 'open', self._claim_seconds)
            try:
                quotas.claim(self._db, row, bounds)
                return Claim(row, asked, count)
            except OverQuota as error:
                fewer = _fewer(asked, error.exceeded)
                if fewer is None or not asked.least <= fewer < count:
                    raise Refused(asked, _in_order(asked, error.exceeded)) from None
                count = fewer

    def queue(self, asked: Asked) -> tuple[Claim, int]:
        """Claim what is asked for of one resource, whatever the limit.

        :returns: the claim, and how much is claimed of it: by this one and by those that came before it
        """
        row = self._row(asked, asked.once, 'open', self._claim_seconds)
        return Claim(row, asked), quotas.queue(self._db, row)

    def give_back(self, claim: Claim) -> None:
        """Nothing came of it. Should that fail, a job gives it back later."""
        if claim.id is None:
            return
        try:
            quotas.give_back(self._db, claim.id)
        except db_exc.DBError:
            LOG.exception('claim %s could not be given back; it expires', claim.id)

    def leave_open(self, claim: Claim, pod_id: str, resource_type: str) -> None:
        """Nobody knows what came of it in that pod."""
        self._keep(claim, 'unknown', pod_id, resource_type, '')

    def watch(self, claim: Claim, pod_id: str, resource_type: str, resource_id: str) -> None:
        """The pod said yes to a change of a resource, and has to be looked at until it is done."""
        self._keep(claim, 'watch', pod_id, resource_type, resource_id)

    def watch_again(self, project_id: str, pod_id: str, resource_type: str, resource_id: str) -> None:
        """Something was seen to change without a claim."""
        self.watch(Claim(None, Asked(project_id, '', {})), pod_id, resource_type, resource_id)

    def _keep(self, claim: Claim, state: str, pod_id: str, resource_type: str, resource_id: str) -> None:
        due = utcnow() + timedelta(seconds=self._watch_seconds)
        try:
            if claim.id is not None:
                quotas.keep(
                    self._db,
                    claim.id,
                    state=state,
                    pod_id=pod_id,
                    resource_type=resource_type,
                    resource_id=resource_id,
                    expires_at=due,
                )
            else:
                row = self._row(claim.asked, {}, state, self._watch_seconds)
                values = {'pod_id': pod_id, 'resource_type': resource_type, 'resource_id': resource_id}
                quotas.watch(self._db, _with(row, values))
        except db_exc.DBError:
            LOG.exception('what became of %s %s will show only when it is recounted', resource_type, resource_id)

    def rest(self, pod_id: str, resource_type: str, resource_id: str) -> Mapping[str, object]:
        """Columns of a claim of which a part has come true, and whose rest has still to be seen in the pod."""
        return {
            'state': 'watch',
            'pod_id': pod_id,
            'resource_type': resource_type,
            'resource_id': resource_id,
            'expires_at': utcnow() + timedelta(seconds=self._watch_seconds),
        }

    def _row(self, asked: Asked, amounts: Amounts, state: str, seconds: float) -> QuotaClaim:
        now = utcnow()
        return QuotaClaim(
            id=str(uuid.uuid4()),
            project_id=asked.project_id,
            user_id=asked.user_id,
            resources={name: amount for name, amount in amounts.items() if amount > 0},
            request_id=asked.request_id,
            pod_id=None,
            resource_type=asked.resource_type,
            state=state,
            created_at=now,
            expires_at=now + timedelta(seconds=seconds),
            resource_id=asked.resource_id,
        )


def _with(row: QuotaClaim, values: Mapping[str, str]) -> QuotaClaim:
    return QuotaClaim(**{name: values.get(name, getattr(row, name)) for name in QuotaClaim.__slots__})


def _fewer(asked: Asked, exceeded: tuple[Exceeded, ...]) -> int | None:
    """How many there is room for."""
    room: dict[str, int] = {}
    for each in exceeded:
        left = each.bound.limit - each.used
        room[each.bound.resource] = min(left, room.get(each.bound.resource, left))
    return affordable(asked.once, room)


def _in_order(asked: Asked, exceeded: tuple[Exceeded, ...]) -> tuple[Exceeded, ...]:
    """One bound for each resource, the narrowest, with what was asked for in the first place."""
    narrowest: dict[str, Exceeded] = {}
    for each in exceeded:
        known = narrowest.get(each.bound.resource)
        if known is None or each.bound.limit - each.used < known.bound.limit - known.used:
            narrowest[each.bound.resource] = each
    return tuple(
        Exceeded(each.bound, asked.once[name] * asked.count, each.used) for name, each in sorted(narrowest.items())
    )


class BadOption(cfg.Error):
    """What ``[quota]`` says will not do; it keeps a service from starting."""


def load_driver(conf: cfg.ConfigOpts, db: Database, identity: Identity) -> Driver:
    """:raises BadOption: there is no driver of the name in the configuration"""
    name = conf.quota.driver
    try:
        plugin: Any = DriverManager(NAMESPACE, name).driver
    except NoMatches as error:
        known = ', '.join(sorted(ExtensionManager(NAMESPACE).entry_points_names()))
        raise BadOption(f'[quota] driver: there is no {name}; installed are {known}') from error
    driver: Driver = plugin(conf, db, identity)
    return driver
