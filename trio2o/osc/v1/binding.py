# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o binding``: bindings of projects to pods."""

from __future__ import annotations

import argparse
from typing import Any

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
    """Add an argument for a project, and an option for its domain."""
    parser.add_argument(name, metavar='<project>', help=help)
    parser.add_argument(
        '--project-domain', metavar='<project-domain>', help='Domain of the project, if several projects have the name'
    )


def project_id(command: Trio2oCommand, parsed_args: argparse.Namespace) -> str | None:
    """Find the ID of the named project; an ID that Keystone does not know, or does not show, is used as it is."""
    if parsed_args.project is None:
        return None
    from openstackclient.identity import common

    identity = command.app.client_manager.identity  # type: ignore[attr-defined]
    return str(common.find_project(identity, parsed_args.project, parsed_args.project_domain).id)


class CreateBinding(ShowOne):
    """Bind a project to a pod: its new resources in the pod's zone are created there, while the pod has room.

    For a pod with an affinity, the binding applies only to flavors and volume types that require the affinity.
    """

    examples = (
        ('create all resources of project demo in az1 in Pod1', 'openstack trio2o binding create demo Pod1'),
        (
            'the same, and in no other pod even if Pod1 is full',
            'openstack trio2o binding create demo Pod1 --exclusive',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_project(parser, 'project', 'The project (name or ID)')
        parser.add_argument('pod', metavar='<pod>', help='The pod (name or ID)')
        parser.add_argument(
            '--exclusive', action='store_true', help='Use no other pod: if this one has no room, the create fails'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.find_pod(parsed_args.pod)
        attrs = {'is_exclusive': True} if parsed_args.exclusive else {}
        binding = self.client.create_binding(tenant_id=project_id(self, parsed_args), pod_id=pod.id, **attrs)
        return fields({**binding.document, 'pod_name': pod.name})


class ListBinding(Lister):
    """List the bindings that the scheduler or an operator made."""

    examples = (
        ('projects bound to Pod1', 'openstack trio2o binding list --pod Pod1'),
        ('current and ended bindings of project demo', 'openstack trio2o binding list --project demo --history'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_project(parser, '--project', 'Only of this project (name or ID)')
        parser.add_argument('--pod', metavar='<pod>', help='Only to this pod (name or ID)')
        parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Only in this availability zone')
        parser.add_argument('--history', action='store_true', help='Also list ended bindings')
        by = parser.add_mutually_exclusive_group()
        by.add_argument('--by-hand', action='store_true', help='Only those an operator made')
        by.add_argument('--automatic', action='store_true', help='Only those the scheduler made')
        add_paging(parser, 'started_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        names = self.pod_names()
        query = {
            'tenant_id': project_id(self, parsed_args),
            'pod_id': self.pod_id(parsed_args.pod),
            'az_name': parsed_args.zone,
            'history': 'true' if parsed_args.history else None,
            'is_pinned': {(True, False): 'true', (False, True): 'false'}.get(
                (parsed_args.by_hand, parsed_args.automatic)
            ),
        }
        found = self.client.bindings(**query, **paging(parsed_args))
        items = ({**binding.document, 'pod_name': names.get(binding.pod_id, binding.pod_id)} for binding in found)
        return rows((*COLUMNS, ENDED) if parsed_args.history else COLUMNS, items)


class ShowBinding(ShowOne):
    """Show a binding, current or ended."""

    examples = (('a binding', 'openstack trio2o binding show 4f2a6c1e-7d0b-4d0e-9b6a-0f8f5f0c2a11'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('binding', metavar='<binding>', help='The binding (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        binding = self.client.get_binding(parsed_args.binding)
        return fields({**binding.document, 'pod_name': self.pod_names().get(binding.pod_id, '')})


class SetBinding(ShowOne):
    """Change a binding, or move it to another pod: then the old binding ends and is kept as history."""

    examples = (('to another pod', 'openstack trio2o binding set --pod Pod2 4f2a6c1e-7d0b-4d0e-9b6a-0f8f5f0c2a11'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('binding', metavar='<binding>', help='The binding (ID)')
        parser.add_argument('--pod', metavar='<pod>', help='Bind to this pod instead (name or ID)')
        by = parser.add_mutually_exclusive_group()
        by.add_argument('--by-hand', action='store_true', help='The scheduler must not move it')
        by.add_argument('--automatic', action='store_true', help='The scheduler may move it')
        only = parser.add_mutually_exclusive_group()
        only.add_argument('--exclusive', action='store_true', help='Use no other pod')
        only.add_argument('--not-exclusive', action='store_true', help='Use another pod if this one has no room')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        changes: dict[str, Any] = {}
        if parsed_args.pod:
            changes['pod_id'] = self.pod_id(parsed_args.pod)
        for name, yes, no in (
            ('is_pinned', parsed_args.by_hand, parsed_args.automatic),
            ('is_exclusive', parsed_args.exclusive, parsed_args.not_exclusive),
        ):
            if yes or no:
                changes[name] = yes
        binding = self.client.update_binding(parsed_args.binding, **changes)
        return fields({**binding.document, 'pod_name': self.pod_names().get(binding.pod_id, '')})


class DeleteBinding(Trio2oCommand):
    """End bindings; they are kept as history, and resources stay in their pods."""

    examples = (('a binding', 'openstack trio2o binding delete 4f2a6c1e-7d0b-4d0e-9b6a-0f8f5f0c2a11'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('bindings', metavar='<binding>', nargs='+', help='Bindings to end (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.bindings, lambda binding: self.client.delete_binding(binding, ignore_missing=False))
