# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o routing``: which pod holds which resource."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from trio2o.osc.v1.base import Column, Lister, ShowOne, Trio2oCommand, add_paging, each, fields, paging, rows
from trio2o.osc.v1.binding import add_project, project_id

if TYPE_CHECKING:
    from trio2o.sdk.resources import Routing

COLUMNS = (
    Column('ID', 'id'),
    Column('Type', 'resource_type'),
    Column('Resource', 'top_id'),
    Column('Pod', 'pod_name'),
    Column('Project ID', 'project_id'),
    Column('State', 'state'),
)
MORE = (
    Column('In The Pod', 'bottom_id'),
    Column('Created At', 'created_at'),
    Column('Recorded At', 'recorded_at'),
    Column('Deleted At', 'deleted_at'),
)
STATES = ('creating', 'active', 'deleting', 'deleted')


def shown(command: Trio2oCommand, routing: Routing) -> Any:
    return fields({**routing.document, 'pod_name': command.pod_names().get(routing.pod_id, '')})


class ListRouting(Lister):
    """List which pods hold resources."""

    examples = (
        (
            'the pod that holds a server',
            'openstack trio2o routing list --resource 0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22',
        ),
        (
            'all volumes in Pod2, as JSON',
            'openstack trio2o routing list --pod Pod2 --type volume --state active -f json',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--pod', metavar='<pod>', help='Only in this pod (name or ID)')
        add_project(parser, '--project', 'Only of this project (name or ID)')
        parser.add_argument('--type', metavar='<type>', help='Only of this type: server, volume, snapshot ...')
        parser.add_argument('--resource', metavar='<id>', help='Only of the resource tenants see under this ID')
        parser.add_argument('--in-pod', metavar='<id>', help='Only of the resource the pod has under this ID')
        parser.add_argument('--state', choices=STATES, help='Only in this state')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'resource_type,recorded_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        names = self.pod_names()
        query = {
            'pod_id': self.pod_id(parsed_args.pod),
            'project_id': project_id(self, parsed_args),
            'resource_type': parsed_args.type,
            'top_id': parsed_args.resource,
            'bottom_id': parsed_args.in_pod,
            'state': parsed_args.state,
        }
        found = self.client.routings(**query, **paging(parsed_args))
        items = ({**routing.document, 'pod_name': names.get(routing.pod_id, routing.pod_id)} for routing in found)
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, items)


class ShowRouting(ShowOne):
    """Show which pod holds a resource."""

    examples = (('the pod that holds a server', 'openstack trio2o routing show 0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('routing', metavar='<routing>', help="The routing's number, or the resource's ID")
        parser.add_argument('--type', metavar='<type>', help='Type of the resource, if several types have the ID')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return shown(self, self.client.get_routing(parsed_args.routing, resource_type=parsed_args.type))


class CreateRouting(ShowOne):
    """Record which pod holds a resource. Trio2o normally finds out by itself; this is for repairs."""

    examples = (
        (
            'a server in Pod1',
            'openstack trio2o routing create --type server --pod Pod1 --project demo '
            '0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('resource', metavar='<id>', help='ID of the resource, as tenants see it')
        parser.add_argument('--type', metavar='<type>', required=True, help='server, volume, snapshot ...')
        parser.add_argument('--pod', metavar='<pod>', required=True, help='The pod it is in (name or ID)')
        parser.add_argument('--project', metavar='<project>', required=True, help='Its project (name or ID)')
        parser.add_argument('--project-domain', metavar='<project-domain>', help='Domain of the project')
        parser.add_argument('--in-pod', metavar='<id>', help='Its ID in the pod, if it differs')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        attrs = {
            'top_id': parsed_args.resource,
            'resource_type': parsed_args.type,
            'pod_id': self.pod_id(parsed_args.pod),
            'project_id': project_id(self, parsed_args),
        }
        if parsed_args.in_pod:
            attrs['bottom_id'] = parsed_args.in_pod
        return shown(self, self.client.create_routing(**attrs))


class SetRouting(ShowOne):
    """Correct which pod holds a resource. The resource itself does not move."""

    examples = (
        ('a server is in Pod2', 'openstack trio2o routing set --pod Pod2 0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('routing', metavar='<routing>', help="The routing's number, or the resource's ID")
        parser.add_argument('--pod', metavar='<pod>', help='The pod it is in (name or ID)')
        add_project(parser, '--project', 'Its project (name or ID)')
        parser.add_argument('--in-pod', metavar='<id>', help='Its ID in the pod')
        parser.add_argument('--state', choices=STATES, help='Its state')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        changes = {
            'pod_id': self.pod_id(parsed_args.pod),
            'project_id': project_id(self, parsed_args),
            'bottom_id': parsed_args.in_pod,
            'state': parsed_args.state,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        return shown(self, self.client.update_routing(parsed_args.routing, **changes))


class DeleteRouting(Trio2oCommand):
    """Delete routings. The resources themselves stay; a resource is looked up in the pods when it is used again."""

    examples = (('a routing by number', 'openstack trio2o routing delete 17'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'routings', metavar='<routing>', nargs='+', help="Routings to delete: numbers, or the resources' IDs"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.routings, lambda routing: self.client.delete_routing(routing, ignore_missing=False))
