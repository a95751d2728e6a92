# SPDX-License-Identifier: Apache-2.0
"""Register many pods through the Admin API, and measure until Trio2o XJob knows all that is in them."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import processes
import running
import sqlalchemy
from load import Target

from trio2o.db import jobs as db_jobs
from trio2o.db.database import Database, utcnow
from trio2o.db.records import Pod, Routing

#: Pods that are registered at the same time, as a script of an operator would.
AT_ONCE = 4
#: Seconds until all resources are known, and then until all other first jobs have run, at most.
KNOWN_SECONDS, SETTLE_SECONDS = 3600, 3600
#: The first jobs have run if no job has waited so long, for so many seconds.
LATE_SECONDS, QUIET_SECONDS = 15, 30

_P = Pod.__table__.c
_R = Routing.__table__.c


@dataclass(frozen=True)
class Joined:
    """How long many pods needed to join.

    :ivar registered: seconds until the last one was registered
    :ivar known: seconds until the resources of the last one were known
    :ivar settled: seconds until no first job of a pod waited any more
    :ivar servers: number of servers that are known
    :ivar cpu: seconds of CPU until ``known`` by process
    :ivar cpu_settled: the same until ``settled``
    """

    registered: float
    known: float
    settled: float
    servers: int
    cpu: Mapping[str, float]
    cpu_settled: Mapping[str, float]


def join(gateway: running.Gateway, cloud: Mapping[str, Any], pods: running.Pods) -> Joined:
    """Register all pods of a cloud in a gateway that has none.

    :raises NotServing: a pod was not registered, or the servers of one were not known after an hour
    """
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(gateway.running(service='api', has_xjob=True))
        xjob = stack.enter_context(xjobs(gateway))
        targets = {'trio2o-api': Target('', (api,)), 'trio2o-xjob': xjob, **processes.others(pods)}
        before = _cpu(targets)
        started = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as executor:
            for _done in executor.map(lambda item: _register(gateway, cloud, *item), enumerate(cloud['pods'], 1)):
                pass
        registered = time.monotonic() - started
        wanted = sum(len(servers) for servers in cloud['servers'].values())
        while not _is_known(gateway.db, len(cloud['pods'])) or _servers(gateway.db) < wanted:
            if time.monotonic() > started + KNOWN_SECONDS:
                raise running.NotServing(f'{_servers(gateway.db)} of {wanted} servers are known after an hour')
            time.sleep(1)
        known, cpu = time.monotonic() - started, _since(before, targets)
        print(f'registered in {registered:.0f} s, known after {known:.0f} s: CPU {shown(cpu)}', file=sys.stderr)
        settled = wait_for_first_jobs(gateway.db) - started
        cpu_settled = _since(before, targets)
        print(f'first jobs done after {settled:.0f} s: CPU {shown(cpu_settled)}', file=sys.stderr)
        found = Joined(registered, known, settled, _servers(gateway.db), cpu, cpu_settled)
    gateway.read_pods()
    return found


def shown(values: Mapping[str, float]) -> str:
    return ', '.join(f'{name} {value:.1f}' for name, value in values.items())


@contextlib.contextmanager
def xjobs(gateway: running.Gateway) -> Iterator[Target]:
    """Run Trio2o XJob."""
    with running.process('trio2o.cmd.xjob', gateway.config) as started:
        yield Target('', (started.pid,))


def wait_for_first_jobs(db: Database) -> float:
    """Wait until no job waits for a worker longer than it does when jobs run at their intervals.

    :returns: the time since when none does, as ``time.monotonic`` gives it
    """
    started = quiet_since = time.monotonic()
    while time.monotonic() < min(quiet_since + QUIET_SECONDS, started + SETTLE_SECONDS):
        time.sleep(1)
        due = db_jobs.longest_due(db)
        if due is not None and due < utcnow() - timedelta(seconds=LATE_SECONDS):
            quiet_since = time.monotonic()
    return quiet_since


def _register(gateway: running.Gateway, cloud: Mapping[str, Any], number: int, name: str) -> None:
    body = json.dumps({'pod': {'pod_name': name, 'az_name': f'az{2 - number % 2}'}}).encode()
    headers = {'X-Auth-Token': cloud['tokens']['admin'], 'Content-Type': 'application/json'}
    request = urllib.request.Request(f'{gateway.urls["api"]}/pods', body, headers)
    try:
        with urllib.request.urlopen(request, timeout=running.START_SECONDS) as answer:
            answer.read()
    except OSError as error:
        raise running.NotServing(f'{name} was not registered: {error}') from error


def _is_known(db: Database, pods: int) -> bool:
    statement = sqlalchemy.select(sqlalchemy.func.count()).where(_P.reconciled_at.is_not(None))
    return _one(db, statement) == pods


def _servers(db: Database) -> int:
    return _one(db, sqlalchemy.select(sqlalchemy.func.count()).where(_R.resource_type == 'server'))


def _one(db: Database, statement: Any) -> int:
    with db.reader() as connection:
        return int(connection.execute(statement).scalar_one())


def _cpu(targets: Mapping[str, Target]) -> dict[str, float]:
    return {name: target.cpu_seconds() for name, target in targets.items()}


def _since(before: Mapping[str, float], targets: Mapping[str, Target]) -> dict[str, float]:
    return {name: now - before[name] for name, now in _cpu(targets).items()}
