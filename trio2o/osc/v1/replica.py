# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o replica``: replicas that are out of sync, and why."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.v1.base import Column, Lister, add_paging, paging, rows

COLUMNS = (
    Column('Pod', 'pod_name'),
    Column('Kind', 'kind'),
    Column('Key', 'key'),
    Column('State', 'state'),
    Column('Attempts', 'attempts'),
    Column('Error', 'error'),
    Column('Updated At', 'updated_at'),
)
MORE = (
    Column('ID', 'id'),
    Column('Resource', 'top_id'),
    Column('In The Pod', 'bottom_id'),
    Column('Deleted', 'is_deleted'),
    Column('Generation', 'generation'),
    Column('Desired Generation', 'desired_generation'),
)
SUMMARY = (Column('Pod', 'pod_name'), Column('Out Of Sync', 'out_of_sync'))


class ListReplica(Lister):
    """List the replicated objects that are out of sync in a pod: flavors, keypairs, volume types ...

    An empty list means that all pods are in sync.
    """

    examples = (
        ('the number of replicas out of sync in each pod', 'openstack trio2o replica list --summary'),
        ('the replicas out of sync in a pod, and why', 'openstack trio2o replica list --pod Pod2'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--pod', metavar='<pod>', help='Only in this pod (name or ID)')
        parser.add_argument('--kind', metavar='<kind>', help='Only of this kind: flavor, keypair, volume_type ...')
        parser.add_argument('--state', choices=('out_of_sync', 'failed'), help='Only in this state')
        parser.add_argument(
            '--summary', action='store_true', help='Only show the number of replicas out of sync in each pod'
        )
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'pod_name,kind')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {
            'pod_id': self.pod_id(parsed_args.pod),
            'kind': parsed_args.kind,
            'state': parsed_args.state,
        }
        if parsed_args.summary:
            return rows(SUMMARY, (summary.document for summary in self.client.replica_summary(**query)))
        found = self.client.replicas(**query, **paging(parsed_args))
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, (replica.document for replica in found))
