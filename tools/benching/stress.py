# SPDX-License-Identifier: Apache-2.0
"""tools/bench stress: what clients notice when a thousand others send requests, and when one pod hangs.

``crowd`` lets many connections send shows, lists and creates over many pods for some minutes. At the end it compares
the quota in use with the servers that the pods have, and the memory with that after the first minute.

``hang`` lets one pod accept requests and not answer. Many callers want its servers. The table shows whether others,
who want servers of another zone, wait longer than beside as many callers of a pod that answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import report
import running
from cases import CREATE, LIMITED, SHOW, SMALL, cases_for
from databases import KINDS, Databases
from load import Case, Target, put_load
from pods import EACH

from trio2o.db import quotas
from trio2o.db.records import QuotaUsage

#: Case -> how often it comes in one turn of a crowd.
MIX = {SHOW: 20, SMALL: 4, LIMITED: 4, CREATE: 4}
#: Seconds after which a crowd's use of memory is taken for the first time.
WARM_SECONDS = 60
#: Seconds for creates that are under way at the end.
CREATE_SECONDS = 60
#: The callers whose waiting is measured, and how long each of them waits before a request.
OTHERS, OTHERS_PAUSE_MS = 16, 100
#: How long a caller of the pod that hangs waits before he tries again.
CALLERS_PAUSE_MS = 1000
#: Runs without callers, with those of a pod that answers and of one that hangs; and the seconds of each.
TURNS, RUN_SECONDS = 5, 10


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='tools/bench stress', description=__doc__)
    parser.add_argument('what', choices=['crowd', 'hang'])
    parser.add_argument('--pods', type=int, default=100, metavar='N', help='number of pods, from 10 (100)')
    parser.add_argument('--connections', type=int, default=1000, help='connections of a crowd (1000)')
    parser.add_argument('--seconds', type=float, default=300, help='seconds of a crowd (300)')
    parser.add_argument('--callers', type=int, default=300, help='callers of the pod that hangs (300)')
    parser.add_argument('--database', default=KINDS[0], choices=KINDS)
    parser.add_argument('--backend', default='eventlet', choices=['eventlet', 'threading'])
    parser.add_argument('--json', action='store_true', help='print the figures as JSON, not as a table')
    return parser


def main(argv: Sequence[str], directory: str) -> int:
    """:param directory: for configuration and logs"""
    parser = _parser()
    chosen = parser.parse_args(argv)
    if chosen.pods < 10:
        parser.error('--pods: 10 or more')
    with running.Pods(chosen.pods, each=20) as pods, Databases() as databases:
        gateway = running.Gateway(directory, pods.cloud, chosen.backend, databases.new(chosen.database))
        with gateway.running() as pid:
            target = Target(gateway.url, (pid,))
            found = _crowd(chosen, pods, gateway, target) if chosen.what == 'crowd' else _hang(chosen, pods, target)
    print(json.dumps(found, indent=1) if chosen.json else report.plain(found))
    return 0


def _crowd(chosen: argparse.Namespace, pods: running.Pods, gateway: running.Gateway, target: Target) -> dict[str, Any]:
    cloud = pods.cloud
    known = {case.name: case for case in cases_for(cloud)}
    # Servers of all pods, and not only those of the first.
    paths = tuple(f'/servers/{server}' for server, _pod in cloud['servers'][EACH])
    known[SHOW] = replace(known[SHOW], token=EACH, paths=paths)
    mixed = _mixed(known, cloud['tokens'])
    memory: list[float] = []
    with _later(WARM_SECONDS, lambda: memory.append(target.mib())):
        load = put_load(gateway.url, mixed, chosen.connections, chosen.seconds)
    memory.append(target.mib())
    in_use = _usage(gateway, cloud['projects']['alt'])
    return {
        'requests': int(load['requests']),
        'failed': int(load['failed']),
        'requests a second': load['requests'] / load['seconds'],
        'p50 ms': load['p50'],
        'p99 ms': load['p99'],
        'servers in pods': sum(_servers(url, cloud, 'alt') for url in cloud['pods'].values()),
        'quota in use': in_use.in_use,
        'quota claimed': in_use.claimed,
        **({'MiB after a minute': memory[0]} if len(memory) > 1 else {}),
        'MiB at the end': memory[-1],
    }


def _usage(gateway: running.Gateway, project_id: str) -> QuotaUsage:
    """Return the servers in the quota of a project, once the creates have ended whose clients did not wait."""
    end = time.monotonic() + CREATE_SECONDS
    while True:
        found = quotas.usage(gateway.db, project_id)['instances']
        if not found.claimed or time.monotonic() > end:
            return found
        time.sleep(1)


def _mixed(cases: Mapping[str, Case], tokens: Mapping[str, str]) -> list[tuple[Case, str]]:
    """Return the cases in an order in which each comes as often as ``MIX`` says."""
    rounds = max(len(case.paths) for case in cases.values()) // MIX[SHOW] or 1
    mixed = []
    for number in range(rounds):
        for name, times in MIX.items():
            case = cases[name]
            paths = [case.paths[(number * times + at) % len(case.paths)] for at in range(times)]
            mixed.append((replace(case, paths=tuple(paths)), tokens[case.token]))
    return mixed


def _servers(url: str, cloud: Mapping[str, Any], project: str) -> int:
    """Count the servers of a project that a pod lists."""
    count, marker = 0, ''
    while True:
        request = urllib.request.Request(
            f'{url}/servers?limit=1000{marker}', headers={'X-Auth-Token': cloud['tokens'][project]}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.load(answer)['servers']
        if not page:
            return count
        count, marker = count + len(page), f'&marker={page[-1]["id"]}'


def _hang(chosen: argparse.Namespace, pods: running.Pods, target: Target) -> dict[str, Any]:
    cloud = pods.cloud
    # The pods alternate between two zones.
    hung, other, healthy = list(cloud['pods'])[:3]
    token = cloud['tokens'][EACH]

    def shows(name: str) -> list[tuple[Case, str]]:
        paths = tuple(f'/servers/{server}' for server, pod in cloud['servers'][EACH] if pod == name)
        return [(Case(SHOW, EACH, paths), token)]

    def call(name: str) -> dict[str, float]:
        return put_load(target.url, shows(name), chosen.callers, RUN_SECONDS + 2, CALLERS_PAUSE_MS)

    def others() -> dict[str, float]:
        return put_load(target.url, shows(other), OTHERS, RUN_SECONDS, OTHERS_PAUSE_MS)

    others()
    pods.take_down(hung, 'hang')
    call(hung)
    before = target.cpu_seconds()
    alone = call(hung)
    cpu = target.cpu_seconds() - before
    found: dict[str, list[dict[str, float]]] = {'alone': [], 'beside callers': [], 'beside callers of it': []}
    for _turn in range(TURNS):
        found['alone'].append(others())
        for name, when in ((healthy, 'beside callers'), (hung, 'beside callers of it')):
            with _beside(partial(call, name)):
                time.sleep(1)
                found[when].append(others())
    return {
        'callers of the pod that hangs, or of another one': chosen.callers,
        'CPU ms of a request to the pod that hangs': cpu * 1000 / alone['requests'],
        **{
            f'others {name} ms, {when}': statistics.median(each[name] for each in runs)
            for name in ('p50', 'p99')
            for when, runs in found.items()
        },
        'others, requests': int(sum(each['requests'] for runs in found.values() for each in runs)),
        'others, failed': int(sum(each['failed'] for runs in found.values() for each in runs)),
    }


@contextlib.contextmanager
def _beside(function: Any) -> Iterator[None]:
    """Run a function in a thread during the block, and wait for its end."""
    thread = threading.Thread(target=function)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@contextlib.contextmanager
def _later(seconds: float, function: Any) -> Iterator[None]:
    """Call a function some seconds after the block has begun, unless it has ended."""
    timer = threading.Timer(seconds, function)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
