# SPDX-License-Identifier: Apache-2.0
"""tools/bench: measure the cost of the gateway, and compare it with direct calls to a pod and with nginx.

Compare the CPU time of the gateway for a request: it does not depend on the load generator, and hardly on what else
runs on the machine. Rates and latencies are reported as ratios within one run.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import many_routings
import report
import running
import scale
import stress
import two_trees
from cases import CREATE, GOALS, NAMES, SQLITE_GOALS, cases_for
from databases import KINDS, MYSQLCLIENT, SQLITE, Databases
from load import Case, Failed, Measured, Target, measure

from trio2o.lab.servers import NotInstalled

#: How often a gateway with limits and one without are measured.
TURNS = 4

#: Databases of production, which are measured by default.
SERVERS = ','.join(kind for kind in KINDS if kind not in (MYSQLCLIENT, SQLITE))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='tools/bench',
        description=__doc__,
        epilog='Others with options of their own: tools/bench scale --help, routings --help, stress --help.',
    )
    parser.add_argument(
        '--cases', default='', help=f'comma-separated list of: {", ".join(NAMES)} (default: all that the pods allow)'
    )
    parser.add_argument('--connections', default='1,16', help='comma-separated numbers of connections (1,16)')
    parser.add_argument('--seconds', type=float, default=2.0, help='seconds for each figure, rounded (2)')
    parser.add_argument(
        '--delay-ms', type=float, default=0.0, help='milliseconds that a pod waits before it answers (0)'
    )
    parser.add_argument(
        '--database',
        default='',
        help=f'comma-separated list of: {", ".join(KINDS)} (default: {SERVERS}; to compare trees: {SQLITE})',
    )
    parser.add_argument('--backend', default='eventlet', choices=['eventlet', 'threading'])
    parser.add_argument(
        '--server', default=running.OWN, choices=[running.OWN, running.UWSGI], help="Trio2o's own server, or uWSGI"
    )
    parser.add_argument(
        '--pods',
        type=int,
        default=2,
        metavar='N',
        help='number of registered pods, at most ten with servers (2)',
    )
    parser.add_argument(
        '--one-pod-down', choices=['refuse', 'hang'], help='let one more pod refuse connections, or never answer'
    )
    parser.add_argument(
        '--one-replica-behind', action='store_true', help='let each pod have one flavor that is not up to date'
    )
    parser.add_argument('--only-gateway', action='store_true', help='measure the gateway only, not the pod or nginx')
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
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ['routings']:
        with _directory(None) as directory:
            return many_routings.main(arguments[1:], directory)
    if arguments[:1] == ['scale']:
        with _directory(scale.keep_in(arguments[1:])) as directory:
            return scale.main(arguments[1:], directory)
    if arguments[:1] == ['stress']:
        with _directory(None) as directory:
            return stress.main(arguments[1:], directory)
    chosen = _parser().parse_args(arguments)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(_directory(chosen.keep))
        cpu = stack.enter_context(two_trees.processors()) if chosen.against else -1
        pods = stack.enter_context(running.Pods(chosen.pods + bool(chosen.one_pod_down), chosen.delay_ms))
        databases = stack.enter_context(Databases())
        try:
            if chosen.against:
                return _against(chosen, directory, pods, databases, cpu)
            if chosen.claims:
                return _over_claims(chosen, directory, pods.cloud)
            return _compare(chosen, directory, pods, databases)
        except (Failed, running.NotServing, NotInstalled) as error:
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


def _chosen_cases(chosen: argparse.Namespace, cloud: dict[str, Any]) -> list[Case]:
    wanted = [name.strip() for name in chosen.cases.split(',') if name.strip()]
    return [case for case in cases_for(cloud) if not wanted or case.name in wanted]


def _connections(chosen: argparse.Namespace) -> list[int]:
    return [int(text) for text in chosen.connections.split(',')]


def _kinds(chosen: argparse.Namespace, default: str) -> list[str]:
    return [kind.strip() for kind in (chosen.database or default).split(',')]


def _against(chosen: argparse.Namespace, directory: str, pods: running.Pods, databases: Databases, cpu: int) -> int:
    """Compare the gateway of this tree with that of another one."""
    cloud = pods.cloud
    cases = [
        (case, cloud['tokens'][case.token], count)
        for case in _chosen_cases(chosen, cloud)
        for count in _connections(chosen)
    ]
    tops = {'this': running.TOP, 'other': os.path.abspath(chosen.against)}
    rows = []
    for kind in _kinds(chosen, SQLITE):
        with contextlib.ExitStack() as stack:
            trees = []
            for name, top in tops.items():
                settings = {
                    'cloud': cloud,
                    'backend': chosen.backend,
                    'options': [*chosen.option, *databases.new(kind)],
                }
                if chosen.server != running.OWN:
                    settings['server'] = chosen.server
                own = os.path.join(directory, kind, name)
                trees.append(stack.enter_context(two_trees.Tree(top, own, settings, cpu)))
            found = two_trees.compare((trees[0], trees[1]), cases, chosen.rounds, chosen.starts)
        rows += [{'database': kind, **asdict(row)} for row in found]
        if not chosen.json:
            print(f'This: {trees[0]}\nOther: {trees[1]}\n{report.trees(found, kind)}', flush=True)
    if chosen.json:
        print(json.dumps(rows, indent=1))
    return 0


def _compare(chosen: argparse.Namespace, directory: str, pods: running.Pods, databases: Databases) -> int:
    """Measure the gateway over each database, one of the pods directly, and nginx in front of that pod."""
    rows: list[dict[str, Any]] = []
    profiles: dict[str, str] = {}
    gateways = {}
    for kind in _kinds(chosen, SERVERS):
        own = os.path.join(directory, kind)
        os.mkdir(own)
        options = [*chosen.option, *databases.new(kind)]
        gateways[kind] = running.Gateway(own, pods.cloud, chosen.backend, options, chosen.server)
        if chosen.one_replica_behind:
            gateways[kind].set_replica_behind()
    if chosen.one_pod_down:
        # Last, as a pod that is down cannot be registered.
        pods.take_down(list(pods.cloud['pods'])[-1], chosen.one_pod_down)
    for kind, gateway in gateways.items():
        for case in _chosen_cases(chosen, pods.cloud):
            name = f'profile-{kind}-{case.name.replace(" ", "-")}.txt'
            path = os.path.join(directory, name) if chosen.profile else ''
            found = _measured(chosen, directory, pods.cloud, gateway, case, path)
            rows += [{'database': kind, **row} for row in found]
            if path:
                with open(path) as file:
                    profiles[f'{case.name}, {kind}'] = file.read()
    if chosen.json:
        print(json.dumps([_plain(row) for row in rows], indent=1))
    else:
        print(report.table(rows, _title(chosen)))
        for name, text in profiles.items():
            print(f'\n--- {name}\n{text}')
    return 0


def _measured(
    chosen: argparse.Namespace,
    directory: str,
    cloud: dict[str, Any],
    gateway: running.Gateway,
    case: Case,
    profile: str,
) -> list[dict[str, Any]]:
    """Return the figures of a case, for each number of connections: of the gateway, the pod and nginx."""
    direct = next(iter(cloud['pods' if case.service == 'nova_apigw' else 'volume_urls'].values()))
    goals = SQLITE_GOALS if _kinds(chosen, SERVERS) == [SQLITE] else GOALS
    with contextlib.ExitStack() as stack:
        pid = stack.enter_context(gateway.running(profile, case.service))
        targets = {'gateway': Target(gateway.urls[case.service], (pid,), is_profiled=bool(profile))}
        if not chosen.only_gateway:
            proxy, proxy_pid = stack.enter_context(running.nginx(directory, direct))
            targets = {'pod': Target(direct, (cloud['pid'],)), 'nginx': Target(proxy, (proxy_pid,)), **targets}
        rows = []
        for count in _connections(chosen):
            found = {
                name: measure(
                    target,
                    case,
                    cloud['tokens'][case.token],
                    count,
                    chosen.seconds,
                    may_fail=bool(chosen.one_pod_down),
                )
                for name, target in targets.items()
            }
            rows.append({'case': case.name, 'connections': count, 'goal': goals.get(case.name), **found})
    return rows


def _title(chosen: argparse.Namespace) -> str:
    served = 'uWSGI' if chosen.server == running.UWSGI else chosen.backend
    parts = [f'Gateway on {served}', f'{chosen.pods} pods delayed by {chosen.delay_ms:g} ms']
    if chosen.one_pod_down:
        parts.append(f'one more that is down ({chosen.one_pod_down})')
    if chosen.one_replica_behind:
        parts.append('one replica behind in each')
    return ', '.join(parts) + '; +: more than a direct call to the pod'


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
    for path in glob.glob(os.path.join(directory, '**', 'gateway.*'), recursive=True):
        with contextlib.suppress(OSError), open(path) as log:
            print(''.join(log.readlines()[-20:]), file=sys.stderr)


if __name__ == '__main__':
    sys.exit(main())
