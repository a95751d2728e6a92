# SPDX-License-Identifier: Apache-2.0
"""tools/bench scale: measure requests over many pods and routings, and the same requests over few.

The gateway with many pods and one with few run side by side and are measured in turns (``two_trees``), so that the
ratios do not depend on the machine. The routings of servers that no request names are rows written in bulk. Of
the pods without servers, as many as a tenth of all are dead (they refuse connections), and as many are slow.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import report
import running
import two_trees
from cases import COMPUTE, CREATE, EVERYONE, LIMITED, SHOW, cases_for
from databases import KINDS, Databases
from load import Target

from trio2o import conf as trio2o_conf
from trio2o.db import jobs as db_jobs
from trio2o.db.database import Database, utcnow

#: Number of pods to compare with -> case -> the most that its cost may be of that with so few.
MOST = {2: {SHOW: 1.1, CREATE: 1.3}, 10: {LIMITED: 1.5, EVERYONE: 2.0}}

#: One pod of so many is dead, and one is slow.
ONE_OF = 10
#: Pods that stay healthy: those with servers.
HEALTHY = 10

#: Seconds until XJob has compared all pods, as it does at its start, at most.
SETTLE_SECONDS = 1800
#: It has if no job has waited so long, for so many seconds.
LATE_SECONDS, QUIET_SECONDS = 15, 30


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='tools/bench scale', description=__doc__)
    parser.add_argument('--pods', type=int, default=100, metavar='N', help='number of registered pods, from 11 (100)')
    parser.add_argument('--servers', type=int, default=100000, metavar='M', help='number of routings (100000)')
    parser.add_argument('--database', default=KINDS[0], choices=KINDS)
    parser.add_argument('--backend', default='eventlet', choices=['eventlet', 'threading'])
    parser.add_argument('--rounds', type=int, default=300, help='pairs of turns for each case (300)')
    parser.add_argument('--starts', type=int, default=1, help='times that the gateways are started (1)')
    parser.add_argument(
        '--idle-seconds',
        type=float,
        default=30.0,
        help='seconds to measure the processes without requests; 0: not (30)',
    )
    parser.add_argument('--json', action='store_true', help='print the figures as JSON, not as a table')
    return parser


def main(argv: Sequence[str], directory: str) -> int:
    """:param directory: for configuration and logs"""
    parser = _parser()
    chosen = parser.parse_args(argv)
    if chosen.pods <= HEALTHY:
        parser.error(f'--pods: more than {HEALTHY}')
    with two_trees.processors() as cpu, running.Pods(chosen.pods) as pods, Databases() as databases:
        found = _measure(chosen, directory, pods, databases, cpu)
    if chosen.json:
        print(json.dumps(found, indent=1))
    else:
        print(f'{_title(chosen)}\n{report.scale(found["cases"], found["idle"])}')
    return 0


def _title(chosen: argparse.Namespace) -> str:
    bad = _bad(chosen.pods)
    return (
        f'{chosen.pods} pods, {bad} of them dead and {bad} slow; {chosen.servers} routings, written in bulk; '
        f'{chosen.database}, {chosen.backend}'
    )


def _bad(pods: int) -> int:
    return min(pods // ONE_OF, (pods - HEALTHY) // 2)


def _measure(
    chosen: argparse.Namespace, directory: str, pods: running.Pods, databases: Databases, cpu: int
) -> dict[str, Any]:
    cloud = pods.cloud
    cases = {case.name: case for case in cases_for(cloud)}
    with contextlib.ExitStack() as stack:
        trees = {}
        for count in (*MOST, chosen.pods):
            settings = {
                'cloud': _first(cloud, count),
                'backend': chosen.backend,
                'options': databases.new(chosen.database),
            }
            name = 'many' if count == chosen.pods else str(count)
            routings = chosen.servers if count == chosen.pods else 0
            own = os.path.join(directory, name)
            trees[name] = stack.enter_context(two_trees.Tree(running.TOP, own, settings, cpu, routings))
        started = time.monotonic()
        for tree in trees.values():
            tree.start(COMPUTE)
        print(f'registered in {time.monotonic() - started:.0f} s', file=sys.stderr)
        names = list(cloud['pods'])[HEALTHY:]
        bad = _bad(chosen.pods)
        for how, chunk in (('refuse', names[:bad]), ('slow', names[bad : 2 * bad])):
            for name in chunk:
                pods.take_down(name, how)
        rows = []
        for count, limits in MOST.items():
            wanted = [(cases[name], cloud['tokens'][cases[name].token], 1) for name in limits]
            pair = (trees['many'], trees[str(count)])
            for row in two_trees.compare(pair, wanted, chosen.rounds, chosen.starts, may_fail=True):
                rows.append({**asdict(row), 'pods': count, 'at_most': limits[row.case]})
        idle = {}
        if chosen.idle_seconds:
            target = trees['many'].start(COMPUTE)
            idle = _idle(os.path.join(directory, 'many', 'trio2o.conf'), target, chosen.idle_seconds)
    return {'cases': rows, 'idle': idle}


def _first(cloud: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the first pods of a cloud, with their servers."""
    pods = dict(list(cloud['pods'].items())[:count])
    servers = {project: [row for row in rows if row[1] in pods] for project, rows in cloud['servers'].items()}
    return {**cloud, 'pods': pods, 'servers': servers}


def _idle(config: str, gateway: Target, seconds: float) -> dict[str, float]:
    """Return what each process uses while nobody sends requests, as parts of a processor.

    The pods that are registered have all jobs to be run for the first time, which is not measured.
    """
    with _xjob(config) as xjob:
        targets = {'trio2o-nova-apigw': gateway, 'trio2o-xjob': xjob}
        _wait_for_first_jobs(config)
        before = {name: target.cpu_seconds() for name, target in targets.items()}
        time.sleep(seconds)
        return {name: (target.cpu_seconds() - before[name]) / seconds for name, target in targets.items()}


def _wait_for_first_jobs(config: str) -> None:
    """Wait until no job waits for a worker longer than it does when jobs run at their intervals."""
    db = Database(trio2o_conf.new_config(files=[config]))
    started = quiet_since = time.monotonic()
    while time.monotonic() < min(quiet_since + QUIET_SECONDS, started + SETTLE_SECONDS):
        time.sleep(1)
        due = db_jobs.longest_due(db)
        if due is not None and due < utcnow() - timedelta(seconds=LATE_SECONDS):
            quiet_since = time.monotonic()
    db.dispose()
    print(f'first jobs done in {quiet_since - started:.0f} s', file=sys.stderr)


@contextlib.contextmanager
def _xjob(config: str) -> Iterator[Target]:
    with running.process('trio2o.cmd.xjob', config) as started:
        yield Target('', (started.pid,))
