# SPDX-License-Identifier: Apache-2.0
"""What the ``openstack`` client asks of a plug-in: a name, versions, a client, global options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from osc_lib import utils

if TYPE_CHECKING:
    from trio2o.osc.client import Client

API_NAME = 'trio2o'
API_VERSION_OPTION = 'os_trio2o_api_version'
DEFAULT_API_VERSION = '1.0'
API_VERSIONS = {'1': 'trio2o.osc.client.Client', '1.0': 'trio2o.osc.client.Client'}


def make_client(instance: Any) -> Client:
    """The client of the commands; made when the first of them asks."""
    from trio2o.osc.client import Client

    config = instance._cli_options.config
    return Client(
        instance.session,
        region_name=instance.region_name,
        interface=instance.interface,
        endpoint=config.get('trio2o_endpoint') or config.get('trio2o_endpoint_override'),
    )


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Global options."""
    parser.add_argument(
        '--os-trio2o-api-version',
        metavar='<trio2o-api-version>',
        default=utils.env('OS_TRIO2O_API_VERSION'),
        help=f'Trio2o Admin API version, default={DEFAULT_API_VERSION} (Env: OS_TRIO2O_API_VERSION)',
    )
    parser.add_argument(
        '--os-trio2o-endpoint',
        metavar='<trio2o-endpoint>',
        default=utils.env('OS_TRIO2O_ENDPOINT'),
        help="URL of Trio2o's Admin API, where the catalog has none (Env: OS_TRIO2O_ENDPOINT)",
    )
    return parser
