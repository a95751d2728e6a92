# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o routing``: which pod holds which resource."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.client import Client, quoted
from trio2o.osc.v1.base import Column, Lister, ShowOne, Trio2oCommand, add_paging, each, fields, paging, rows
from trio2o.osc.v1.binding import add_project, project_id

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


def shown(client: Client, routing: dict[str, Any]) -> Any:
    return fields({**routing, 'pod_name': client.pod_names().get(routing['pod_id'], '')})


class ListRouting(Lister):
    """List where resources are."""

    examples = (
        ('which pod a server is in', 'openstack trio2o routing list --resource 0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22'),
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
        names = self.client.pod_names()
        query = {
            'pod_id': self.client.pod(parsed_args.pod)['pod_id'] if parsed_args.pod else None,
            'project_id': project_id(self, parsed_args),
            'resource_type': parsed_args.type,
            'top_id': parsed_args.resource,
            'bottom_id': parsed_args.in_pod,
            'state': parsed_args.state,
        }
        found = self.client.list('/routings', 'routings', **query, **paging(parsed_args))
        items = ({**routing, 'pod_name': names.get(routing['pod_id'], routing['pod_id'])} for routing in found)
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, items)


class ShowRouting(ShowOne):
    """Show where a resource is."""

    examples = (('where a server is', 'openstack trio2o routing show 0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('routing', metavar='<routing>', help="The routing's number, or the resource's ID")
        parser.add_argument('--type', metavar='<type>', help='Type of the resource, where two share the ID')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        path = f'/routings/{quoted(parsed_args.routing)}'
        return shown(self.client, self.client.get(path, resource_type=parsed_args.type)['routing'])


class CreateRouting(ShowOne):
    """Record by hand where a resource is. Trio2o finds out by itself; this is for repairs."""

    examples = (
        (
            'a server that is in Pod1',
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
        parser.add_argument('--in-pod', metavar='<id>', help='Its ID in the pod, where that is another')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        wanted = {
            'top_id': parsed_args.resource,
            'resource_type': parsed_args.type,
            'pod_id': self.client.pod(parsed_args.pod)['pod_id'],
            'project_id': project_id(self, parsed_args),
        }
        if parsed_args.in_pod:
            wanted['bottom_id'] = parsed_args.in_pod
        return shown(self.client, self.client.post('/routings', {'routing': wanted})['routing'])


class SetRouting(ShowOne):
    """Put right by hand where a resource is. The resource itself does not move."""

    examples = (('it is in Pod2', 'openstack trio2o routing set --pod Pod2 0b9c6f0e-3f0f-4a3e-8a53-5a1d3b4f7c22'),)

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
            'pod_id': self.client.pod(parsed_args.pod)['pod_id'] if parsed_args.pod else None,
            'project_id': project_id(self, parsed_args),
            'bottom_id': parsed_args.in_pod,
            'state': parsed_args.state,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        path = f'/routings/{quoted(parsed_args.routing)}'
        return shown(self.client, self.client.patch(path, {'routing': changes})['routing'])


class DeleteRouting(Trio2oCommand):
    """Forget where resources are. The resources themselves stay; one that is asked for is found again."""

    examples = (('a routing by number', 'openstack trio2o routing delete 17'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'routings', metavar='<routing>', nargs='+', help="Routings to forget: numbers, or the resources' IDs"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.routings, lambda routing: self.client.delete(f'/routings/{quoted(routing)}'))
