# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o claim``: quota that is reserved for requests whose outcome is not known yet."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.v1.base import Column, Lister, ShowOne, Trio2oCommand, a_number, add_paging, each, fields, paging, rows
from trio2o.osc.v1.binding import add_project, project_id

COLUMNS = (
    Column('ID', 'id'),
    Column('Project ID', 'project_id'),
    Column('Pod', 'pod_name'),
    Column('Type', 'resource_type'),
    Column('State', 'state'),
    Column('Amounts', 'resources'),
    Column('Created At', 'created_at'),
)
MORE = (
    Column('Resource', 'resource_id'),
    Column('User ID', 'user_id'),
    Column('Request ID', 'request_id'),
    Column('Settled Next At', 'expires_at'),
)
STATES = ('open', 'unknown', 'watch')


class ListClaim(Lister):
    """List open claims on the quota, the oldest first."""

    examples = (
        ('what is reserved for a project', 'openstack trio2o claim list --project demo'),
        ('requests to Pod2 without an answer for an hour', 'openstack trio2o claim list --pod Pod2 --older-than 3600'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_project(parser, '--project', 'Only of this project (name or ID)')
        parser.add_argument('--pod', metavar='<pod>', help='Only of requests to this pod (name or ID)')
        parser.add_argument('--type', metavar='<type>', help='Only for this type: server, volume, snapshot ...')
        parser.add_argument('--resource', metavar='<id>', help='Only of changes of this resource')
        parser.add_argument('--state', choices=STATES, help='Only in this state')
        parser.add_argument('--request', metavar='<request-id>', help='Only of this request')
        parser.add_argument(
            '--older-than', metavar='<seconds>', type=a_number, help='Only those made at least so long ago'
        )
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'project_id,created_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        names = self.pod_names()
        query = {
            'project_id': project_id(self, parsed_args),
            'pod_id': self.pod_id(parsed_args.pod),
            'resource_type': parsed_args.type,
            'resource_id': parsed_args.resource,
            'state': parsed_args.state,
            'request_id': parsed_args.request,
            'older_than': parsed_args.older_than,
        }
        found = self.client.claims(**query, **paging(parsed_args))
        items = ({**claim.document, 'pod_name': names.get(claim.pod_id, claim.pod_id)} for claim in found)
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, items)


class ShowClaim(ShowOne):
    """Show a claim: its request, its pod and its amounts."""

    examples = (('a claim', 'openstack trio2o claim show 5d1c0a7e-93b2-4f68-8a36-2b7d5f9c1e80'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('claim', metavar='<claim>', help='The claim (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        claim = self.client.get_claim(parsed_args.claim)
        return fields({**claim.document, 'pod_name': self.pod_names().get(claim.pod_id, '')})


class DeleteClaim(Trio2oCommand):
    """End claims, and recount their projects. Trio2o normally does it by itself; this is for pods that do not answer.

    A claim is refused while its request may still be carried out, for [quota] claim_seconds.
    """

    examples = (('a claim', 'openstack trio2o claim delete 5d1c0a7e-93b2-4f68-8a36-2b7d5f9c1e80'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('claims', metavar='<claim>', nargs='+', help='Claims to end (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.claims, lambda claim: self.client.delete_claim(claim, ignore_missing=False))
