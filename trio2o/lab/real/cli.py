# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab real``: run unmodified OpenStack services as pods."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable

from trio2o.lab.real.errors import LabError
from trio2o.lab.real.lab import RealLab
from trio2o.lab.real.topology import DEFAULT_PODS, DEFAULT_PORT_BASE, TOP_REGION, Gateway

Command = Callable[[argparse.Namespace, RealLab], int]
BEGUN = time.monotonic()


def progress(message: str) -> None:
    """Print a line with the seconds since the command began."""
    print(f'[{time.monotonic() - BEGUN:6.1f} s] {message}', flush=True)


def up(chosen: argparse.Namespace, lab: RealLab) -> int:
    if lab.exists:
        check_choices(chosen, lab)
        lab.grow(chosen.pods or 0)
    lab.configure()
    lab.start()
    progress(f'{len(lab.topology.pods)} pods run; log files are in {lab.state_dir / "log"}')
    return 0


def check_choices(chosen: argparse.Namespace, lab: RealLab) -> None:
    """Check that the options of an existing lab are those it was created with.

    :raises LabError: the ports or the host differ
    """
    gateway = lab.topology.gateway
    known = {
        'port_base': lab.topology.port_base,
        'gateway_host': gateway.host,
        'admin_port': gateway.admin_port,
        'volume_port': gateway.volume_port,
        'compute_port': gateway.compute_port,
    }
    for option, made in known.items():
        wanted = getattr(chosen, option)
        if wanted not in (None, made):
            raise LabError(
                f'the lab in {lab.state_dir} was created with another --{option.replace("_", "-")}: '
                f'`tools/demo destroy` (or `trio2o-lab real destroy`) it first, or choose another --state'
            )


def down(chosen: argparse.Namespace, lab: RealLab) -> int:
    stopped = lab.stop()
    progress(f'stopped {", ".join(stopped)}' if stopped else 'nothing was running')
    return 0


def start(chosen: argparse.Namespace, lab: RealLab) -> int:
    lab.start(chosen.names)
    return 0


def stop(chosen: argparse.Namespace, lab: RealLab) -> int:
    stopped = lab.stop(chosen.names)
    progress(f'stopped {", ".join(stopped)}' if stopped else 'none of them was running')
    return 0


def status(chosen: argparse.Namespace, lab: RealLab) -> int:
    rows = [('service', 'pid', 'port', 'state', 'log')]
    found = lab.status()
    rows += [(s.service.name, str(s.pid or '-'), str(s.service.port), s.state, str(s.log)) for s in found]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0 if all(s.state == 'running' for s in found) else 3


def env(chosen: argparse.Namespace, lab: RealLab) -> int:
    for name, value in lab.credentials(chosen.user, chosen.region).items():
        print(f'export {name}={shlex.quote(value)}')
    return 0


def conf(chosen: argparse.Namespace, lab: RealLab) -> int:
    print(lab.gateway_conf(os.path.abspath(chosen.state_path)), end='')
    return 0


def register(chosen: argparse.Namespace, lab: RealLab) -> int:
    new = lab.register_pods(chosen.names)
    progress(f'registered {", ".join(new)}' if new else 'the gateway knows all pods already')
    return 0


def destroy(chosen: argparse.Namespace, lab: RealLab) -> int:
    lab.destroy()
    progress(f'removed the lab in {lab.state_dir}')
    return 0


def run(command: Command) -> Callable[[argparse.Namespace], int]:
    def runner(chosen: argparse.Namespace) -> int:
        try:
            return command(chosen, make_lab(chosen))
        except LabError as error:
            print(f'trio2o-lab: {error}', file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(
                'trio2o-lab: interrupted; services that have started go on: `tools/demo down` (or '
                '`trio2o-lab real down`) stops them',
                file=sys.stderr,
            )
            return 130

    return runner


def make_lab(chosen: argparse.Namespace) -> RealLab:
    if chosen.command != 'up':
        return RealLab(chosen.state, progress=progress)
    return RealLab(
        chosen.state,
        pods=chosen.pods or DEFAULT_PODS,
        port_base=chosen.port_base or DEFAULT_PORT_BASE,
        seed_flavors=chosen.seed_flavors,
        endpoints=Gateway(
            chosen.gateway_host or Gateway.host,
            chosen.admin_port or Gateway.admin_port,
            chosen.volume_port or Gateway.volume_port,
            chosen.compute_port or Gateway.compute_port,
        ),
        pythons=dict(pair.split('=', 1) for pair in chosen.pod_python),
        servers=dict(pair.split('=', 1) for pair in chosen.pod_database),
        progress=progress,
    )


def _number(most: int) -> Callable[[str], int]:
    """Return the type of an argument that is a number from 1."""

    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f'{text!r} is not a number from 1 to {most}')
        return int(text)

    return read


_PORT = _number(65535)
#: With more pods, the ports of the services would not fit.
_PODS = _number(100)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``real`` and its commands."""
    parser = subparsers.add_parser('real', help='unmodified OpenStack services with fake drivers')
    commands = parser.add_subparsers(dest='command', required=True)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        folder = os.environ.get('TRIO2O_LAB', '.lab')
        added.add_argument('--state', default=folder, help='folder of the lab (default: $TRIO2O_LAB or .lab)')
        added.set_defaults(run=run(command))
        return added

    of_up = add('up', up, 'create the lab if there is none, and start the services that do not run')
    of_up.add_argument('--pods', type=_PODS, help='minimum number of pods (a new lab has 2 by default)')
    of_up.add_argument(
        '--port-base',
        type=_PORT,
        help=f'first port of a new lab (default: {DEFAULT_PORT_BASE})',
    )
    of_up.add_argument('--seed-flavors', action='store_true', help='create flavors in each pod')
    of_up.add_argument('--gateway-host', help=f"host of RegionOne's endpoints (default: {Gateway.host})")
    for name, api in (('admin', 'Admin API'), ('volume', 'Cinder API-GW'), ('compute', 'Nova API-GW')):
        default = getattr(Gateway, f'{name}_port')
        of_up.add_argument(f'--{name}-port', type=_PORT, help=f'port of the {api} (default: {default})')
    of_up.add_argument(
        "--pod-python", metavar="POD=PYTHON", action="append", default=[],
        help="interpreter with the packages of a pod, for pods of another release",
    )  # fmt: skip
    of_up.add_argument(
        '--pod-database',
        metavar='POD=URL',
        action='append',
        default=[],
        help='database server of a pod, mysql+pymysql://USER:PASSWORD@HOST:PORT, instead of SQLite files',
    )
    add('down', down, 'stop all services and keep their state')
    add('status', status, 'show every service')
    add('start', start, 'start pods or services').add_argument('names', nargs='+', metavar='NAME')
    add('stop', stop, 'stop pods or services').add_argument('names', nargs='+', metavar='NAME')
    of_env = add('env', env, 'print the environment for OpenStack clients')
    of_env.add_argument('--user', default='admin', help='admin, demo or a service user (default: admin)')
    of_env.add_argument('--region', default=TOP_REGION, help=f'region of the endpoints (default: {TOP_REGION})')
    of_conf = add('conf', conf, 'print a trio2o.conf for a gateway in front of these pods')
    of_conf.add_argument('--state-path', default='.', help='folder for the files of the gateway')
    of_register = add('register', register, 'register pods in the running gateway: Pod1 in zone az1 and so on')
    of_register.add_argument('names', nargs='*', metavar='POD', help='pods to register (default: all)')
    add('destroy', destroy, 'stop all services and remove the lab')
