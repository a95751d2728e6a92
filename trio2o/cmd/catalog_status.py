# SPDX-License-Identifier: Apache-2.0
"""``trio2o-status catalog``: a check of Keystone's catalog, printed as text or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from trio2o import exception
from trio2o.cmd.output import UNKNOWN, print_json
from trio2o.pods.catalog_check import Problem, problems_of
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.health_check import Level
from trio2o.pods.identity import Identity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--format', choices=['text', 'json'], default='text', help='output format (%(default)s)')
    parser.add_argument(
        '--keystone-url',
        metavar='URL',
        help='OPENSTACK_KEYSTONE_URL in the settings of Horizon, exactly as it is there (default: the URLs of the '
        'identity endpoints of the top region, with and without a slash at the end)',
    )


def run(conf: cfg.ConfigOpts, args: argparse.Namespace) -> int:
    """Check the catalog and print the problems.

    :returns: the exit status
    """
    identity = Identity(conf)
    gateways = {COMPUTE: conf.nova_apigw.public_endpoint or '', VOLUME: conf.cinder_apigw.public_endpoint or ''}
    try:
        found = problems_of(
            identity.catalog(), conf.region_name, identity.project_id(), gateways, args.keystone_url or None
        )
    except exception.ServiceUnavailable as error:
        return _cannot(args.format, f'{error} Look at [service_auth].')
    level = max((problem.level for problem in found), default=Level.OK)
    if args.format == 'json':
        print_json({'level': level.name.lower(), 'problems': [_to_json(problem) for problem in found]})
    else:
        print(text_of(found))
    return int(level)


def _cannot(form: str, reason: str) -> int:
    if form == 'json':
        print_json({'level': 'unknown', 'error': reason, 'problems': []})
    else:
        print(f'unknown: {reason}')
    return UNKNOWN


def _to_json(problem: Problem) -> dict[str, Any]:
    return {'level': problem.level.name.lower(), 'text': problem.text, 'todo': problem.todo}


def text_of(found: Sequence[Problem]) -> str:
    """Format the problems, with what to do about each in a line of its own."""
    if not found:
        return 'ok: nothing in the catalog sends clients to a pod.'
    return '\n'.join(f'{problem.level.name.lower()}: {problem.text}\n    {problem.todo}' for problem in found)
