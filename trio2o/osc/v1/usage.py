# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o usage``: how full the pods are."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from osc_lib import exceptions

from trio2o.osc.v1.base import Column, Lister, add_paging, paging, rows
from trio2o.osc.v1.pod import add_pod

COLUMNS = (
    Column('Pod', 'pod_name'),
    Column('Zone', 'az_name'),
    Column('Service', 'service'),
    Column('Resource', 'resource'),
    Column('Capacity', 'capacity'),
    Column('Used', 'used'),
    Column('Free', 'free'),
    Column('Kept Free', 'headroom'),
    Column('Room', 'room'),
    Column('Stale', 'is_stale'),
    Column('Collected At', 'collected_at'),
)
SUM = (Column('Service', 'service'), Column('Pods', 'pods'), *COLUMNS[3:9])
SERVICES = ('compute', 'volume')


def flat(usages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each resource; one whose service told nothing has a row all the same."""
    for usage in usages:
        for name, amounts in (usage['resources'] or {'-': {}}).items():
            yield {**usage, **amounts, 'resource': name}


class ListUsage(Lister):
    """List what the pods have, use and keep free, as it was read last. None under Free stands for no limit."""

    examples = (
        ('all pods', 'openstack trio2o usage list'),
        ('how much room there is in a zone', 'openstack trio2o usage list --zone az1 --sum'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--service', choices=SERVICES, help='Only of this service')
        parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Only in this availability zone')
        parser.add_argument('--sum', action='store_true', help='Of all pods together')
        add_paging(parser, 'collected_at')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {'service': parsed_args.service, 'az_name': parsed_args.zone}
        if parsed_args.sum:
            return rows(SUM, flat(self.client.get('/usages', **query, limit=1)['sums']))
        return rows(COLUMNS, flat(self.client.list('/usages', 'usages', **query, **paging(parsed_args))))


class ShowUsage(Lister):
    """Show what one pod has, uses and keeps free."""

    examples = (('a pod', 'openstack trio2o usage show Pod1'), ('as CSV', 'openstack trio2o usage show Pod1 -f csv'))

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        found = self.client.get('/usages', pod_id=pod['pod_id'])['usages']
        if not found:
            raise exceptions.CommandError(
                f'Nothing is known yet of how full {pod["pod_name"]} is: trio2o-xjob reads it now and then.'
            )
        return rows(COLUMNS[2:], flat(found))
