# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o binding``: which pods projects are bound to."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.client import quoted
from trio2o.osc.v1.base import Column, Lister, ShowOne, Trio2oCommand, add_paging, each, fields, paging, rows

COLUMNS = (
    Column('ID', 'id'),
    Column('Project ID', 'tenant_id'),
    Column('Pod', 'pod_name'),
    Column('Zone', 'az_name'),
    Column('Affinity Group', 'affinity_group'),
    Column('By Hand', 'is_pinned'),
    Column('Started At', 'started_at'),
)
ENDED = Column('Ended At', 'ended_at')


def add_project(parser: argparse.ArgumentParser, name: str, help: str) -> None:
    """A project by name or ID, and its domain."""
    parser.add_argument(name, metavar='<project>', help=help)
    parser.add_argument(
        '--project-domain', metavar='<project-domain>', help='Domain of the project, where several have that name'
    )


def project_id(command: Trio2oCommand, parsed_args: argparse.Namespace) -> str | None:
    """ID of the project that was named; an ID that Keystone does not know, or tell, is taken as it is."""
    if parsed_args.project is None:
        return None
    from openstackclient.identity import common

    identity = command.app.client_manager.identity  # type: ignore[attr-defined]
    return str(common.find_project(identity, parsed_args.project, parsed_args.project_domain).id)


class CreateBinding(ShowOne):
    """Bind a project to a pod: what it creates in the pod's zone goes there, while the pod can take it.

    A pod with an affinity is meant for what asks for that; the binding holds for just this.
    """

    examples = (
        ('all of project demo in az1 goes to Pod1', 'openstack trio2o binding create demo Pod1'),
        ('and nowhere else, even while Pod1 is full', 'openstack trio2o binding create demo Pod1 --exclusive'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_project(parser, 'project', 'The project (name or ID)')
        parser.add_argument('pod', metavar='<pod>', help='The pod (name or ID)')
        parser.add_argument(
            '--exclusive', action='store_true', help='Nowhere else: while the pod cannot take it, creating fails'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        wanted: dict[str, Any] = {'tenant_id': project_id(self, parsed_args), 'pod_id': pod['pod_id']}
        if parsed_args.exclusive:
            wanted['is_exclusive'] = True
        binding = self.client.post('/bindings', {'pod_binding': wanted})['pod_binding']
        return fields({**binding, 'pod_name': pod['pod_name']})


class ListBinding(Lister):
    """List bindings: those the scheduler made and those made by hand."""

    examples = (
        ('who is bound to Pod1', 'openstack trio2o binding list --pod Pod1'),
        ('where project demo was over time', 'openstack trio2o binding list --project demo --history'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_project(parser, '--project', 'Only of this project (name or ID)')
        parser.add_argument('--pod', metavar='<pod>', help='Only to this pod (name or ID)')
        parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Only in this availability zone')
        parser.add_argument('--history', action='store_true', help='Those that have ended too')
        by = parser.add_mutually_exclusive_group()
        by.add_argument('--by-hand', action='store_true', help='Only those made by hand')
        by.add_argument('--automatic', action='store_true', help='Only those the scheduler made')
        add_paging(parser, 'started_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        names = self.client.pod_names()
        query = {
            'tenant_id': project_id(self, parsed_args),
            'pod_id': self.client.pod(parsed_args.pod)['pod_id'] if parsed_args.pod else None,
            'az_name': parsed_args.zone,
            'history': 'true' if parsed_args.history else None,
            'is_pinned': {(True, False): 'true', (False, True): 'false'}.get(
                (parsed_args.by_hand, parsed_args.automatic)
            ),
        }
        found = self.client.list('/bindings', 'pod_bindings', **query, **paging(parsed_args))
        items = ({**binding, 'pod_name': names.get(binding['pod_id'], binding['pod_id'])} for binding in found)
        return rows((*COLUMNS, ENDED) if parsed_args.history else COLUMNS, items)


class ShowBinding(ShowOne):
    """Show a binding, one that has ended too."""

    examples = (('a binding', 'openstack trio2o binding show 4f2a6c1e-7d0b-4d0e-9b6a-0f8f5f0c2a11'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('binding', metavar='<binding>', help='The binding (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        binding = self.client.get(f'/bindings/{quoted(parsed_args.binding)}', history='true')['pod_binding']
        return fields({**binding, 'pod_name': self.client.pod_names().get(binding['pod_id'], '')})


class SetBinding(ShowOne):
    """Change a binding, or move it: then the old one ends and is kept as history."""

    examples = (('to another pod', 'openstack trio2o binding set --pod Pod2 4f2a6c1e-7d0b-4d0e-9b6a-0f8f5f0c2a11'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('binding', metavar='<binding>', help='The binding (ID)')
        parser.add_argument('--pod', metavar='<pod>', help='Bind to this pod from now on (name or ID)')
        by = parser.add_mutually_exclusive_group()
        by.add_argument('--by-hand', action='store_true', help='Keep it: the scheduler is not to move it')
        by.add_argument('--automatic', action='store_true', help='Leave it to the scheduler')
        only = parser.add_mutually_exclusive_group()
        only.add_argument('--exclusive', action='store_true', help='Nowhere else')
        only.add_argument('--not-exclusive', action='store_true', help='Elsewhere too while the pod cannot take it')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        changes: dict[str, Any] = {}
        if parsed_args.pod:
            changes['pod_id'] = self.client.pod(parsed_args.pod)['pod_id']
        for name, yes, no in (
            ('is_pinned', parsed_args.by_hand, parsed_args.automatic),
            ('is_exclusive', parsed_args.exclusive, parsed_args.not_exclusive),
        ):
            if yes or no:
                changes[name] = yes
        path = f'/bindings/{quoted(parsed_args.binding)}'
        binding = self.client.patch(path, {'pod_binding': changes})['pod_binding']
        return fields({**binding, 'pod_name': self.client.pod_names().get(binding['pod_id'], '')})


class DeleteBinding(Trio2oCommand):
    """End bindings; they are kept as history, and what was created stays where it is."""

    examples = (('a binding', 'openstack trio2o binding delete 4f2a6c1e-7d0b-4d0e-9b6a-0f8f5f0c2a11'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('bindings', metavar='<binding>', nargs='+', help='Bindings to end (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.bindings, lambda binding: self.client.delete(f'/bindings/{quoted(binding)}'))
