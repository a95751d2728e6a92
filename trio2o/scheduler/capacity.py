# SPDX-License-Identifier: Apache-2.0
"""How much room a pod has for a request: what was read of it last, less what this process put there since.

What a pod has is read now and then by a job. In between each process remembers what it placed itself; what other
processes placed it learns with the next reading. A pod that was never read, or too long ago, has room.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from oslo_config import cfg

from trio2o.db.records import Pod
from trio2o.db.session import utcnow
from trio2o.pods.registry import PodView
from trio2o.pods.usage import BACKEND_SPEC, Amount, Usage
from trio2o.scheduler.spec import PodRequest

#: Seconds until a pod's own books show what it accepted: a server is claimed when it is scheduled, not when it is
#: asked for.
SETTLED = timedelta(seconds=10)


class BadOption(cfg.Error, ValueError):
    """What ``[scheduler]`` says will not do; it keeps a service from starting."""


Headroom = Mapping[str, tuple[float, bool]]

_Key = tuple[str, str, str]


@dataclass
class _Second:
    """What went into a pod within one second, and what was known of the pod then."""

    at: datetime
    usage: Usage | None
    taken: dict[str, int] = field(default_factory=dict)


class Room:
    """What pods have room for, as this process knows."""

    def __init__(self, conf: cfg.ConfigOpts, clock: Callable[[], datetime] = utcnow) -> None:
        """:raises BadOption: ``[scheduler] headroom`` cannot be read"""
        self._max_age = timedelta(seconds=conf.scheduler.usage_max_age)
        self._default = read_headroom(conf.scheduler.headroom)
        self._clock = clock
        self._recent: dict[_Key, list[_Second]] = {}
        self._lock = threading.Lock()

    def amounts(self, pod: PodView, request: PodRequest) -> Mapping[str, Amount] | None:
        """What the pod has of each resource now; None when that is not known."""
        usage = self._usage(pod, request.service)
        if usage is None:
            return None
        backend = _backend(request)
        amounts = usage.of_backend(backend)
        recent = self._since(pod, request.service, backend, usage)
        return _after(amounts, recent, backend) if recent else amounts

    def headroom(self, pod: Pod) -> Headroom:
        """What is kept free in the pod: what is said of it itself, over what is said of all."""
        own = pod.headroom
        return {**self._default, **read_headroom(own)} if own else self._default

    def placed(self, pod: PodView, request: PodRequest) -> None:
        """Remember that the pod accepted a request."""
        if not request.resources:
            return
        now = self._clock().replace(microsecond=0)
        with self._lock:
            seconds = self._recent.setdefault((pod.id, request.service, _backend(request)), [])
            while seconds and seconds[0].at < now - self._max_age - SETTLED:
                del seconds[0]  # nobody reads that pod any more
            if not seconds or seconds[-1].at != now:
                seconds.append(_Second(now, self._usage(pod, request.service)))
            taken = seconds[-1].taken
            for name, amount in request.resources.items():
                taken[name] = taken.get(name, 0) + amount

    def is_stale(self, collected_at: datetime) -> bool:
        """Whether what was read then no longer counts."""
        return self._clock() - collected_at > self._max_age

    def _usage(self, pod: PodView, service: str) -> Usage | None:
        usage = pod.usages.get(service)
        return None if usage is None or self.is_stale(usage.collected_at) else usage

    def _since(self, pod: PodView, service: str, backend: str, usage: Usage) -> list[_Second]:
        """What went there and need not be in the books yet, the earliest first."""
        if not self._recent:
            return []
        found: list[_Second] = []
        with self._lock:
            for key in list(self._recent):
                if key[:2] != (pod.id, service):
                    continue
                left = [second for second in self._recent[key] if usage.collected_at < second.at + SETTLED]
                if left:
                    self._recent[key] = left
                else:
                    del self._recent[key]
                if not backend or key[2] in ('', backend):
                    found += left
        return sorted(found, key=lambda second: second.at)


def _backend(request: PodRequest) -> str:
    return request.extra_specs.get(BACKEND_SPEC, '')


def _after(amounts: Mapping[str, Amount], recent: list[_Second], backend: str) -> dict[str, Amount]:
    """What is left after all that went there.

    The books may show part of it by now. So of two pictures the darker one counts: the books as they are, and the
    books as they were before the first of it, less all of it.
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
    """Headroom by resource: how much, and whether that is a share of the capacity.

    :param texts: ``{'vcpu': 8, 'memory_mb': '10%'}``; names count whatever their case
    :raises BadOption: it is neither an amount nor a share
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
        raise BadOption(f"headroom of {name} is '{value}': it must be an amount, or a share such as 10%")
    return (amount / 100, True) if text.endswith('%') else (amount, False)


def kept(amount: Amount, headroom: tuple[float, bool]) -> float:
    """How much of a resource is kept free."""
    value, is_share = headroom
    return value * (amount.capacity or 0) if is_share else value


def shortage(amounts: Mapping[str, Amount], headroom: Headroom, request: PodRequest) -> str:
    """What there is not enough of, in words; '' if there is room.

    A request that does not say what it takes fits where no headroom is touched yet. A resource that the pod does not
    tell of, or has without limit, there is enough of.
    """
    wanted = {name: value for name, value in request.resources.items() if value > 0}
    for name in wanted if request.resources else amounts:
        amount, want = amounts.get(name), wanted.get(name, 0)
        if amount is None or amount.free is None:
            continue
        keep = kept(amount, headroom.get(name, (0.0, False)))
        if amount.free - want < keep:
            return f'{name}: {want:g} wanted, {amount.free:g} free, of which {keep:g} are kept'
        one = want / max(request.count, 1)
        if amount.largest is not None and one > amount.largest:
            return f'{name}: {one:g} wanted at once, {amount.largest:g} free in one place'
    return ''
