# SPDX-License-Identifier: Apache-2.0
"""Free capacity of a pod for a request: the capacity read last, less the resources that this process created since.

A job reads the capacity of pods periodically. Resources that other processes create are not known before the next
read. A pod whose capacity was never read, or too long ago, is assumed to have enough.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from oslo_config import cfg

from trio2o.db.database import utcnow
from trio2o.db.records import Pod
from trio2o.pods.registry import PodView
from trio2o.pods.usage import BACKEND_SPEC, Amount, Usage
from trio2o.scheduler.spec import PodRequest

#: Time until the pod's own usage contains what it accepted: a server is claimed when it is scheduled, not when the
#: request is answered.
SETTLED = timedelta(seconds=10)


class InvalidOption(cfg.Error, ValueError):
    """An option of ``[scheduler]`` has no valid value, so the service cannot start."""


Headroom = Mapping[str, tuple[float, bool]]

#: Kinds of requests for which the usage of a pod keeps whether they fit.
_MOST_SHORTAGES = 100

#: A pod and a service.
_Key = tuple[str, str]


@dataclass
class _Second:
    """Amounts of the resources created in a pod within one second, and the pod's usage known at that time."""

    at: datetime
    usage: Usage | None
    taken: dict[str, int] = field(default_factory=dict)


class Room:
    """Free capacity of pods, as far as this process knows."""

    def __init__(self, conf: cfg.ConfigOpts, clock: Callable[[], datetime] = utcnow) -> None:
        """:raises InvalidOption: ``[scheduler] headroom`` cannot be read"""
        self._max_age = timedelta(seconds=conf.scheduler.usage_max_age)
        self._default = read_headroom(conf.scheduler.headroom)
        self._clock = clock
        self._recent: dict[_Key, dict[str, list[_Second]]] = {}
        self._lock = threading.Lock()

    def oldest(self) -> datetime:
        """Return the time since which usage must have been read to be used."""
        return self._clock() - self._max_age

    def amounts(self, pod: PodView, request: PodRequest) -> Mapping[str, Amount] | None:
        """Return the amounts of a pod's resources now; None if they are not known."""
        usage = _usage(pod, request.service, self.oldest())
        if usage is None:
            return None
        backend = _backend(request)
        amounts = usage.of_backend(backend)
        recent = self._since(pod, request.service, backend, usage)
        return _after(amounts, recent, backend) if recent else amounts

    def shortage(self, pod: PodView, request: PodRequest, oldest: datetime) -> str:
        """Describe the first resource that a pod has not enough of; '' if the request fits or no amounts are known.

        :param oldest: as ``oldest`` returns it, which reads the clock once for many pods
        """
        usage = _usage(pod, request.service, oldest)
        if usage is None:
            return ''
        backend = _backend(request)
        recent = self._since(pod, request.service, backend, usage) if self._recent else []
        if recent:
            return shortage(_after(usage.of_backend(backend), recent, backend), self.headroom(pod.record), request)
        # Requests for the same flavor follow one another, and the usage of most pods stays the same between them.
        key = request.amounts_key, backend, repr(pod.record.headroom) if pod.record.headroom else ''
        found = usage.shortages.get(key)
        if found is None:
            if len(usage.shortages) >= _MOST_SHORTAGES:
                usage.shortages.clear()
            found = shortage(usage.of_backend(backend), self.headroom(pod.record), request)
            usage.shortages[key] = found
        return found

    def headroom(self, pod: Pod) -> Headroom:
        """Return the headroom of each resource in a pod: that of the pod, else that of ``[scheduler] headroom``."""
        own = pod.headroom
        return {**self._default, **read_headroom(own)} if own else self._default

    def placed(self, pod: PodView, request: PodRequest) -> None:
        """Remember that the pod accepted a request."""
        if not request.resources:
            return
        now = self._clock().replace(microsecond=0)
        with self._lock:
            seconds = self._recent.setdefault((pod.id, request.service), {}).setdefault(_backend(request), [])
            while seconds and seconds[0].at < now - self._max_age - SETTLED:
                del seconds[0]  # the usage of that pod is no longer read
            if not seconds or seconds[-1].at != now:
                seconds.append(_Second(now, _usage(pod, request.service, self.oldest())))
            taken = seconds[-1].taken
            for name, amount in request.resources.items():
                taken[name] = taken.get(name, 0) + amount

    def is_stale(self, collected_at: datetime) -> bool:
        """Whether usage that was read at that time is too old to be used."""
        return collected_at < self.oldest()

    def _since(self, pod: PodView, service: str, backend: str, usage: Usage) -> list[_Second]:
        """Return the creates that the usage may not contain yet, the earliest first."""
        key = pod.id, service
        if key not in self._recent:
            return []
        found: list[_Second] = []
        with self._lock:
            by_backend = self._recent.get(key, {})
            for name, seconds in list(by_backend.items()):
                left = [second for second in seconds if usage.collected_at < second.at + SETTLED]
                if left:
                    by_backend[name] = left
                else:
                    del by_backend[name]
                if not backend or name in ('', backend):
                    found += left
            if not by_backend:
                self._recent.pop(key, None)
        return sorted(found, key=lambda second: second.at)


def _usage(pod: PodView, service: str, oldest: datetime) -> Usage | None:
    """Return the usage of a service of a pod, unless it was read before a time."""
    usage = pod.usages.get(service)
    return None if usage is None or usage.collected_at < oldest else usage


def _backend(request: PodRequest) -> str:
    return request.extra_specs.get(BACKEND_SPEC, '')


def _after(amounts: Mapping[str, Amount], recent: list[_Second], backend: str) -> dict[str, Amount]:
    """Return the amounts after recent creates.

    The usage read last may already contain a part of these. So for each resource the lower of two free amounts counts:
    the one read last, and the one before the first of the creates less all of them.
    """
    usage = recent[0].usage
    before = {} if usage is None else usage.of_backend(backend)
    found = dict(amounts)
    for name, amount in amounts.items():
        taken = sum(second.taken.get(name, 0) for second in recent)
        was = before.get(name, amount)
        if taken and amount.free is not None and was.free is not None:
            found[name] = amount.less(max(0, amount.free - (was.free - taken)))
    return found


def read_headroom(texts: Mapping[str, Any] | None) -> dict[str, tuple[float, bool]]:
    """Parse headroom.

    :param texts: ``{'vcpu': 8, 'memory_mb': '10%'}``; the case of names does not matter
    :returns: by resource, the amount and whether it is a share of the capacity
    :raises InvalidOption: a value is neither an amount nor a percentage
    """
    return {_resource(name): _headroom(name, value) for name, value in (texts or {}).items()}


def _resource(name: str) -> str:
    return name.lower() if name.lower() == 'gigabytes' else name.upper()


def _headroom(name: str, value: Any) -> tuple[float, bool]:
    text = str(value).strip()
    try:
        amount = float(text.removesuffix('%'))
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float('inf') or (text.endswith('%') and amount > 100):
        raise InvalidOption(f"headroom of {name} is '{value}': it must be an amount, or a percentage such as 10%")
    return (amount / 100, True) if text.endswith('%') else (amount, False)


def kept(amount: Amount, headroom: tuple[float, bool]) -> float:
    """Return the amount of a resource that is kept free."""
    value, is_share = headroom
    return value * (amount.capacity or 0) if is_share else value


def shortage(amounts: Mapping[str, Amount], headroom: Headroom, request: PodRequest) -> str:
    """Describe the first resource that the pod has not enough of.

    A request without known amounts fits if the headroom of every resource is still free. A resource that the pod does
    not report, or whose capacity is unlimited, is never short.

    :returns: '' if the request fits
    """
    wanted = request.wanted
    for name in wanted if request.resources else amounts:
        amount, want = amounts.get(name), wanted.get(name, 0)
        if amount is None or amount.free is None:
            continue
        keep = kept(amount, headroom[name]) if name in headroom else 0.0
        if amount.free - want < keep:
            return f'{name}: {want:g} requested, {amount.free:g} free, of which {keep:g} is headroom'
        one = want / max(request.count, 1)
        if amount.largest is not None and one > amount.largest:
            return f'{name}: {one:g} requested, at most {amount.largest:g} free in one host or pool'
    return ''
