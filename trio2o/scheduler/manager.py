# SPDX-License-Identifier: Apache-2.0
"""Pods -> filters -> weighers -> binding."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import stevedore
from oslo_config import cfg

from trio2o.db import bindings
from trio2o.db.records import Binding
from trio2o.db.session import Database
from trio2o.pods.health import Breakers
from trio2o.pods.registry import PodView, Registry
from trio2o.scheduler.base import BaseFilter, BaseWeigher
from trio2o.scheduler.spec import PodRequest

LOG = logging.getLogger(__name__)


class Scheduler:
    """Chooses pods for new resources. Plug-ins are loaded once, when it is made."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, registry: Registry, breakers: Breakers) -> None:
        self._db = db
        self._registry = registry
        self._filters: list[tuple[str, BaseFilter]] = [
            (name, plugin(conf, breakers))
            for name, plugin in _load('trio2o.scheduler.filters', conf.scheduler.filters)
        ]
        multipliers = conf.scheduler.weight_multipliers
        self._weighers: list[tuple[str, BaseWeigher, float]] = []
        for name, plugin in _load('trio2o.scheduler.weighers', conf.scheduler.weighers):
            weigher = plugin(conf)
            self._weighers.append((name, weigher, float(multipliers.get(name, weigher.default_multiplier))))

    def select(self, request: PodRequest) -> list[PodView]:
        """Pods for a new resource, best first; empty if no pod will do.

        The project is bound to the first, unless it is bound already in that zone and group to one that will do.
        """
        current = bindings.current(self._db, request.project_id)
        request = replace(request, bound=tuple(binding.pod_id for binding in current))
        pods = self._order(self._filter(self._registry.snapshot().pods, request), request)
        if not pods:
            return []
        return self._bind(pods, request, current)

    def moved(self, request: PodRequest, pod: PodView) -> None:
        """The resource went to another pod than the best: let the binding follow."""
        for binding in bindings.current(self._db, request.project_id):
            if _is_for(binding, pod.zone, request) and binding.pod_id != pod.id:
                bindings.move(self._db, binding.id, pod.id)
                LOG.info('binding of project %s in zone %s moved to %s', request.project_id, pod.zone, pod.name)

    def _bind(self, pods: list[PodView], request: PodRequest, current: list[Binding]) -> list[PodView]:
        best = pods[0]
        if any(binding.pod_id == best.id for binding in current if binding.az_name in ('', best.zone)):
            return pods
        mine = next((binding for binding in current if _is_for(binding, best.zone, request)), None)
        if mine is None:
            mine = bindings.bind(self._db, request.project_id, best.zone, '', best.id)
        else:
            mine = bindings.move(self._db, mine.id, best.id)
        LOG.info('project %s bound in zone %s to %s', request.project_id, best.zone, best.name)
        # Of two first creates at once one binds; the other follows it.
        return sorted(pods, key=lambda pod: pod.id != mine.pod_id)

    def _filter(self, pods: Sequence[PodView], request: PodRequest) -> list[PodView]:
        left = list(pods)
        for name, plugin in self._filters:
            passed = [pod for pod in left if plugin.passes(pod, request)]
            if len(passed) < len(left):
                LOG.debug('filter %s dropped %s', name, [pod.name for pod in left if pod not in passed])
            left = passed
        return left

    def _order(self, pods: list[PodView], request: PodRequest) -> list[PodView]:
        weights = dict.fromkeys(pods, 0.0)
        for _name, weigher, multiplier in self._weighers:
            raw = {pod: weigher.weigh(pod, request) for pod in pods}
            low, high = min(raw.values(), default=0.0), max(raw.values(), default=0.0)
            if high > low:
                for pod, weight in raw.items():
                    weights[pod] += multiplier * (weight - low) / (high - low)
        return sorted(pods, key=lambda pod: (-weights[pod], pod.record.number))


def _is_for(binding: Binding, zone: str, request: PodRequest) -> bool:
    return not binding.is_pinned and binding.az_name == zone and binding.affinity_group == ''


def _load(namespace: str, names: Sequence[str]) -> list[tuple[str, type]]:
    """Plug-in classes in the order named.

    :raises ValueError: a name has no entry point
    """
    manager: stevedore.NamedExtensionManager[type] = stevedore.NamedExtensionManager(
        namespace, list(names), name_order=True, on_missing_entrypoints_callback=_missing(namespace)
    )
    return [(extension.name, extension.plugin) for extension in manager]


def _missing(namespace: str):  # type: ignore[no-untyped-def]
    def complain(names: set[str]) -> None:
        raise ValueError(f'no plug-in {", ".join(sorted(names))} in {namespace}')

    return complain
