# SPDX-License-Identifier: Apache-2.0
"""tools/bench: measure the cost of the gateway, and compare it with direct calls to a pod and with nginx.

Compare the CPU time of the gateway for a request: it does not depend on the load generator, and hardly on what else
runs on the machine. Rates and latencies are reported as ratios within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import report
import running
import two_trees
from load import Case, Failed, Measured, Target, measure

SHOW, SMALL, LARGE, CREATE = 'show', 'list 2x10', 'list 2x500', 'create'

#: CPU milliseconds for a request that the gateway should not exceed.
GOALS = {SHOW: 1.0, SMALL: 2.5, LARGE: 10.0, CREATE: 3.0}

#: Number of different servers to show: so many that their rows do not stay in the processor's cache.
SHOWN = 1000

#: Number of routings to compare ``--routings`` with, and how often each gateway is measured.
FEW = 2000
TURNS = 4


def cases_for(cloud: dict[str, Any]) -> list[Case]:
    body = json.dumps({'server': {'name': 'bench', 'imageRef': cloud['image'], 'flavorRef': '1', 'networks': 'auto'}})
    return [
        Case(SHOW, 'small', _shows(cloud, 'small')),
        Case(SMALL, 'small', ('/servers/detail',)),
        Case(LARGE, 'large', ('/servers/detail',)),
        Case(CREATE, 'alt', ('/servers',), 'POST', body),
    ]


def _shows(cloud: dict[str, Any], project: str) -> tuple[str, ...]:
    """Return paths of servers in the first pod, which can also be called directly."""
    first = next(iter(cloud['pods']))
    return tuple(f'/servers/{server}' for server, pod in cloud['servers'][project] if pod == first)[:SHOWN]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='tools/bench', description=__doc__)
    parser.add_argument(
        '--cases', default='', help='comma-separated list of: show, list 2x10, list 2x500, create (default: all)'
    )
    parser.add_argument('--connections', default='1,16', help='comma-separated numbers of connections (1,16)')
    parser.add_argument('--seconds', type=float, default=2.0, help='seconds for each figure, rounded (2)')
    parser.add_argument(
        '--delay-ms', type=float, default=0.0, help='milliseconds that a pod waits before it answers (0)'
    )
    parser.add_argument('--backend', default='eventlet', choices=['eventlet', 'threading'])
    parser.add_argument('--only-gateway', action='store_true', help='measure the gateway only, not the pod or nginx')
    parser.add_argument(
        '--routings',
        type=int,
        default=0,
        metavar='N',
        help='measure a show with N routings and with 2000, all read from the database',
    )
    parser.add_argument(
        '--claims', action='store_true', help='measure creates with and without limits, and count queries'
    )
    parser.add_argument(
        '--against',
        metavar='DIRECTORY',
        help='compare the CPU time of this tree with that of another checkout, in turns',
    )
    parser.add_argument(
        '--rounds', type=int, default=900, help='pairs of turns for each case in a comparison of two trees (900)'
    )
    parser.add_argument(
        '--starts', type=int, default=3, help='times that a comparison of two trees starts their gateways (3)'
    )
    parser.add_argument('--profile', action='store_true', help='show where the gateway spends its CPU time')
    parser.add_argument(
        '--option',
        action='append',
        default=[],
        metavar='SECTION.NAME=VALUE',
        help="set an option in the gateway's configuration",
    )
    parser.add_argument('--json', action='store_true', help='print the figures as JSON, not as a table')
    parser.add_argument(
        '--keep',
        metavar='DIRECTORY',
        help='keep configuration, log and profiles in this directory, which is emptied first',
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(argv)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(_directory(chosen.keep))
        cpu = stack.enter_context(two_trees.processors()) if chosen.against else -1
        cloud = stack.enter_context(running.pods(chosen.delay_ms))
        try:
            if chosen.against:
                return _against(chosen, directory, cloud, cpu)
            if chosen.routings:
                return _over_routings(chosen, directory, cloud)
            if chosen.claims:
                return _over_claims(chosen, directory, cloud)
            return _compare(chosen, directory, cloud)
        except (Failed, running.NotServing) as error:
            _print_logs(directory)
            print(f'tools/bench: {error}', file=sys.stderr)
            return 1


@contextlib.contextmanager
def _directory(kept: str | None) -> Iterator[str]:
    directory = kept or tempfile.mkdtemp(prefix='trio2o-bench-')
    if kept:
        shutil.rmtree(kept, ignore_errors=True)
    os.makedirs(directory, exist_ok=True)
    # Started as root, nginx gives its worker to another account.
    os.chmod(directory, 0o755)
    try:
        yield os.path.abspath(directory)
    finally:
        if not kept:
            shutil.rmtree(directory, ignore_errors=True)


def _chosen_cases(chosen: argparse.Namespace, cloud: dict[str, Any]) -> list[tuple[Case, int]]:
    """Return the cases to measure, each with the numbers of connections."""
    wanted = [name.strip() for name in chosen.cases.split(',') if name.strip()]
    return [
        (case, int(count))
        for case in cases_for(cloud)
        if not wanted or case.name in wanted
        for count in chosen.connections.split(',')
    ]


def _against(chosen: argparse.Namespace, directory: str, cloud: dict[str, Any], cpu: int) -> int:
    """Compare the gateway of this tree with that of another one."""
    settings = {'cloud': cloud, 'backend': chosen.backend, 'options': chosen.option}
    with (
        two_trees.Tree(running.TOP, os.path.join(directory, 'this'), settings, cpu) as ours,
        two_trees.Tree(os.path.abspath(chosen.against), os.path.join(directory, 'other'), settings, cpu) as theirs,
    ):
        cases = [(case, cloud['tokens'][case.token], count) for case, count in _chosen_cases(chosen, cloud)]
        found = two_trees.compare((ours, theirs), cases, chosen.rounds, chosen.starts)
    if chosen.json:
        print(json.dumps([asdict(row) for row in found], indent=1))
    else:
        print(f'This: {ours}\nOther: {theirs}\n{report.trees(found)}')
    return 0


def _compare(chosen: argparse.Namespace, directory: str, cloud: dict[str, Any]) -> int:
    wanted = [name.strip() for name in chosen.cases.split(',') if name.strip()]
    cases = [case for case in cases_for(cloud) if not wanted or case.name in wanted]
    counts = [int(text) for text in chosen.connections.split(',')]
    gateway = running.Gateway(directory, cloud, chosen.backend, chosen.option)
    direct = next(iter(cloud['pods'].values()))
    rows = []
    profiles = {}
    for case in cases:
        path = os.path.join(directory, f'profile-{case.name.replace(" ", "-")}.txt') if chosen.profile else ''
        with contextlib.ExitStack() as stack:
            pid = stack.enter_context(gateway.running(path))
            targets = {'gateway': Target(gateway.url, (pid,), is_profiled=bool(path))}
            if not chosen.only_gateway:
                proxy, pids = stack.enter_context(running.nginx(directory, direct))
                targets = {'pod': Target(direct, (cloud['pid'],)), 'nginx': Target(proxy, pids), **targets}
            for count in counts:
                found = {
                    name: measure(target, case, cloud['tokens'][case.token], count, chosen.seconds)
                    for name, target in targets.items()
                }
                rows.append({'case': case.name, 'connections': count, 'goal': GOALS[case.name], **found})
        if path:
            with open(path) as file:
                profiles[case.name] = file.read()
    if chosen.json:
        print(json.dumps([_plain(row) for row in rows], indent=1))
    else:
        print(report.table(rows, chosen.delay_ms, chosen.backend))
        for name, text in profiles.items():
            print(f'\n--- {name}\n{text}')
    return 0


def _over_routings(chosen: argparse.Namespace, directory: str, cloud: dict[str, Any]) -> int:
    """Measure two gateways in turns, one with few routings and one with many; the best figure of each counts."""
    options = [*chosen.option, 'pods.routing_cache_seconds=0']
    case = Case(SHOW, 'large', _shows(cloud, 'large'))
    found: dict[int, Measured] = {}
    with contextlib.ExitStack() as stack:
        targets = {}
        for count in (FEW, chosen.routings):
            own = os.path.join(directory, str(count))
            os.mkdir(own)
            gateway = running.Gateway(own, cloud, chosen.backend, options)
            started = time.monotonic()
            gateway.fill(count)
            print(f'{count} routings: filled in {time.monotonic() - started:.0f} s', file=sys.stderr)
            targets[count] = Target(gateway.url, (stack.enter_context(gateway.running()),))
        for _turn in range(TURNS):
            for count, target in targets.items():
                now = measure(target, case, cloud['tokens'][case.token], 1, chosen.seconds)
                found[count] = min(found.get(count, now), now, key=lambda measured: measured.cpu)
    if chosen.json:
        print(json.dumps({count: asdict(measured) for count, measured in found.items()}, indent=1))
    else:
        print(report.routings(found))
    return 0


def _over_claims(chosen: argparse.Namespace, directory: str, cloud: dict[str, Any]) -> int:
    """Measure two gateways in turns, one with quota limits and one without; the best figure of each counts."""
    case = next(case for case in cases_for(cloud) if case.name == CREATE)
    found: dict[str, Measured] = {}
    statements: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        targets = {}
        for driver in ('unlimited', 'db'):
            own = os.path.join(directory, driver)
            os.mkdir(own)
            gateway = running.Gateway(own, cloud, chosen.backend, [*chosen.option, f'quota.driver={driver}'])
            statements[driver] = gateway.statements(case)
            targets[driver] = Target(gateway.url, (stack.enter_context(gateway.running()),))
        for _turn in range(TURNS):
            for driver, target in targets.items():
                now = measure(target, case, cloud['tokens'][case.token], 1, chosen.seconds)
                found[driver] = min(found.get(driver, now), now, key=lambda measured: measured.cpu)
    if chosen.json:
        figures = {driver: {**asdict(found[driver]), 'statements': statements[driver]} for driver in found}
        print(json.dumps(figures, indent=1))
    else:
        print(report.claims(found, statements))
    return 0


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: asdict(value) if isinstance(value, Measured) else value for name, value in row.items()}


def _print_logs(directory: str) -> None:
    for name in ('gateway.out', 'gateway.log'):
        with contextlib.suppress(OSError), open(os.path.join(directory, name)) as log:
            print(''.join(log.readlines()[-20:]), file=sys.stderr)


if __name__ == '__main__':
    sys.exit(main())
