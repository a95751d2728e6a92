# SPDX-License-Identifier: Apache-2.0
"""Configure a gateway in front of a lab: write its configuration, and register the pods.

This module uses only the commands and APIs of Trio2o, as an operator does. It does not start the gateway.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from trio2o.lab.real.seed import admin_client
from trio2o.lab.real.settings import Sections, account
from trio2o.lab.real.topology import TOP_REGION, Topology


def gateway_sections(topology: Topology, state_path: str) -> Sections:
    """Return the configuration of ``trio2o-all`` on SQLite, listening at the endpoints of RegionOne."""
    gateway = topology.gateway
    # The guides go on while a pod is stopped, and clients find a server or volume by its name in a list.
    lists = {'list_records_by_skipping_down_pods': True}
    return {
        'DEFAULT': {
            'state_path': state_path,
            'transport_url': 'fake://',
            'region_name': TOP_REGION,
        },
        'api': {'bind_host': gateway.host, 'bind_port': gateway.admin_port},
        'dashboard': {'allow_http': True},
        'cinder_apigw': {'bind_host': gateway.host, 'bind_port': gateway.volume_port, **lists},
        'nova_apigw': {'bind_host': gateway.host, 'bind_port': gateway.compute_port, **lists},
        'keystone_authtoken': {
            **account(topology, 'trio2o'),
            'www_authenticate_uri': topology.auth_url,
            'service_token_roles': 'service',
            'service_token_roles_required': True,
        },
        'service_auth': account(topology, 'trio2o'),
    }


def pod_records(topology: Topology) -> list[dict[str, Any]]:
    """Return the bodies for the Admin API: the top region, and each pod in its own zone."""
    pods = [
        {'pod_name': pod.name, 'az_name': f'az{number}', 'pod_az_name': 'nova', 'dc_name': ''}
        for number, pod in enumerate(topology.pods, 1)
    ]
    return [{'pod_name': TOP_REGION}, *pods]


def register(topology: Topology, names: Collection[str] = ()) -> list[str]:
    """Register the top region and pods, unless they are registered already.

    :param names: the pods; empty: all
    :returns: names of the new ones
    """
    client = admin_client(topology)
    url = f'{topology.gateway.admin_url}/pods'
    known = {pod['pod_name'] for pod in client.call('GET', url)['pods']}
    wanted = {TOP_REGION, *(names or (pod.name for pod in topology.pods))} - known
    new = [record for record in pod_records(topology) if record['pod_name'] in wanted]
    for record in new:
        client.call('POST', url, {'pod': record})
    return [record['pod_name'] for record in new]
