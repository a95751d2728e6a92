# SPDX-License-Identifier: Apache-2.0
"""tools/bench routings: measure requests over millions of routings, and the same requests over two thousand.

Both gateways have the same ten pods, run side by side and are measured in turns, as in ``tools/bench scale``. The
routings of resources that no request names are written in bulk. Those of servers and volumes are of the project that
creates servers. The other project, whose servers are shown and listed, and the creating one have as many routings of
deleted servers each. No routing is kept in the memory of the gateways.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import report
import running
import scale
import two_trees
from cases import CREATE, LIMITED, SHOW, cases_for, shows
from databases import KINDS, Databases

FEW = 2000
PODS = 10
#: The most that the cost of a request may be of that with few routings.
AT_MOST = 1.1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='tools/bench routings', description=__doc__)
    parser.add_argument('--servers', type=int, default=1000000, help='number of servers (1000000)')
    parser.add_argument('--volumes', type=int, default=1000000, help='number of volumes (1000000)')
    parser.add_argument('--deleted', type=int, default=100000, help='deleted servers of each project (100000)')
    parser.add_argument(
        '--database', default='mariadb,postgresql', help=f'comma-separated list of: {", ".join(KINDS)}'
    )
    parser.add_argument('--backend', default='eventlet', choices=['eventlet', 'threading'])
    parser.add_argument('--rounds', type=int, default=300, help='pairs of turns for each case (300)')
    parser.add_argument('--starts', type=int, default=1, help='times that the gateways are started (1)')
    parser.add_argument('--json', action='store_true', help='print the figures as JSON, not as a table')
    return parser


def main(argv: Sequence[str], directory: str) -> int:
    """:param directory: for configuration and logs"""
    chosen = _parser().parse_args(argv)
    found = {}
    with running.Pods(PODS) as pods:
        for kind in chosen.database.split(','):
            # One server at a time: each has millions of rows.
            with Databases() as databases:
                found[kind] = _measure(chosen, os.path.join(directory, kind), pods.cloud, databases, kind)
            if not chosen.json:
                print(f'{_title(chosen, kind)}\n{report.cases(found[kind])}', flush=True)
    if chosen.json:
        print(json.dumps(found, indent=1))
    return 0


def _title(chosen: argparse.Namespace, kind: str) -> str:
    return (
        f'{chosen.servers} servers, {chosen.volumes} volumes and {chosen.deleted} deleted servers of each project, '
        f'and {FEW} servers; {kind}, {chosen.backend}'
    )


def _measure(
    chosen: argparse.Namespace, directory: str, cloud: dict[str, Any], databases: Databases, kind: str
) -> list[dict[str, Any]]:
    gateways = {}
    for name, counts in {
        'many': (chosen.servers, chosen.volumes, dict.fromkeys(('ten', 'alt'), chosen.deleted)),
        'few': (FEW, 0, None),
    }.items():
        own = os.path.join(directory, name)
        os.makedirs(own)
        options = ['pods.routing_cache_seconds=0', *databases.new(kind)]
        gateways[name] = running.Gateway(own, cloud, chosen.backend, options)
        started = time.monotonic()
        gateways[name].fill(*counts)
        print(f'{kind}, {name}: filled in {time.monotonic() - started:.0f} s', file=sys.stderr)
    cases = {case.name: case for case in cases_for(cloud)}
    cases[SHOW] = replace(cases[SHOW], token='ten', paths=shows(cloud, 'ten'))
    wanted = [(cases[name], str(cloud['tokens'][cases[name].token]), 1) for name in (SHOW, LIMITED, CREATE)]
    with (
        scale.processor() as cpu,
        scale.Side(gateways['many'], cpu) as ours,
        scale.Side(gateways['few'], cpu) as theirs,
    ):
        rows = two_trees.compare((ours, theirs), wanted, chosen.rounds, chosen.starts)
    return [{**asdict(row), 'pods': PODS, 'at_most': AT_MOST} for row in rows]
