# SPDX-License-Identifier: Apache-2.0
"""The plug-in of the ``openstack`` client: its name, versions, client and global options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from osc_lib import utils

if TYPE_CHECKING:
    from trio2o.sdk.proxy import Proxy

API_NAME = 'trio2o'
API_VERSION_OPTION = 'os_trio2o_api_version'
DEFAULT_API_VERSION = '1.0'
API_VERSIONS = {'1': 'trio2o.sdk.proxy.Proxy', '1.0': 'trio2o.sdk.proxy.Proxy'}


def make_client(instance: Any) -> Proxy:
    """Make the client of the commands, when the first of them uses it."""
    from trio2o.sdk.proxy import Proxy

    config = instance._cli_options.config
    client = Proxy(
        instance.session,
        service_type=API_NAME,
        region_name=instance.region_name,
        interface=instance.interface,
        endpoint_override=config.get('trio2o_endpoint') or config.get('trio2o_endpoint_override'),
    )
    # As in openstack.service_description. The session is that of the openstack client, which has a token already.
    client._connection = instance.sdk_connection
    return client


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
        help="URL of Trio2o's Admin API, if the catalog has none (Env: OS_TRIO2O_ENDPOINT)",
    )
    return parser
