# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab emulated up``: emulated pods on ports, in the foreground until interrupted."""

import argparse
import gc
import signal
import sys
import threading

from trio2o.lab.emulated import faults
from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import PASSWORD, Cloud


def add_parser(subparsers: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    """Add the ``emulated`` command and its own sub-commands."""
    parser = subparsers.add_parser('emulated', help='emulated pods in memory')
    commands = parser.add_subparsers(dest='command', required=True)
    start = commands.add_parser('up', help='serve until interrupted')
    start.add_argument('--pods', type=int, default=2, help='number of pods (2)')
    start.add_argument(
        '--port-base',
        type=int,
        default=25000,
        help='port of Keystone; Glance is at +1, Neutron at +2, Placement, Cinder and Nova of pod N at +100N, +100N+1 '
        'and +100N+2; with more than 300 pods at +4N, +4N+1 and +4N+2',
    )
    start.add_argument('--host', default='127.0.0.1', help='address to listen on')
    start.add_argument('--gateway', default='127.0.0.1', help="the gateway's host in RegionOne's endpoints")
    start.add_argument('--zones', default='nova', help='availability zones of each pod, separated by commas (nova)')
    start.add_argument('--servers', type=int, default=0, help='number of servers of the project demo in each pod')
    start.add_argument('--volumes', type=int, default=0, help='number of volumes of the project demo in each pod')
    start.add_argument('--delay-ms', type=float, default=0.0, help='delay of every answer of the pods')
    start.add_argument('--fast', action='store_true', help='keep no log of requests, for benchmarks')
    start.add_argument('--token-hours', type=float, default=24.0, help='lifetime of the printed tokens')
    start.set_defaults(run=up)


def build(chosen: argparse.Namespace) -> Cloud:
    """Build the cloud that the options describe."""
    cloud = Cloud(
        pods=chosen.pods,
        zones=tuple(chosen.zones.split(',')),
        gateway=chosen.gateway,
        log_size=0 if chosen.fast else 10000,
    )
    for name, pod in cloud.pods.items():
        cloud.add_servers(name, 'demo', chosen.servers, name=f'{name.lower()}-server')
        cloud.add_volumes(name, 'demo', chosen.volumes, name=f'{name.lower()}-volume')
        if chosen.delay_ms:
            for service in pod.each():
                service.faults.add(faults.Slow(chosen.delay_ms / 1000))
    return cloud


def describe(cloud: Cloud, token_seconds: float) -> str:
    """Return the URLs and credentials as lines that a shell can source."""
    lines = [
        f'export OS_AUTH_URL={cloud.keystone.url}/v3',
        'export OS_IDENTITY_API_VERSION=3',
        'export OS_USERNAME=demo',
        f'export OS_PASSWORD={PASSWORD}',
        'export OS_PROJECT_NAME=demo',
        'export OS_USER_DOMAIN_ID=default',
        'export OS_PROJECT_DOMAIN_ID=default',
        f'export OS_REGION_NAME={next(iter(cloud.pods))}',
    ]
    for name, pod in cloud.pods.items():
        lines.append(f'# {name}: compute {pod.nova_url} volumev3 {pod.cinder_url} placement {pod.placement_url}')
    lines.append(f'# project demo {cloud.project_id("demo")}')
    lines += [f'# token {user} {cloud.token(user, expires_in=token_seconds)}' for user in ('demo', 'admin')]
    return '\n'.join(lines)


def up(chosen: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    cloud = build(chosen)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with CloudServer(cloud, chosen.port_base, chosen.host):
        print(describe(cloud, chosen.token_hours * 3600))
        print('# ready', flush=True)
        if chosen.fast:
            gc.collect()
            gc.freeze()
            sys.setswitchinterval(0.1)
        ended.wait()
    return 0
