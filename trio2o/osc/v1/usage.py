# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o usage``: how full the pods are."""

from __future__ import annotations

import argparse
from typing import Any

from osc_lib import exceptions

from trio2o.osc.v1.base import Column, Lister, ShowOne, add_paging, fields, paging, rows
from trio2o.osc.v1.pod import add_pod

COLUMNS = (
    Column('Pod', 'pod_name'),
    Column('Service', 'service'),
    Column('Usage', 'data'),
    Column('Collected At', 'collected_at'),
)
SERVICES = ('compute', 'volume')


class ListUsage(Lister):
    """List capacity and use of the pods, as they were read last."""

    examples = (('all pods', 'openstack trio2o usage list'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--service', choices=SERVICES, help='Only of this service')
        add_paging(parser, 'collected_at')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return rows(COLUMNS, self.client.list('/usages', 'usages', service=parsed_args.service, **paging(parsed_args)))


class ShowUsage(ShowOne):
    """Show capacity and use of one pod."""

    examples = (('as JSON', 'openstack trio2o usage show Pod1 -f json'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        found = {usage['service']: usage for usage in self.client.get('/usages', pod_id=pod['pod_id'])['usages']}
        if not found:
            raise exceptions.CommandError(
                f'Nothing is known yet of how full {pod["pod_name"]} is: trio2o-xjob reads it now and then.'
            )
        shown = {service: usage['data'] for service, usage in found.items()}
        times = {f'{service}_collected_at': usage['collected_at'] for service, usage in found.items()}
        return fields({'pod_name': pod['pod_name'], **shown, **times})
