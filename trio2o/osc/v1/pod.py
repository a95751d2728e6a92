# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o pod``: the clouds behind the cloud."""

from __future__ import annotations

import argparse
import time
from typing import Any

from osc_lib import exceptions

from trio2o.osc.v1 import report
from trio2o.osc.v1.base import (
    Column,
    Lister,
    ShowOne,
    Trio2oCommand,
    a_number,
    a_pair,
    add_paging,
    each,
    fields,
    paging,
    rows,
)
from trio2o.osc.v1.binding import project_id
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
    parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Availability zone tenants see it in')
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
            behind = summary['out_of_sync']
            if behind != told:
                self.say(
                    f'{pod["pod_name"]} is in step' if not behind else f'{pod["pod_name"]} is behind with {behind}'
                )
                told = behind
            if not behind:
                return
            failed = len(list(self.client.list('/replicas', 'replicas', pod_id=pod['pod_id'], state='failed')))
            # What clashes, or was refused, waits for an operator.
            is_final = failed >= behind
            if is_final or time.monotonic() > deadline:
                after = 'with nothing more to come' if is_final else f'after {seconds:g} seconds'
                raise exceptions.CommandError(
                    f'{pod["pod_name"]} is registered, and behind with {behind} {after}. '
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
        parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Only in this availability zone')
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


class AdoptPod(ShowOne):
    """Take in what a pod holds already, so that tenants see it through the top region. A job does it.

    Nothing in the pod is changed. With --dry-run nothing is taken in either: the report tells what would be,
    and what stands in the way. To give it back, delete the pod from Trio2o.
    """

    examples = (
        ('what would be taken in, and what clashes', 'openstack trio2o pod adopt Pod3 --dry-run'),
        ('take it in, and watch', 'openstack trio2o pod adopt Pod3 --wait'),
        ('only the conflicts, as JSON', 'openstack trio2o pod adopt Pod3 --dry-run -f json -c conflicts'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        parser.add_argument('--dry-run', action='store_true', help='Only report; implies --wait')
        add_waiting(parser, 'it is done')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        job = self.client.post(f'/pods/{pod["pod_id"]}/adopt', {'dry_run': parsed_args.dry_run})['job']
        if not (parsed_args.wait or parsed_args.dry_run):
            self.say(f"To follow it: 'openstack trio2o job show {job['id']}'.")
            return fields(job)
        job = wait_for_job(self.client, job, self.say, parsed_args.timeout)
        return report.shown({'pod_name': pod['pod_name'], 'job_id': job['id'], **(job['result'] or {})})


class DrainPod(Lister):
    """Let nothing new into a pod, and list what it still holds and which pods could take it.

    Trio2o moves nothing by itself. Asked again, it lists what is left; a pod that is empty can be deleted.
    """

    examples = (
        ('begin', 'openstack trio2o pod drain Pod2 --reason "lease ends in May"'),
        ('only look at what is left, change nothing', 'openstack trio2o pod drain Pod2 --list'),
        ('until it is empty', 'openstack trio2o pod drain Pod2 --wait --timeout 86400'),
    )
    columns = (
        Column('Type', 'resource_type'),
        Column('Resource', 'resource_id'),
        Column('Project ID', 'project_id'),
        Column('Could Go To', 'could_go_to'),
        Column('Why Not', 'reason'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        parser.add_argument('--reason', metavar='<text>', help='Why')
        parser.add_argument('--list', action='store_true', help='Only list; the state of the pod stays')
        parser.add_argument('--type', metavar='<type>', help='List only this type: server, volume ...')
        parser.add_argument('--project-id', metavar='<id>', help='List only what this project has')
        parser.add_argument('--limit', metavar='<number>', type=a_number, help='List at most this many')
        parser.add_argument('--marker', metavar='<id>', help='Begin after the one with this number')
        add_waiting(parser, 'the pod is empty')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.pod(parsed_args.pod)
        path = f'/pods/{pod["pod_id"]}'
        if not parsed_args.list:
            body = {} if parsed_args.reason is None else {'reason': parsed_args.reason}
            pod = self.client.post(f'{path}/drain', body)['pod']
        told = self.wait(pod, parsed_args.timeout) if parsed_args.wait else ''
        query = {
            'resource_type': parsed_args.type,
            'project_id': parsed_args.project_id,
            'marker': parsed_args.marker,
        }
        found = self.client.list(f'{path}/remaining', 'remaining', limit=parsed_args.limit, **query)
        items = [
            {**item, 'could_go_to': [candidate['pod_name'] for candidate in item['candidates']]} for item in found
        ]
        line = remains(pod, self.client.get(f'{path}/remaining', limit=0)['summary'])
        if line != told:
            self.say(line)
        return rows(self.columns, items)

    def wait(self, pod: Json, seconds: float) -> str:
        """:returns: what was said last"""
        deadline = time.monotonic() + seconds
        told = ''
        while True:
            summary = self.client.get(f'/pods/{pod["pod_id"]}/remaining', limit=0)['summary']
            line = remains(pod, summary)
            if line != told:
                self.say(line)
                told = line
            if not summary['total'] or time.monotonic() > deadline:
                return told
            time.sleep(PAUSE_SECONDS)


def remains(pod: Json, summary: Json) -> str:
    """What is left in a pod, in a line."""
    if not summary['total']:
        return f'{pod["pod_name"]} ({pod["state"]}) is empty.'
    kinds = ', '.join(f'{count} {kind}' for kind, count in sorted(summary['resources'].items()))
    return f'{pod["pod_name"]} ({pod["state"]}) holds {kinds}, of {len(summary["projects"])} projects.'


class SelectPod(Lister):
    """Show where a new server or volume would go, best first, and why not elsewhere. Nothing is created."""

    examples = (
        (
            'a server of project demo in az1',
            'openstack trio2o pod select --project demo --zone az1 --flavor m1.small',
        ),
        ('a volume of 100 GB', 'openstack trio2o pod select --project demo --service volume --resource gigabytes=100'),
    )
    columns = (
        Column('Pod', 'pod_name'),
        Column('Zone', 'az_name'),
        Column('Place', 'place'),
        Column('Weight', 'weight'),
        Column('Bound', 'is_bound'),
        Column('Why Not', 'why'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--project', metavar='<project>', required=True, help='Whose it would be (name or ID)')
        parser.add_argument('--project-domain', metavar='<project-domain>', help='Domain of the project')
        parser.add_argument(
            '--zone', '--availability-zone', metavar='<zone>', help='In this availability zone; without it in any'
        )
        parser.add_argument('--service', choices=('compute', 'volume'), help='A server or a volume')
        parser.add_argument('--flavor', metavar='<flavor>', help='Of this flavor (name or ID)')
        parser.add_argument('--volume-type', metavar='<type>', help='Of this volume type (name or ID)')
        parser.add_argument(
            '--resource',
            metavar='<resource>=<amount>',
            type=a_pair,
            action='append',
            help='Taking so much: VCPU, MEMORY_MB, DISK_GB, gigabytes (repeatable)',
        )
        parser.add_argument(
            '--property',
            metavar='<key>=<value>',
            type=a_pair,
            action='append',
            help='With this extra spec, as trio2o:gpu=yes (repeatable)',
        )
        parser.add_argument('--count', metavar='<number>', type=a_number, help='So many at once')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        wanted = {
            'project_id': project_id(self, parsed_args),
            'az_name': parsed_args.zone,
            'service': parsed_args.service,
            'flavor': parsed_args.flavor,
            'volume_type': parsed_args.volume_type,
            'resources': {name: amount(value) for name, value in parsed_args.resource or []} or None,
            'extra_specs': dict(parsed_args.property or []) or None,
            'count': parsed_args.count,
        }
        body = {name: value for name, value in wanted.items() if value is not None}
        selection = self.client.post('/pods/select', {'selection': body})['selection']
        taken = [{**pod, 'place': place} for place, pod in enumerate(selection['pods'], 1)]
        dropped = [
            {**pod, 'why': ': '.join(filter(None, (pod['filter'], pod['reason'])))} for pod in selection['dropped']
        ]
        if not taken:
            self.say('No pod can take it now.')
        return rows(self.columns, [*taken, *dropped])
