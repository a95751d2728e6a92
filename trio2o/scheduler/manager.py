# SPDX-License-Identifier: Apache-2.0
"""Selection of pods for new resources: filters, then weighers, then the binding of the project."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

import stevedore
from oslo_config import cfg

from trio2o import exception
from trio2o.db import bindings, routings
from trio2o.db.database import Database
from trio2o.db.errors import NOT_RECORDED, RecordNotFound
from trio2o.db.records import Binding
from trio2o.pods.breakers import Breakers
from trio2o.pods.registry import PodView, Registry, Snapshot
from trio2o.resources import SERVER, VOLUME
from trio2o.scheduler.base import BaseFilter, BaseWeigher
from trio2o.scheduler.capacity import InvalidOption, Room
from trio2o.scheduler.decision import Decision, Dropped, Weighed
from trio2o.scheduler.spec import PodRequest
from trio2o.scheduler.weighers.spread import SpreadWeigher
from trio2o.web import pod_failures

LOG = logging.getLogger(__name__)

FILTERS = 'trio2o.scheduler.filters'
WEIGHERS = 'trio2o.scheduler.weighers'

#: Times that a binding is read again because it was deleted or ended meanwhile.
_BIND_ROUNDS = 3


#: Message of Nova and Cinder if no host fits, and the resource whose extra specs were not met.
_NO_FIT = {
    'compute': ('No valid host was found.', 'flavor'),
    'volume': ('No valid backend was found.', 'volume type'),
}


class Scheduler:
    """Chooses pods for new resources. Plug-ins are loaded once, when it is made."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, registry: Registry, breakers: Breakers) -> None:
        """:raises InvalidOption: ``[scheduler]`` names an unknown plug-in, or has an invalid value"""
        self._conf = conf
        self._db = db
        self._registry = registry
        self._breakers = breakers
        self.room = Room(conf)
        options = conf.scheduler
        self._rebind_seconds: float = options.rebind_seconds
        self._filters: list[tuple[str, BaseFilter]] = [
            (name, plugin(conf, breakers, self.room)) for name, plugin in _load(FILTERS, 'filters', options.filters)
        ]
        multipliers = _multipliers(options.weight_multipliers, options.weighers)
        self._weighers: list[tuple[str, BaseWeigher, float]] = []
        for name, plugin in _load(WEIGHERS, 'weighers', options.weighers):
            weigher = plugin(conf, self.room)
            self._weighers.append((name, weigher, multipliers.get(name, weigher.default_multiplier)))
        self._spread = SpreadWeigher(conf, self.room)

    def decide(self, request: PodRequest, *, of_all: bool = False) -> Decision:
        """Choose pods for a new resource without any effect: no binding, no record of the choice.

        :param of_all: name all pods that were dropped, for operators; otherwise those of other zones are left out
        """
        current = bindings.current(self._db, request.project_id)
        bound = tuple(dict.fromkeys(binding.pod_id for binding in current))
        request = replace(request, bound=bound, only=_exclusive(current))
        snapshot = self._registry.snapshot()
        pods = snapshot.pods if of_all else self._candidates(snapshot, request)
        left, dropped = self._filter(pods, request)
        return Decision(request, self._order(left, request), tuple(dropped), tuple(current))

    def for_plans(self) -> Scheduler:
        """Return a scheduler that does not know what this one has placed. It loads the plug-ins again."""
        return Scheduler(self._conf, self._db, self._registry, self._breakers)

    def rank(self, pods: Sequence[PodView], request: PodRequest, *, by_usage: bool = False) -> tuple[Weighed, ...]:
        """Weigh given pods, best first, without those that the filters drop.

        :param pods: may differ from what the registry knows, as for a plan
        :param request: with ``only``; see ``exclusive``
        :param by_usage: use only the weighers that depend on how full pods are; ``spread`` if none is configured
        """
        left, _dropped = self._filter(pods, request)
        if not by_usage:
            return self._order(left, request)
        chosen = [each for each in self._weighers if each[1].weighs_usage]
        return self._order(left, request, chosen or [('spread', self._spread, 1.0)])

    def exclusive(self, project_id: str) -> Mapping[tuple[str, str], frozenset[str]]:
        """Return the pods of the exclusive bindings of a project, for ``PodRequest.only``."""
        return _exclusive(bindings.current(self._db, project_id))

    def select(self, request: PodRequest) -> list[PodView]:
        """Choose pods for a new resource, best first, and bind the project to the first one.

        A project that is already bound to one of the pods, in that zone and group, keeps its binding. It also does
        so for some time after the pod began to fail, if it has resources there.

        :raises BadRequest: no pod of the zone matches the extra specs
        :raises ServiceUnavailable: no pod can take the resource now
        """
        return self.bind(self.decide(request))

    def bind(self, decision: Decision) -> list[PodView]:
        """Bind the project to the first pod of a decision; see ``select``.

        :raises BadRequest: see ``select``
        :raises ServiceUnavailable: see ``select``
        """
        request, current = decision.request, list(decision.bindings)
        LOG.info(
            'Pods for a new %s of project %s in %s: %s',
            request.resource_type or request.service,
            request.project_id,
            request.zone or 'any zone',
            decision,
        )
        pods = decision.pods
        for _ in range(len(pods) + _BIND_ROUNDS):
            if not pods:
                break
            try:
                return self._bind(pods, request, current, has_failed=False)
            except RecordNotFound as error:
                # The pod or the binding was deleted after it was read.
                LOG.warning('Choosing a pod again for project %s: %s', request.project_id, error)
                if error.what == 'pod':
                    pods = pods[1:]
                current = bindings.current(self._db, request.project_id)
        raise self._no_pod(decision)

    def placed(self, request: PodRequest, pod: PodView) -> None:
        """Record that a pod accepted a request, which reduces its free capacity."""
        self.room.placed(pod, request)

    def moved(self, request: PodRequest, pod: PodView, has_failed: bool = False) -> None:
        """Bind the project to the pod that accepted the request, as that is not the best one.

        A failure is only logged: the resource exists, and the next create chooses a pod again.

        :param has_failed: whether the better pods failed; False: they had no room
        """
        try:
            current = bindings.current(self._db, request.project_id)
            if not any(binding.pod_id == pod.id for binding in current):
                self._bind([pod], request, current, has_failed=has_failed)
        except NOT_RECORDED:
            LOG.exception('Failed to bind project %s to pod %s', request.project_id, pod.name)

    def _bind(
        self, pods: list[PodView], request: PodRequest, current: list[Binding], *, has_failed: bool
    ) -> list[PodView]:
        best = pods[0]
        if any(binding.pod_id == best.id for binding in current):
            return pods
        mine = next((binding for binding in current if _is_for(binding, best)), None)
        if mine is None:
            mine = bindings.bind(self._db, request.project_id, best.zone, best.group, best.id)
        elif self._stays_bound(mine, request, has_failed):
            LOG.info('Project %s stays bound to the pod %s, which fails', request.project_id, mine.pod_id)
            return pods
        else:
            mine = bindings.move(self._db, mine.id, best.id)
        LOG.info('Project %s is now bound in zone %s to pod %s', request.project_id, best.zone, best.name)
        # Two first creates may run concurrently: both then prefer the pod that one of them bound.
        return sorted(pods, key=lambda pod: pod.id != mine.pod_id)

    def _stays_bound(self, mine: Binding, request: PodRequest, has_failed: bool) -> bool:
        """Return whether a binding stays although its pod takes no resource now: the pod may work again soon.

        If the binding moved, new volumes would be in another pod than the servers that the project has.

        :param has_failed: whether the pod has just failed
        """
        pod = self._registry.snapshot().by_id.get(mine.pod_id)
        seconds = self._breakers.seconds_tripped((mine.pod_id, request.service))
        if pod is None or not pod.is_enabled or seconds >= self._rebind_seconds or not (seconds or has_failed):
            return False
        return pod.id in routings.pods_of_project(self._db, (SERVER.type, VOLUME.type), request.project_id)

    def _candidates(self, snapshot: Snapshot, request: PodRequest) -> Sequence[PodView]:
        """Return the fewest pods that a filter selects by an index; all pods if none does."""
        given = (plugin.candidates(snapshot, request) for _name, plugin in self._filters)
        return min((pods for pods in given if pods is not None), key=len, default=snapshot.pods)

    def _filter(self, pods: Sequence[PodView], request: PodRequest) -> tuple[list[PodView], list[Dropped]]:
        left, dropped = list(pods), []
        for name, plugin in self._filters:
            passed = plugin.passing(left, request)
            if len(passed) < len(left):
                kept = {pod.id for pod in passed}
                dropped += [Dropped(pod, name, plugin.why(pod, request)) for pod in left if pod.id not in kept]
            left = passed
        return left, dropped

    def _order(
        self, pods: list[PodView], request: PodRequest, chosen: Sequence[tuple[str, BaseWeigher, float]] | None = None
    ) -> tuple[Weighed, ...]:
        """:param chosen: the weighers to use; None: all"""
        weighers = self._weighers if chosen is None else chosen
        names = [name for name, _weigher, _multiplier in weighers]
        columns = [
            [multiplier * weight for weight in scale([weigher.weigh(pod, request) for pod in pods])]
            for _name, weigher, multiplier in weighers
        ]
        rows = zip(*columns, strict=True) if columns else repeat((), len(pods))
        weighed = [Weighed(pod, names, weights, sum(weights)) for pod, weights in zip(pods, rows, strict=True)]
        weighed.sort(key=lambda each: (-each.weight, each.pod.record.number))
        return tuple(weighed)

    def _no_pod(self, decision: Decision) -> exception.Trio2oException:
        """Return the error for a request for which no pod passed the filters."""
        request = decision.request
        where = f'availability zone {request.zone}' if request.zone else 'this cloud'
        if self._has_unknown_affinity(decision):
            no_fit, carrier = _NO_FIT[request.service]
            if not request.affinity:
                return exception.BadRequest(
                    f'{no_fit} Every part of {where} is reserved for a {carrier} with matching extra specs.'
                )
            wanted = ', '.join(f'{key}={value}' for key, value in sorted(request.affinity.items()))
            return exception.BadRequest(
                f'{no_fit} No part of {where} matches the extra specs of the {carrier}: {wanted}.'
            )
        kind = request.resource_type or 'resource'
        return pod_failures.cannot_create(kind, request.zone or '', is_temporary=decision.dropped_by('breaker'))

    def _has_unknown_affinity(self, decision: Decision) -> bool:
        """Whether no pod of the zone, whatever its state, matches the extra specs of the request."""
        affinity = next((plugin for name, plugin in self._filters if name == 'resource_affinity'), None)
        if affinity is None or not decision.dropped_by('resource_affinity'):
            return False
        request = decision.request
        pods = [pod for pod in self._registry.snapshot().pods if request.zone in ('', pod.zone)]
        return not affinity.passing(pods, request)


def scale(raw: Sequence[float]) -> list[float]:
    """Scale weights so that the lowest is 0 and the highest 1; all are 0 if they are equal.

    Infinity counts as a little more than the highest finite weight, negative infinity as a little less than the
    lowest, and NaN as the lowest.
    """
    low, high = min(raw, default=0.0), max(raw, default=0.0)
    given = raw
    # The sum is not finite if one of the weights is not.
    if not math.isfinite(sum(raw)):
        finite = [weight for weight in raw if math.isfinite(weight)]
        low, high = min(finite, default=0.0), max(finite, default=0.0)
        more = (high - low) * 0.01 or 1.0
        bounds = {math.inf: high + more, -math.inf: low - more}
        given = [bounds.get(weight, weight) for weight in raw]
        low = min((weight for weight in given if not math.isnan(weight)), default=0.0)
        given = [low if math.isnan(weight) else weight for weight in given]
        high = max(given)
    span = high - low
    if not span > 0:
        return [0.0] * len(given)
    return [(weight - low) / span for weight in given]


def _is_for(binding: Binding, pod: PodView) -> bool:
    return not binding.is_pinned and binding.az_name == pod.zone and binding.affinity_group == pod.group


def _exclusive(current: Sequence[Binding]) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], frozenset[str]] = {}
    for binding in current:
        if binding.is_exclusive:
            key = binding.az_name, binding.affinity_group
            found[key] = found.get(key, frozenset()) | {binding.pod_id}
    return found


def _multipliers(given: Mapping[str, str], weighers: Sequence[str]) -> dict[str, float]:
    """Parse ``weight_multipliers``.

    :raises InvalidOption: a weigher is not in use, or a value is not a number
    """
    found = {}
    for name, text in given.items():
        if name not in weighers:
            raise InvalidOption(
                f'[scheduler] weight_multipliers: {name} is not among the weighers {", ".join(weighers)}'
            )
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = math.nan
        if not math.isfinite(found[name]):
            raise InvalidOption(f"[scheduler] weight_multipliers: '{text}' of {name} is not a number")
    return found


def _load(namespace: str, option: str, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Load plug-in classes in the order named.

    :raises InvalidOption: a name has no entry point, or the plug-in cannot be imported
    """
    manager: stevedore.NamedExtensionManager[Any] = stevedore.NamedExtensionManager(
        namespace,
        list(names),
        name_order=True,
        on_missing_entrypoints_callback=_missing(namespace, option),
        on_load_failure_callback=_broken(option),
    )
    return [(extension.name, extension.plugin) for extension in manager]


def _missing(namespace: str, option: str):  # type: ignore[no-untyped-def]
    def complain(names: set[str]) -> None:
        known = ', '.join(sorted(stevedore.ExtensionManager(namespace).entry_points_names()))
        raise InvalidOption(f'[scheduler] {option}: there is no {", ".join(sorted(names))}; installed are {known}')

    return complain


def _broken(option: str):  # type: ignore[no-untyped-def]
    def complain(_manager: Any, entry_point: Any, error: BaseException) -> None:
        raise InvalidOption(f'[scheduler] {option}: {entry_point.name} cannot be loaded: {error}') from error

    return complain
