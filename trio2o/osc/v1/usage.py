# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o usage``: capacity and use of the pods."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from trio2o.osc.v1.base import Column, Lister, add_paging, paging, rows
from trio2o.osc.v1.pod import add_pod

if TYPE_CHECKING:
    from trio2o.sdk.resources import Usage, UsageSum

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


def flat(usages: Iterable[Usage | UsageSum]) -> Iterator[dict[str, Any]]:
    """Yield a row for each resource, and one for a usage without resources."""
    for usage in usages:
        for name, amounts in (usage.resources or {'-': {}}).items():
            yield {**usage.document, **amounts, 'resource': name}


class ListUsage(Lister):
    """List capacity, use and headroom of the pods, as last read. None under Free means no limit."""

    examples = (
        ('all pods', 'openstack trio2o usage list'),
        ('the room in a zone', 'openstack trio2o usage list --zone az1 --sum'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--service', choices=SERVICES, help='Only of this service')
        parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Only in this availability zone')
        parser.add_argument('--sum', action='store_true', help='Sum over the pods')
        add_paging(parser, 'collected_at')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {'service': parsed_args.service, 'az_name': parsed_args.zone}
        if parsed_args.sum:
            return rows(SUM, flat(self.client.usage_sums(**query)))
        return rows(COLUMNS, flat(self.client.usages(**query, **paging(parsed_args))))


class ShowUsage(Lister):
    """Show capacity, use and headroom of one pod."""

    examples = (('a pod', 'openstack trio2o usage show Pod1'), ('as CSV', 'openstack trio2o usage show Pod1 -f csv'))

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.find_pod(parsed_args.pod)
        found = list(self.client.usages(pod_id=pod.id))
        if not found:
            raise exceptions.CommandError(
                f'The usage of {pod.name} has not been read yet: trio2o-xjob reads it periodically.'
            )
        return rows(COLUMNS[2:], flat(found))
