# SPDX-License-Identifier: Apache-2.0
"""Keystone's unified limits, read through oslo.limit. Usage and claims stay in Trio2o's own tables.

The limits are those of Trio2o's region and of the service of the quota resource. Servers, cores and memory have the
names that Nova uses there. As in oslo.limit, a quota resource without a registered limit has a limit of 0; only limits
of volume types are optional. Under Keystone's strict two-level model the limit of a project also applies to the usage
of the project and the projects below it together.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cachetools import TTLCache
from openstack import connection
from openstack import exceptions as sdk_exceptions
from oslo_config import cfg
from oslo_limit import exception as limit_exceptions
from oslo_limit import limit as oslo_limit

from trio2o import exception
from trio2o.conf.quota import DEFAULTS
from trio2o.db.database import Database
from trio2o.db.quotas import Bound
from trio2o.pods.identity import FAILURES, Identity
from trio2o.quota.amounts import COUNTED, Amounts, is_counted
from trio2o.quota.base import Driver, bounds_of
from trio2o.quota.tree import ProjectTree
from trio2o.web.pod_failures import RETRY_AFTER

#: Quota resource -> its name in Keystone, where they differ.
NAMES = {'instances': 'servers', 'cores': 'class:VCPU', 'ram': 'class:MEMORY_MB'}
#: Service types under which Keystone may have registered limits, the preferred one first.
_TYPES = {'compute': ('compute',), 'volume': ('block-storage', 'volumev3')}
_TWO_LEVELS = 'strict-two-level'
_FAILED = (*FAILURES, sdk_exceptions.SDKException, limit_exceptions.SessionInitError, ValueError)

# oslo.limit reads options of the global configuration, so these must not change while another thread reads them.
_lock = threading.Lock()


class ServiceLimits(oslo_limit.Enforcer):
    """Reads the limits of one service under any enforcement model. Trio2o itself enforces them."""

    def __init__(self) -> None:
        super().__init__(_no_usage)
        self.model_name: str = self._get_enforcement_model()

    def _get_model_impl(self, usage_callback: Any, cache: bool = True) -> Any:
        return oslo_limit._FlatEnforcer(usage_callback, cache=cache)


def _no_usage(project_id: str | None, names: Collection[str]) -> dict[str, int]:
    return dict.fromkeys(names, 0)


class UnifiedDriver(Driver):
    is_settable = False

    def __init__(self, conf: cfg.ConfigOpts, db: Database, identity: Identity) -> None:
        super().__init__(conf, db, identity)
        self._tree = ProjectTree(conf, identity)
        self._cache: TTLCache[str, ServiceLimits] = TTLCache(len(COUNTED), conf.quota.tree_seconds)
        self._cache_lock = threading.Lock()

    def defaults(self, class_name: str = 'default') -> Amounts:
        return self._named({service: self._registered(service) for service in COUNTED})

    def limits(self, project_id: str, user_id: str = '') -> Amounts:
        return self._named(
            {service: {**self._registered(service), **self._set(service, project_id)} for service in COUNTED}
        )

    def bounds(self, project_id: str, user_id: str, names: Collection[str]) -> list[Bound]:
        bounds = bounds_of(project_id, '', self.limits(project_id), names)
        if any(self._limits(service).model_name == _TWO_LEVELS for service in COUNTED):
            for owner in (project_id, *self._tree.ancestors(project_id)):
                members = (owner, *self._tree.descendants(owner))
                if len(members) > 1:
                    bounds += bounds_of(owner, '', self.limits(owner), names, members)
        return bounds

    def _named(self, found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        """Return limits by Trio2o's names of the quota resources; 0 for those without a limit."""
        ours = {theirs: name for name, theirs in NAMES.items()}
        limits = dict.fromkeys(DEFAULTS, 0)
        for service, of_service in found.items():
            for theirs, limit in of_service.items():
                name = ours.get(theirs, theirs)
                if is_counted(name, service):
                    limits[name] = limit
        return limits

    def _registered(self, service: str) -> dict[str, int]:
        return self._ask(lambda: self._limits(service).get_registered_limits(None))  # type: ignore

    def _set(self, service: str, project_id: str) -> dict[str, int]:
        return self._ask(lambda: self._limits(service).get_project_limits(project_id, None))  # type: ignore

    def _ask(self, read: Any) -> dict[str, int]:
        try:
            pairs: Iterable[tuple[str, int]] = read()
            return dict(pairs)
        except _FAILED as error:
            raise exception.ServiceUnavailable(
                f'Limits cannot be read from Keystone now: {type(error).__name__}', retry_after=RETRY_AFTER
            ) from error

    def _limits(self, service: str) -> ServiceLimits:
        """:raises ValueError: Keystone has no such service in this region"""
        with self._cache_lock:
            found = self._cache.get(service)
        if found is None:
            with _lock:
                found = self._open(service)
            with self._cache_lock:
                self._cache[service] = found
        return found

    def _open(self, service: str) -> ServiceLimits:
        identity: Any = connection.Connection(session=self.identity.session).identity
        oslo_limit._SDK_CONNECTION = identity
        of_process = oslo_limit.CONF
        of_process.set_override('endpoint_region_name', self.conf.region_name, 'oslo_limit')
        *others, last = _TYPES[service]
        for name in others:
            of_process.set_override('endpoint_service_type', name, 'oslo_limit')
            try:
                return ServiceLimits()
            except ValueError:
                continue
        of_process.set_override('endpoint_service_type', last, 'oslo_limit')
        return ServiceLimits()
