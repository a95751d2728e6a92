# SPDX-License-Identifier: Apache-2.0
"""Pods as they are found when asked now: do they answer, how fast, with which versions, by which clock; and whether
that is well. For ``trio2o-status pods`` and the operator's page.

What only a gateway that serves can know, its breakers, is not here: the breaker told of is what a gateway's would
make of this one answer.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from oslo_config import cfg

from trio2o import exception
from trio2o.concurrency import Executor
from trio2o.db.session import utcnow
from trio2o.pods.client import SICK, PodClient
from trio2o.pods.endpoints import COMPUTE, VOLUME, Endpoint
from trio2o.pods.identity import Identity
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer

SERVICES = (COMPUTE, VOLUME)

Json = dict[str, Any]


class Level(enum.IntEnum):
    """How well a pod is; also the exit status of ``trio2o-status pods``."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True)
class Limits:
    """Beyond what an operator should look.

    :ivar timeout: seconds after which a pod has not answered
    :ivar latency: seconds an answer may take
    :ivar skew: seconds a pod's clock may differ from ours
    :ivar usage_age: seconds since capacity was read
    """

    timeout: float = 5.0
    latency: float = 2.0
    skew: float = 5.0
    usage_age: float = 900.0

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, **others: float) -> Limits:
        return cls(**{'usage_age': conf.scheduler.usage_max_age, **others})


@dataclass(frozen=True)
class Probe:
    """One service of one pod, asked once.

    :ivar error: why there was no answer that will do; '' if there was
    :ivar versions: lowest and highest microversion it told; empty when it told none
    :ivar skew: seconds its clock is ahead of ours; None when it told no time
    """

    service: str
    endpoint: Endpoint
    error: str = ''
    status: int | None = None
    seconds: float | None = None
    versions: tuple[str, str] = ('', '')
    skew: float | None = None

    @property
    def trips_breaker(self) -> bool:
        """Whether a gateway counts this against the pod."""
        return self.status is None or self.status in SICK

    @property
    def known_versions(self) -> tuple[str, str]:
        return self.endpoint.min_version, self.endpoint.max_version

    def to_json(self) -> Json:
        return {
            'service': self.service,
            'url': self.endpoint.url,
            'status': self.status,
            'error': self.error,
            'latency_seconds': self.seconds,
            'versions': _range(self.versions),
            'known_versions': _range(self.known_versions),
            'breaker': 'open' if self.trips_breaker else 'closed',
            'clock_skew_seconds': self.skew,
        }


@dataclass(frozen=True)
class PodHealth:
    """One pod and what was found. One in maintenance is looked at, and never found wanting.

    :ivar reasons: what is not well, with how bad that is
    """

    pod: PodView
    probes: tuple[Probe, ...]
    usage_seconds: float | None
    reasons: tuple[tuple[Level, str], ...]

    @property
    def level(self) -> Level:
        return max((level for level, _text in self.reasons), default=Level.OK) if self.pod.is_asked else Level.OK

    def to_json(self) -> Json:
        record = self.pod.record
        return {
            'pod_id': record.pod_id,
            'pod_name': record.pod_name,
            'az_name': record.az_name,
            'state': record.state,
            'state_reason': record.state_reason,
            'level': self.level.name.lower(),
            'reasons': [text for _level, text in self.reasons],
            'replicas_behind': self.pod.behind,
            'usage_age_seconds': self.usage_seconds,
            'services': [probe.to_json() for probe in self.probes],
        }


def look(
    client: PodClient, identity: Identity, executor: Executor, pods: Iterable[PodView], limits: Limits
) -> list[PodHealth]:
    """Ask every service of all pods at once.

    :raises ServiceUnavailable: Keystone gives no token
    """
    pods = list(pods)
    headers = [*identity.headers(), ('Accept', 'application/json')] if pods else []
    asked = {
        pod.id: [
            executor.submit(_probe, client, pod, service, headers, limits)
            for service in SERVICES
            if service in pod.endpoints
        ]
        for pod in pods
    }
    return [judge(pod, tuple(future.result() for future in asked[pod.id]), limits) for pod in pods]


def _probe(client: PodClient, pod: PodView, service: str, headers: list[tuple[str, str]], limits: Limits) -> Probe:
    endpoint = pod.endpoints[service]
    started, moment = time.monotonic(), time.time()
    try:
        answer = client.send(pod, service, 'GET', '/', headers, timeout=limits.timeout)
    except exception.PodError as error:
        return Probe(service, endpoint, error.reason)
    seconds = time.monotonic() - started
    return Probe(
        service,
        endpoint,
        error='' if answer.is_ok else f'{service} answers {answer.status}',
        status=answer.status,
        seconds=round(seconds, 4),
        versions=_versions(answer),
        skew=_skew(answer, moment + seconds / 2),
    )


def _versions(answer: Answer) -> tuple[str, str]:
    """The range in a version document: Nova's has one version, Cinder's a list."""
    document = answer.json if answer.is_ok else None
    if not isinstance(document, dict):
        return '', ''
    versions = document.get('versions')
    found = document.get('version') or (versions[0] if isinstance(versions, list) and versions else None)
    if not isinstance(found, dict):
        return '', ''
    return str(found.get('min_version') or ''), str(found.get('version') or '')


def _skew(answer: Answer, moment: float) -> float | None:
    """Seconds that the clock of an answer is ahead. It tells whole seconds, so half of one is the best guess."""
    try:
        date = parsedate_to_datetime(answer.header('Date') or '')
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    skew = date.timestamp() + 0.5 - moment
    return 0.0 if abs(skew) <= 1.0 else round(skew, 1)


def judge(pod: PodView, probes: tuple[Probe, ...], limits: Limits, now: datetime | None = None) -> PodHealth:
    """What is to be said of what was found."""
    now = now or utcnow()
    reasons: list[tuple[Level, str]] = []
    for probe in probes:
        reasons += _of_probe(probe, limits)
    missing = [service for service in SERVICES if service not in pod.endpoints]
    if len(missing) == len(SERVICES):
        reasons.append((Level.CRITICAL, 'no endpoint is known'))
    if pod.behind:
        reasons.append((Level.WARNING, f'{pod.behind} replicated objects behind'))
    ages = [(now - usage.collected_at).total_seconds() for usage in pod.usages.values()]
    age = max(ages, default=None)
    if limits.usage_age and age is not None and age > limits.usage_age:
        reasons.append((Level.WARNING, f'usage was read {age:.0f} seconds ago'))
    elif limits.usage_age and age is None and now - pod.record.created_at > timedelta(seconds=limits.usage_age):
        reasons.append((Level.WARNING, 'usage was never read'))
    return PodHealth(pod, probes, age, tuple(reasons))


def _of_probe(probe: Probe, limits: Limits) -> list[tuple[Level, str]]:
    name = probe.service
    if probe.error:
        # It serves, and only we are not let in.
        return [(Level.WARNING if probe.status in (401, 403) else Level.CRITICAL, probe.error)]
    found = []
    if probe.seconds is not None and probe.seconds > limits.latency:
        found.append(f'{name} took {probe.seconds:.1f} seconds')
    if probe.skew is not None and abs(probe.skew) > limits.skew:
        found.append(f'the clock of {name} is {_signed(probe.skew)} seconds off')
    if probe.versions != probe.known_versions and any(probe.versions):
        found.append(f'{name} has {range_text(probe.versions)}, known is {range_text(probe.known_versions)}')
    return [(Level.WARNING, text) for text in found]


def _signed(seconds: float) -> str:
    return f'{seconds:+.0f}'


def range_text(versions: tuple[str, str]) -> str:
    return '-'.join(versions) if any(versions) else 'nothing'


def _range(versions: tuple[str, str]) -> Json | None:
    return {'min': versions[0], 'max': versions[1]} if any(versions) else None


class Watch:
    """The health of all pods, looked at no more often than every few seconds, however many ask."""

    def __init__(self, find: Callable[[], Iterable[PodHealth]], seconds: float) -> None:
        self._find = find
        self._seconds = seconds
        self._lock = threading.Lock()
        self._found: Mapping[str, PodHealth] = {}
        self._until = 0.0

    def health(self) -> Mapping[str, PodHealth]:
        """By pod id.

        :raises ServiceUnavailable: Keystone gives no token
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._found = {health.pod.id: health for health in self._find()}
                self._until = time.monotonic() + self._seconds
            return self._found
