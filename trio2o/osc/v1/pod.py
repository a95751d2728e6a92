# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o pod``: the clouds behind the cloud."""

from __future__ import annotations

import argparse
import time
from typing import Any

from osc_lib import exceptions

from trio2o.osc.v1.base import (
    Column,
    Lister,
    ShowOne,
    Trio2oCommand,
    a_pair,
    add_paging,
    each,
    fields,
    paging,
    rows,
)
from trio2o.osc.v1.waiting import PAUSE_SECONDS, add_waiting, wait_for_job

Json = dict[str, Any]

COLUMNS = (
    Column('ID', 'pod_id'),
    Column('Name', 'pod_name'),
    Column('Zone', 'az_name'),
    Column('State', 'state'),
    Column('Reason', 'state_reason'),
)
MORE = (
    Column('Zone In The Pod', 'pod_az_name'),
    Column('Datacenter', 'dc_name'),
    Column('Number', 'number'),
    Column('Affinity', 'resource_affinity_tag'),
    Column('Headroom', 'headroom'),
    Column('Reconciled', 'is_reconciled'),
    Column('Created At', 'created_at'),
)
STATES = ('enabled', 'disabled', 'draining', 'maintenance')


def add_pod(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('pod', metavar='<pod>', help='The pod (name or ID)')


def add_fields(parser: argparse.ArgumentParser) -> None:
    """What can be given at the creation and changed later."""
    parser.add_argument('--zone', metavar='<zone>', help='Availability zone tenants see it in')
    parser.add_argument(
        '--pod-zone',
        metavar='<zone>',
        help="Name of the zone in the pod itself, put in place of the tenants' zone; without it none is sent",
    )
    parser.add_argument('--datacenter', metavar='<name>', help='Where it stands; for operators to know')
    parser.add_argument(
        '--state',
        choices=STATES,
        help='enabled: as ever. disabled: nothing new. draining: nothing new, what is there is to leave. '
        'maintenance: not asked at all',
    )
    parser.add_argument('--reason', metavar='<text>', help='Why it is in this state')
    parser.add_argument(
        '--affinity',
        metavar='<key>=<value>',
        type=a_pair,
        action='append',
        help='Only for flavors and volume types whose extra spec trio2o:<key> has this value (repeatable)',
    )
    parser.add_argument(
        '--headroom',
        metavar='<resource>=<amount>',
        type=a_pair,
        action='append',
        help='Keep this much free, a number or a percentage: VCPU=8, MEMORY_MB=10%% (repeatable)',
    )


def wanted_fields(parsed_args: argparse.Namespace) -> Json:
    """The fields that were given, named as the API names them."""
    found = {
        'az_name': parsed_args.zone,
        'pod_az_name': parsed_args.pod_zone,
        'dc_name': parsed_args.datacenter,
        'state': parsed_args.state,
        'reason': parsed_args.reason,
        'resource_affinity_tag': dict(parsed_args.affinity) if parsed_args.affinity else None,
        'headroom': {name: amount(value) for name, value in parsed_args.headroom} if parsed_args.headroom else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def amount(text: str) -> int | float | str:
    """A number where it is one, else what the API makes of it: ``10%``."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


class CreatePod(ShowOne):
    """Register a pod: a region of Keystone with endpoints of its own.

    A job then brings into it what must be the same everywhere. Without a zone it is the top region itself.
    """

    examples = (
        ('a pod in az1, once everything is in it', 'openstack trio2o pod create Pod1 --zone az1 --wait'),
        (
            'one for GPU flavors, not in use yet',
            'openstack trio2o pod create Pod3 --zone az1 --affinity gpu=yes --state disabled --reason "burning in"',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='<region>', help="Name of the pod's Keystone region")
        add_fields(parser)
        add_waiting(parser, 'the pod is in step')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        wanted = {'pod_name': parsed_args.name, **wanted_fields(parsed_args)}
        pod = self.client.post('/pods', {'pod': wanted})['pod']
        if parsed_args.wait and pod['az_name']:
            self.wait(pod, parsed_args.timeout)
        return fields(self.client.get(f'/pods/{pod["pod_id"]}')['pod'])

    def wait(self, pod: Json, seconds: float) -> None:
        """Until the job that brings it in step has ended well and nothing is behind."""
        deadline = time.monotonic() + seconds
        jobs = list(self.client.list('/jobs', 'jobs', limit=1, type='sync_pod', resource_key=pod['pod_id']))
        if jobs:
            wait_for_job(self.client, jobs[0], self.say, seconds)
        told = None
        while True:
            (summary,) = self.client.get('/replicas', pod_id=pod['pod_id'], limit=1)['pods']
            behind = summary['behind']
            if behind != told:
                self.say(
                    f'{pod["pod_name"]} is in step' if not behind else f'{pod["pod_name"]} is behind with {behind}'
                )
                told = behind
            if not behind:
                return
            if time.monotonic() > deadline:
                raise exceptions.CommandError(
                    f'{pod["pod_name"]} is registered, and still behind with {behind} after {seconds:g} seconds. '
                    f"'openstack trio2o replica list --pod {pod['pod_name']}' says with what and why."
                )
            time.sleep(PAUSE_SECONDS)


class ListPod(Lister):
    """List pods; the one without a zone is the top region."""

    examples = (
        ('all pods of a zone', 'openstack trio2o pod list --zone az1'),
        ('names of those in maintenance', 'openstack trio2o pod list --state maintenance -f value -c Name'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--zone', metavar='<zone>', help='Only in this availability zone')
        parser.add_argument('--datacenter', metavar='<name>', help='Only in this datacenter')
        parser.add_argument('--state', choices=STATES, help='Only in this state')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'az_name,pod_name:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {'az_name': parsed_args.zone, 'dc_name': parsed_args.datacenter, 'state': parsed_args.state}
        found = self.client.list('/pods', 'pods', **query, **paging(parsed_args))
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, found)


class ShowPod(ShowOne):
    """Show a pod, with the history of its state."""

    examples = (('a pod', 'openstack trio2o pod show Pod1'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        return fields(self.client.get(f'/pods/{pod["pod_id"]}')['pod'])


class SetPod(ShowOne):
    """Change a pod. It is in force in every gateway within seconds.

    Affinity and headroom are added to what is there.
    """

    examples = (
        ('take it out of use', 'openstack trio2o pod set Pod2 --state maintenance --reason "new switches"'),
        ('back in use', 'openstack trio2o pod set Pod2 --state enabled'),
        ('keep a tenth of the memory free', 'openstack trio2o pod set Pod2 --headroom MEMORY_MB=10%'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        add_fields(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        changes = wanted_fields(parsed_args)
        if not changes:
            raise exceptions.CommandError("Nothing to change: name at least one option, see 'pod set --help'.")
        for name in ('resource_affinity_tag', 'headroom'):
            if name in changes:
                changes[name] = {**(pod[name] or {}), **changes[name]}
        return fields(self.client.patch(f'/pods/{pod["pod_id"]}', {'pod': changes})['pod'])


class UnsetPod(ShowOne):
    """Take something off a pod."""

    examples = (('no affinity gpu any more', 'openstack trio2o pod unset Pod3 --affinity gpu'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        parser.add_argument('--pod-zone', action='store_true', help='Send no zone into the pod')
        parser.add_argument('--datacenter', action='store_true', help='Forget where it stands')
        parser.add_argument('--reason', action='store_true', help='Forget the reason of its state')
        parser.add_argument('--affinity', metavar='<key>', action='append', help='Drop this key (repeatable)')
        parser.add_argument('--headroom', metavar='<resource>', action='append', help='Keep none free (repeatable)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        changes: Json = {}
        for name, is_unset in (
            ('pod_az_name', parsed_args.pod_zone),
            ('dc_name', parsed_args.datacenter),
            ('reason', parsed_args.reason),
        ):
            if is_unset:
                changes[name] = ''
        for name, option, keys in (
            ('resource_affinity_tag', 'affinity', parsed_args.affinity),
            ('headroom', 'headroom', parsed_args.headroom),
        ):
            if keys:
                changes[name] = without(pod, name, option, keys)
        if not changes:
            raise exceptions.CommandError("Nothing to take off: name at least one option, see 'pod unset --help'.")
        return fields(self.client.patch(f'/pods/{pod["pod_id"]}', {'pod': changes})['pod'])


def without(pod: Json, name: str, option: str, keys: list[str]) -> Json | None:
    """What is left of a mapping; None when nothing is.

    :raises CommandError: a key is not there
    """
    have = pod[name] or {}
    missing = [key for key in keys if key not in have]
    if missing:
        raise exceptions.CommandError(f'{pod["pod_name"]} has no {option} {", ".join(missing)}.')
    return {key: value for key, value in have.items() if key not in keys} or None


class DeletePod(Trio2oCommand):
    """Forget pods. Nothing in them is touched; tenants no longer see what is there."""

    examples = (
        ('an empty pod', 'openstack trio2o pod delete Pod3'),
        ('one that holds resources', 'openstack trio2o pod delete Pod3 --force'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('pods', metavar='<pod>', nargs='+', help='Pods to forget (name or ID)')
        parser.add_argument('--force', action='store_true', help='Even while they hold resources of tenants')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        force = 'true' if parsed_args.force else None

        def delete(name: str) -> None:
            self.client.delete(f'/pods/{self.client.pod(name)["pod_id"]}', force=force)

        each(parsed_args.pods, delete)
