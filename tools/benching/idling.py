# SPDX-License-Identifier: Apache-2.0
"""Measure what Trio2o needs while nobody sends requests, and how soon it knows what changed in a pod.

All services run. Every few seconds a server or a volume is created or deleted in a pod by a request to the pod itself,
and the bench looks until when the routings show it.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import joining
import processes
import running
from load import Target

from trio2o.db import routings

SERVICES = {'nova_apigw': 'trio2o-nova-apigw', 'cinder_apigw': 'trio2o-cinder-apigw', 'api': 'trio2o-api'}
#: Seconds between two changes in a pod, and those after which a change counts as never known.
CHANGE_SECONDS, MOST_SECONDS = 5.0, 300.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Idle:
    """What was used without requests.

    :ivar seconds: length of the measurement
    :ivar cpu: parts of a processor by process
    :ivar mib: memory by process at the begin and at the end
    :ivar changes: number of changes in pods
    :ivar unknown: number of those that were not known after ``MOST_SECONDS``
    :ivar delays: seconds until a change was known: median, 99th percentile, longest
    """

    seconds: float
    cpu: Mapping[str, float]
    mib: Mapping[str, tuple[float, float]]
    changes: int
    unknown: int
    delays: tuple[float, float, float]


@dataclass
class _Change:
    """A resource that was created in a pod, or deleted in it."""

    pod: str
    resource_type: str
    id: str
    is_deleted: bool
    made: float = field(default_factory=time.monotonic)


def measure(gateway: running.Gateway, pods: running.Pods, healthy: Sequence[str], seconds: float) -> Idle:
    """Start all services, and measure them once the jobs run at their intervals.

    :param healthy: names of the pods in which something may change
    """
    changes = _Changes(gateway, pods.cloud, healthy)
    with contextlib.ExitStack() as stack:
        targets: dict[str, Target] = {}
        for service, name in SERVICES.items():
            pid = stack.enter_context(gateway.running(service=service, has_xjob=True))
            targets[name] = Target(gateway.urls[service], (pid,))
        targets['trio2o-xjob'] = stack.enter_context(joining.xjobs(gateway))
        targets |= processes.others(pods)
        joining.wait_for_first_jobs(gateway.db)
        cpu = {name: target.cpu_seconds() for name, target in targets.items()}
        mib = {name: target.mib() for name, target in targets.items()}
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            changes.look()
            changes.make_when_due()
            time.sleep(_LOOK_SECONDS)
        elapsed = time.monotonic() - started
        parts = {name: (target.cpu_seconds() - cpu[name]) / elapsed for name, target in targets.items()}
        memory = {name: (mib[name], target.mib()) for name, target in targets.items()}
        while changes.pending and time.monotonic() < started + elapsed + MOST_SECONDS:
            changes.look()
            time.sleep(_LOOK_SECONDS)
    delays = sorted(changes.delays) or [0.0]
    found = (statistics.median(delays), delays[int(len(delays) * 0.99)], delays[-1])
    return Idle(elapsed, parts, memory, changes.count, len(changes.pending), found)


class _Changes:
    """Changes in pods.

    :ivar pending: changes that are not known yet
    :ivar delays: seconds that it took to know the others
    """

    def __init__(self, gateway: running.Gateway, cloud: Mapping[str, Any], pods: Sequence[str]) -> None:
        self.count = 0
        self.pending: list[_Change] = []
        self.delays: list[float] = []
        self._gateway = gateway
        self._cloud = cloud
        self._pods = pods
        self._servers: list[_Change] = []
        self._next = time.monotonic()
        self._random = random.Random(1)

    def make_when_due(self) -> None:
        """Create a server, create a volume or delete a server of before, if it is time for it."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + CHANGE_SECONDS
        step = self.count % 3
        if step == 2 and self._servers:
            self.pending.append(self._delete(self._servers.pop(0)))
        elif step == 1:
            self.pending.append(self._create('volume', 'volume_urls', {'name': 'change', 'size': 1}))
        else:
            server = {'name': 'change', 'imageRef': self._cloud['image'], 'flavorRef': '1'}
            self.pending.append(self._create('server', 'pods', server))
        self.count += 1

    def look(self) -> None:
        """Look which of the changes the routings show."""
        for change in list(self.pending):
            routing = routings.get(self._gateway.db, change.resource_type, change.id)
            if routing is None or routing.is_live == change.is_deleted:
                continue
            self.pending.remove(change)
            self.delays.append(time.monotonic() - change.made)
            if change.resource_type == 'server' and not change.is_deleted:
                self._servers.append(change)

    def _create(self, resource_type: str, urls: str, wanted: Mapping[str, Any]) -> _Change:
        pod = self._random.choice(self._pods)
        body = json.dumps({resource_type: wanted}).encode()
        answer = self._send('POST', f'{self._cloud[urls][pod]}/{resource_type}s', body)
        return _Change(pod, resource_type, json.loads(answer)[resource_type]['id'], is_deleted=False)

    def _delete(self, server: _Change) -> _Change:
        self._send('DELETE', f'{self._cloud["pods"][server.pod]}/servers/{server.id}')
        return _Change(server.pod, 'server', server.id, is_deleted=True)

    def _send(self, method: str, url: str, body: bytes | None = None) -> bytes:
        headers = {'X-Auth-Token': self._cloud['tokens']['alt'], 'Content-Type': 'application/json'}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30) as answer:
            return bytes(answer.read())
