# SPDX-License-Identifier: Apache-2.0
"""Health check of pods, for ``trio2o-status pods`` and the dashboard.

Every pod is called once per service. Checked are the status and latency of the answer, the microversions and the clock
of the pod. Only a gateway itself knows the state of its breakers, so the state shown here is derived from this one
answer.
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
from trio2o.db.database import utcnow
from trio2o.pods.client import FAILURE_STATUSES, PodClient
from trio2o.pods.endpoints import COMPUTE, VOLUME, PodEndpoint
from trio2o.pods.fanout import PodThreads
from trio2o.pods.identity import Account, Identity
from trio2o.pods.registry import LATE_SECONDS, PodView, late_seconds
from trio2o.web.call import Answer

SERVICES = (COMPUTE, VOLUME)

Json = dict[str, Any]


class Level(enum.IntEnum):
    """Health of a pod; also the exit status of ``trio2o-status pods``."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True)
class Thresholds:
    """Values beyond which a check is a warning.

    :ivar timeout: seconds to wait for a pod's answer
    :ivar latency: seconds an answer may take
    :ivar skew: seconds a pod's clock may differ from ours
    :ivar usage_age: seconds since capacity was last read; 0: no limit
    :ivar changes_age: seconds since the time up to which the changes in the pod were read; 0: no limit
    """

    timeout: float = 5.0
    latency: float = 2.0
    skew: float = 5.0
    usage_age: float = 900.0
    changes_age: float = LATE_SECONDS

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, **others: float) -> Thresholds:
        changes_age = late_seconds(conf) if conf.xjob.reconcile_interval else 0.0
        return cls(**{'usage_age': conf.scheduler.usage_max_age, 'changes_age': changes_age, **others})


@dataclass(frozen=True)
class Probe:
    """Result of one call to one service of one pod.

    :ivar error: why there was no useful answer; '' if there was one
    :ivar status: HTTP status of the answer, None without one
    :ivar seconds: latency of the answer
    :ivar versions: lowest and highest microversion in the answer; empty texts if it names none
    :ivar skew: seconds by which the pod's clock is ahead of ours; None if the answer has no date
    """

    service: str
    endpoint: PodEndpoint
    error: str = ''
    status: int | None = None
    seconds: float | None = None
    versions: tuple[str, str] = ('', '')
    skew: float | None = None

    @property
    def trips_breaker(self) -> bool:
        """Whether the breaker of a gateway counts this answer as a failure."""
        return self.status is None or self.status in FAILURE_STATUSES

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
    """Result of the health check of one pod. A pod in maintenance is checked too, and its level is always OK.

    :ivar usage_seconds: age of the oldest capacity figures; None if they were never read
    :ivar reasons: everything that is wrong, each with its level
    """

    pod: PodView
    probes: tuple[Probe, ...]
    usage_seconds: float | None
    reasons: tuple[tuple[Level, str], ...]

    @property
    def level(self) -> Level:
        if self.pod.in_maintenance:
            return Level.OK
        return max((level for level, _text in self.reasons), default=Level.OK)

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
            'replicas_out_of_sync': self.pod.out_of_sync,
            'usage_age_seconds': self.usage_seconds,
            'services': [probe.to_json() for probe in self.probes],
        }


def check_health(
    client: PodClient,
    identity: Identity,
    threads: PodThreads,
    pods: Iterable[PodView],
    limits: Thresholds,
    stopped: Mapping[str, str],
) -> list[PodHealth]:
    """Call every service of all pods concurrently.

    :param stopped: by pod id, why the comparison of its resources with the routings stopped
    :raises ServiceUnavailable: Keystone gives no token
    """
    pods = list(pods)
    if pods:
        identity.token()
    pending = {
        pod.id: [
            threads.submit(pod, _probe, client, identity.account_of(pod.name), pod, service, limits)
            for service in SERVICES
            if service in pod.endpoints
        ]
        for pod in pods
    }
    return [
        evaluate(pod, tuple(future.result() for future in pending[pod.id]), limits, stopped.get(pod.id, ''))
        for pod in pods
    ]


def _probe(client: PodClient, account: Account, pod: PodView, service: str, limits: Thresholds) -> Probe:
    endpoint = pod.endpoints[service]
    try:
        headers = [*account.headers(), ('Accept', 'application/json')]
    except exception.ServiceUnavailable as error:
        return Probe(service, endpoint, f'{error} Look at [{account.section}].')
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
    """Return the range in a version document. Nova's document has one version, Cinder's a list."""
    document = answer.json if answer.is_ok else None
    if not isinstance(document, dict):
        return '', ''
    versions = document.get('versions')
    found = document.get('version') or (versions[0] if isinstance(versions, list) and versions else None)
    if not isinstance(found, dict):
        return '', ''
    return str(found.get('min_version') or ''), str(found.get('version') or '')


def _skew(answer: Answer, moment: float) -> float | None:
    """Return the seconds by which the Date header of an answer is ahead; None without a date.

    The header has whole seconds only, so half a second is added as the mean of the missing fraction.
    """
    try:
        date = parsedate_to_datetime(answer.header('Date') or '')
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    skew = date.timestamp() + 0.5 - moment
    return 0.0 if abs(skew) <= 1.0 else round(skew, 1)


def evaluate(
    pod: PodView, probes: tuple[Probe, ...], limits: Thresholds, stopped: str = '', now: datetime | None = None
) -> PodHealth:
    """Compare the results for a pod with the thresholds.

    :param stopped: why the comparison of its resources with the routings stopped; '' if it did not
    """
    now = now or utcnow()
    reasons: list[tuple[Level, str]] = []
    for probe in probes:
        reasons += _problems(probe, limits)
    missing = [service for service in SERVICES if service not in pod.endpoints]
    if len(missing) == len(SERVICES):
        reasons.append((Level.CRITICAL, 'no endpoint is known'))
    if stopped:
        reasons.append((Level.WARNING, stopped))
    if pod.out_of_sync:
        reasons.append((Level.WARNING, f'{pod.out_of_sync} replicated objects are out of sync'))
    ages = [(now - usage.collected_at).total_seconds() for usage in pod.usages.values()]
    age = max(ages, default=None)
    if limits.usage_age and age is not None and age > limits.usage_age:
        reasons.append((Level.WARNING, f'usage was read {age:.0f} seconds ago'))
    elif limits.usage_age and age is None and now - pod.record.created_at > timedelta(seconds=limits.usage_age):
        reasons.append((Level.WARNING, 'usage was never read'))
    read = pod.record.followed_at
    if limits.changes_age and read is not None and now - read > timedelta(seconds=limits.changes_age):
        minutes = (now - read).total_seconds() / 60
        reasons.append((Level.WARNING, f'changes were read up to a time {minutes:.0f} minutes ago'))
    return PodHealth(pod, probes, age, tuple(reasons))


def _problems(probe: Probe, limits: Thresholds) -> list[tuple[Level, str]]:
    name = probe.service
    if probe.error:
        # The pod works for tenants and refuses only Trio2o's own user.
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


class HealthCache:
    """The health of all pods, checked at most once in a number of seconds however many callers there are."""

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
