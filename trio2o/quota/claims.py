# SPDX-License-Identifier: Apache-2.0
"""Claims on the quota.

A claim is a row in the database, made before the request is sent to a pod, that holds the requested amounts until the
outcome is known. Then it turns into usage, in the transaction that records the routing; or it is released; or it
stays open until ``settle`` finds out the outcome in the pod. A request that no limit applies to makes no claim, but
its usage is counted all the same.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from oslo_config import cfg
from oslo_db import exception as db_exc
from stevedore import DriverManager, ExtensionManager
from stevedore.exception import NoMatches

from trio2o.db import quotas
from trio2o.db.database import Database, utcnow
from trio2o.db.quotas import BoundsExceeded, Exceeded
from trio2o.db.records import QuotaClaim
from trio2o.pods.identity import Identity
from trio2o.quota.amounts import Amounts, max_count, multiply
from trio2o.quota.base import Driver

LOG = logging.getLogger(__name__)

NAMESPACE = 'trio2o.quota.drivers'


@dataclass(frozen=True)
class ClaimRequest:
    """The amounts that a request needs from the quota.

    :ivar amounts: for one of the resources that the request creates
    :ivar count: number of resources that it creates
    :ivar min_count: smallest number that the client accepts
    :ivar resource_id: the resource that the request changes; empty if it creates resources
    :ivar pod_id: the pod that the request will be sent to; empty: not known yet
    """

    project_id: str
    user_id: str
    amounts: Amounts
    count: int = 1
    min_count: int = 1
    resource_type: str = ''
    resource_id: str = ''
    request_id: str = ''
    pod_id: str = ''


@dataclass(frozen=True)
class Claim:
    """A granted request.

    :ivar row: None if the request creates resources and no limit applies, so that nothing is claimed
    :ivar count: number of resources granted
    """

    row: QuotaClaim | None
    request: ClaimRequest
    count: int = 1

    @property
    def id(self) -> str | None:
        return self.row.id if self.row is not None else None


class OverQuota(Exception):
    """Limits do not allow a request.

    :ivar exceeded: the limits, one for each quota resource, sorted by name
    """

    def __init__(self, request: ClaimRequest, exceeded: tuple[Exceeded, ...]) -> None:
        super().__init__(', '.join(each.bound.resource for each in exceeded))
        self.request = request
        self.exceeded = exceeded


class Quota:
    """Makes claims and records their outcome. One per process."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, identity: Identity, driver: Driver | None = None) -> None:
        """:param driver: instead of the driver that the configuration names"""
        self._db = db
        self._claim_seconds = conf.quota.claim_seconds
        self._watch_seconds = conf.quota.watch_seconds
        self.driver = driver or load_driver(conf, db, identity)

    def claim(self, request: ClaimRequest) -> Claim:
        """Claim the amounts for as many of the resources as the limits allow, ``min_count`` at least.

        :raises OverQuota: the limits do not allow that many; nothing is claimed
        """
        names = sorted(name for name, amount in request.amounts.items() if amount > 0)
        bounds = self.driver.bounds(request.project_id, request.user_id, names) if names else []
        if not bounds:
            return Claim(self._change_row(request), request, request.count)
        count = request.count
        while True:
            row = self._row(request, multiply(request.amounts, count), 'open', self._claim_seconds)
            try:
                quotas.insert_claim(self._db, row, bounds)
                return Claim(row, request, count)
            except BoundsExceeded as error:
                allowed = _allowed_count(request, error.exceeded)
                if allowed is None or not request.min_count <= allowed < count:
                    raise OverQuota(request, _narrowest(request, error.exceeded)) from None
                count = allowed

    def _change_row(self, request: ClaimRequest) -> QuotaClaim | None:
        """Record that a request is about to change a resource, so that its outcome is found out if this process dies.

        :returns: a row without amounts; None if the request creates resources, or the database fails
        """
        if not request.resource_id:
            return None
        row = self._row(request, {}, 'open', self._claim_seconds)
        try:
            quotas.watch(self._db, row)
        except db_exc.DBError:
            LOG.exception('Failed to record that %s %s may change', request.resource_type, request.resource_id)
            return None
        return row

    def queue(self, request: ClaimRequest) -> tuple[Claim, int]:
        """Claim an amount of one quota resource without comparing it with a limit.

        :returns: the claim, and the sum of this and all earlier open claims of the quota resource
        """
        row = self._row(request, request.amounts, 'open', self._claim_seconds)
        return Claim(row, request), quotas.queue(self._db, row)

    def release(self, claim: Claim) -> None:
        """Release a claim whose request created nothing. If that fails, the claim expires."""
        if claim.id is None:
            return
        try:
            quotas.release(self._db, claim.id)
        except db_exc.DBError:
            LOG.exception('Failed to release claim %s; it will be settled when it expires', claim.id)

    def name_pod(self, claim: Claim, pod_id: str) -> Claim:
        """Record the pod that a request is about to be sent to: its outcome is looked for there if this process dies.

        :returns: the claim with the pod
        """
        if claim.row is None or claim.row.pod_id == pod_id:
            return claim
        quotas.keep(self._db, claim.row.id, pod_id=pod_id)
        return replace(claim, row=replace(claim.row, pod_id=pod_id))

    def keep_open(self, claim: Claim, pod_id: str, resource_type: str, resource_id: str) -> None:
        """Keep open the claim of a request whose outcome in the pod is unknown, until it is settled.

        :param resource_id: the resource that the request changes; empty for a create
        """
        self._keep(claim, 'unknown', pod_id, resource_type, resource_id)

    def watch(self, claim: Claim, pod_id: str, resource_type: str, resource_id: str) -> None:
        """Keep open the claim of a change of a resource until the pod has finished the change."""
        self._keep(claim, 'watch', pod_id, resource_type, resource_id)

    def watch_again(self, project_id: str, pod_id: str, resource_type: str, resource_id: str) -> None:
        """Make a claim without amounts for a resource that is changing, so that its usage is measured again."""
        self.watch(Claim(None, ClaimRequest(project_id, '', {})), pod_id, resource_type, resource_id)

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
                row = self._row(claim.request, {}, state, self._watch_seconds)
                row = replace(row, pod_id=pod_id, resource_type=resource_type, resource_id=resource_id)
                quotas.watch(self._db, row)
        except db_exc.DBError:
            LOG.exception(
                'Failed to record claim for %s %s; the next recount will correct usage', resource_type, resource_id
            )

    def columns_of_rest(self, pod_id: str, resource_type: str, resource_id: str) -> Mapping[str, object]:
        """Return new values for a claim of which a part became the deltas of a resource.

        The rest is for resources that are created along with it, and stays open until the pod has created them.
        """
        return {
            'state': 'watch',
            'pod_id': pod_id,
            'resource_type': resource_type,
            'resource_id': resource_id,
            'expires_at': utcnow() + timedelta(seconds=self._watch_seconds),
        }

    def _row(self, request: ClaimRequest, amounts: Amounts, state: str, seconds: float) -> QuotaClaim:
        now = utcnow()
        return QuotaClaim(
            id=str(uuid.uuid4()),
            project_id=request.project_id,
            user_id=request.user_id,
            resources={name: amount for name, amount in amounts.items() if amount > 0},
            request_id=request.request_id,
            pod_id=request.pod_id or None,
            resource_type=request.resource_type,
            state=state,
            created_at=now,
            expires_at=now + timedelta(seconds=seconds),
            resource_id=request.resource_id,
        )


def _allowed_count(request: ClaimRequest, exceeded: tuple[Exceeded, ...]) -> int | None:
    """Return how many of the requested resources the exceeded limits allow."""
    free: dict[str, int] = {}
    for each in exceeded:
        left = each.bound.limit - each.used
        free[each.bound.resource] = min(left, free.get(each.bound.resource, left))
    return max_count(request.amounts, free)


def _narrowest(request: ClaimRequest, exceeded: tuple[Exceeded, ...]) -> tuple[Exceeded, ...]:
    """Return the narrowest limit of each quota resource, with the amount of the whole request."""
    narrowest: dict[str, Exceeded] = {}
    for each in exceeded:
        known = narrowest.get(each.bound.resource)
        if known is None or each.bound.limit - each.used < known.bound.limit - known.used:
            narrowest[each.bound.resource] = each
    return tuple(
        Exceeded(each.bound, request.amounts[name] * request.count, each.used)
        for name, each in sorted(narrowest.items())
    )


class UnknownDriver(cfg.Error):
    """``[quota] driver`` names a driver that is not installed; the service does not start."""


def load_driver(conf: cfg.ConfigOpts, db: Database, identity: Identity) -> Driver:
    """Load the driver that ``[quota] driver`` names.

    :raises UnknownDriver: it is not installed
    """
    name = conf.quota.driver
    try:
        plugin: Any = DriverManager(NAMESPACE, name).driver
    except NoMatches as error:
        known = ', '.join(sorted(ExtensionManager(NAMESPACE).entry_points_names()))
        raise UnknownDriver(f'[quota] driver: there is no {name}; installed are {known}') from error
    driver: Driver = plugin(conf, db, identity)
    return driver
