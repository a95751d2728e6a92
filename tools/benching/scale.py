# SPDX-License-Identifier: Apache-2.0
"""tools/bench scale: measure Trio2o with many pods and routings, and the same requests with few.

All pods are registered through the Admin API while Trio2o XJob runs, so that the time until their servers are known is
measured, too. Then the routings of further servers, which no request names, are written in bulk. Of the pods without
servers of the cases, as many as a tenth of all become dead (they refuse connections), and as many slow.

The gateway with many pods and one with few run side by side and are measured in turns (``two_trees``), so that the
ratios do not depend on the machine. At last all services run without requests, while single resources change in pods.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import idling
import joining
import processes
import report
import running
import two_trees
from cases import CREATE, EVERYONE, LIMITED, SHOW, cases_for
from databases import KINDS, Databases
from load import Case, Target

from trio2o.lab.emulated.topology import Cloud

NEW_TOKEN = 'show, new token'

#: Number of pods to compare with -> case -> the most that its cost may be of that with so few.
MOST = {2: {SHOW: 1.1, NEW_TOKEN: 1.1, CREATE: 1.3}, 10: {LIMITED: 1.5, EVERYONE: 2.0}}

#: One pod of so many is dead, and one is slow.
ONE_OF = 10
#: Pods that stay healthy: those with servers.
HEALTHY = 10


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='tools/bench scale', description=__doc__)
    parser.add_argument('--pods', type=int, default=100, metavar='N', help='number of registered pods, from 11 (100)')
    parser.add_argument('--servers', type=int, default=100000, metavar='M', help='number of routings (100000)')
    parser.add_argument('--each', type=int, default=20, help='servers in each pod when it is registered (20)')
    parser.add_argument('--xjobs', type=int, default=2, help='number of processes of Trio2o XJob (2)')
    parser.add_argument('--database', default=KINDS[0], choices=KINDS)
    parser.add_argument('--backend', default='eventlet', choices=['eventlet', 'threading'])
    parser.add_argument('--rounds', type=int, default=300, help='pairs of turns for each case; 0: no requests (300)')
    parser.add_argument('--starts', type=int, default=1, help='times that the gateways are started (1)')
    parser.add_argument(
        '--idle-seconds',
        type=float,
        default=300.0,
        help='seconds to measure the processes without requests; 0: not (300)',
    )
    parser.add_argument('--json', action='store_true', help='print the figures as JSON, not as a table')
    parser.add_argument('--keep', metavar='DIRECTORY', help='keep configuration and logs in this directory')
    return parser


def keep_in(argv: Sequence[str]) -> str | None:
    """Return the directory that the arguments name for configuration and logs."""
    return str(kept) if (kept := _parser().parse_args(argv).keep) else None


def main(argv: Sequence[str], directory: str) -> int:
    """:param directory: for configuration and logs"""
    parser = _parser()
    chosen = parser.parse_args(argv)
    if chosen.pods <= HEALTHY:
        parser.error(f'--pods: more than {HEALTHY}')
    with running.Pods(chosen.pods, each=chosen.each) as pods, Databases() as databases:
        found = _measure(chosen, directory, pods, databases)
    if chosen.json:
        print(json.dumps(found, indent=1))
    else:
        print(f'{_title(chosen)}\n{report.scale(found)}')
    return 0


def _title(chosen: argparse.Namespace) -> str:
    bad = _bad(chosen.pods)
    return (
        f'{chosen.pods} pods, {bad} of them dead and {bad} slow; {chosen.servers} routings, written in bulk; '
        f'{chosen.database}, {chosen.backend}'
    )


def _bad(pods: int) -> int:
    return min(pods // ONE_OF, (pods - HEALTHY) // 2)


def _measure(chosen: argparse.Namespace, directory: str, pods: running.Pods, databases: Databases) -> dict[str, Any]:
    cloud = pods.cloud

    def gateway(name: str, part: Mapping[str, Any], **values: Any) -> running.Gateway:
        own = os.path.join(directory, name)
        os.mkdir(own)
        options = [f'xjob.workers={chosen.xjobs}', *databases.new(chosen.database)]
        return running.Gateway(own, dict(part), chosen.backend, options, **values)

    many = gateway('many', cloud, is_registered=False)
    found: dict[str, Any] = {'joined': asdict(joining.join(many, cloud, pods)), 'cases': []}
    names = list(cloud['pods'])
    bad = _bad(chosen.pods)
    dead, slow = names[HEALTHY:][:bad], names[HEALTHY:][bad : 2 * bad]
    if chosen.rounds:
        started = time.monotonic()
        many.fill(chosen.servers)
        print(f'{chosen.servers} routings: filled in {time.monotonic() - started:.0f} s', file=sys.stderr)
        few = {count: gateway(str(count), _first(cloud, count)) for count in MOST}
    for how, chunk in (('refuse', dead), ('slow', slow)):
        for name in chunk:
            pods.take_down(name, how)
    if chosen.rounds:
        found['cases'] = _compare(chosen, cloud, many, few)
    if chosen.idle_seconds:
        healthy = [name for name in names if name not in dead and name not in slow]
        found['idle'] = asdict(idling.measure(many, pods, healthy, chosen.idle_seconds))
    return found


def _first(cloud: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the first pods of a cloud, with their servers."""
    pods = dict(list(cloud['pods'].items())[:count])
    servers = {project: [row for row in rows if row[1] in pods] for project, rows in cloud['servers'].items()}
    return {**cloud, 'pods': pods, 'servers': servers}


def _compare(
    chosen: argparse.Namespace, cloud: Mapping[str, Any], many: running.Gateway, few: Mapping[int, running.Gateway]
) -> list[dict[str, Any]]:
    cases = {case.name: case for case in cases_for(cloud)}
    cases[NEW_TOKEN] = replace(cases[SHOW], name=NEW_TOKEN)
    rows = []
    with processor() as cpu, Side(many, cpu) as ours:
        for count, limits in MOST.items():
            with Side(few[count], cpu) as theirs:
                wanted = [(cases[name], _tokens(cloud, cases[name]), 1) for name in limits]
                for row in two_trees.compare((ours, theirs), wanted, chosen.rounds, chosen.starts, may_fail=True):
                    rows.append({**asdict(row), 'pods': count, 'at_most': limits[row.case]})
    return rows


def _tokens(cloud: Mapping[str, Any], case: Case) -> str | Iterable[str]:
    """Return the token of a case, or one for each request."""
    if case.name != NEW_TOKEN:
        return str(cloud['tokens'][case.token])
    # Those of any emulated cloud are valid in all others.
    ours = Cloud(pods=0)
    ours.keystone.add_user(case.token, roles={case.token: ('member',)})
    return (ours.token(case.token) for _number in itertools.count())


@contextlib.contextmanager
def processor() -> Iterator[int]:
    """Leave one processor to the gateways: all processes that were started until now use the others."""
    known = os.sched_getaffinity(0)
    cpu = max(known)
    processes.confine(known - {cpu} or known)
    try:
        yield cpu
    finally:
        processes.confine(known)


class Side:
    """A gateway that is compared with another one."""

    def __init__(self, gateway: running.Gateway, cpu: int) -> None:
        self._gateway = gateway
        self._cpu = cpu
        self._started = contextlib.ExitStack()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *exception: object) -> None:
        self._started.close()

    def start(self, service: str) -> Target:
        """Start a service, after stopping the one before."""
        self._started.close()
        others = os.sched_getaffinity(0)
        # The process that is started inherits it.
        os.sched_setaffinity(0, {self._cpu})
        try:
            pid = self._started.enter_context(self._gateway.running(service=service))
        finally:
            os.sched_setaffinity(0, others)
        return Target(self._gateway.urls[service], (pid,))
