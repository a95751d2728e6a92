# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o pod``: the pods and the top region."""

from __future__ import annotations

import argparse
import re
import time
from typing import TYPE_CHECKING, Any

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
from trio2o.osc.v1.waiting import add_waiting, wait_for_job, watch

if TYPE_CHECKING:
    from trio2o.sdk.resources import Pod

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
    Column('Volume Zone In The Pod', 'pod_volume_az_name'),
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
    """Add the options for the fields that a create sets and an update changes."""
    parser.add_argument('--zone', '--availability-zone', metavar='<zone>', help='Availability zone tenants see it in')
    parser.add_argument(
        '--pod-zone',
        metavar='<zone>',
        help="Name of the zone in the pod itself, which replaces the tenants' zone in requests; "
        'without it no zone is sent',
    )
    parser.add_argument(
        '--pod-volume-zone',
        metavar='<zone>',
        help='The same for volumes, if Cinder in the pod has another name for the zone than Nova; '
        'with an empty name Cinder gets no zone',
    )
    parser.add_argument('--datacenter', metavar='<name>', help='Its location; for operators only')
    parser.add_argument(
        '--state',
        choices=STATES,
        help='enabled: in use. disabled: no new resources. draining: no new resources, existing ones should leave. '
        'maintenance: no requests are sent to it',
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


def given_fields(parsed_args: argparse.Namespace) -> Json:
    """Make the fields for the API from the options that were given."""
    found = {
        'az_name': parsed_args.zone,
        'pod_az_name': parsed_args.pod_zone,
        'pod_volume_az_name': parsed_args.pod_volume_zone,
        'dc_name': parsed_args.datacenter,
        'state': parsed_args.state,
        'reason': parsed_args.reason,
        'resource_affinity_tag': dict(parsed_args.affinity) if parsed_args.affinity else None,
        'headroom': {name: amount(value) for name, value in parsed_args.headroom} if parsed_args.headroom else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def amount(text: str) -> int | float | str:
    """Parse a number; other text, such as ``10%``, is sent as it is, and the Admin API refuses what it cannot use."""
    if not re.fullmatch(r'-?[0-9]+(\.[0-9]+)?', text):
        return text
    return float(text) if '.' in text else int(text)


class CreatePod(ShowOne):
    """Register a pod: a region of Keystone with endpoints of its own.

    A job then creates the replicated objects in it: flavors, keypairs, volume types ... Without a zone it is the
    top region itself.
    """

    examples = (
        ('a pod in az1; wait until its replicas are in sync', 'openstack trio2o pod create Pod1 --zone az1 --wait'),
        (
            'a pod for GPU flavors, not in use yet',
            'openstack trio2o pod create Pod3 --zone az1 --affinity gpu=yes --state disabled --reason "burning in"',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='<region>', help="Name of the pod's Keystone region")
        add_fields(parser)
        add_waiting(parser, 'the replicas in the pod are in sync')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.client.create_pod(pod_name=parsed_args.name, **given_fields(parsed_args))
        names = sorted({pod.pod_az_name, pod.pod_volume_az_name} - {None, '', pod.az_name})
        if names:
            self.say(f'Tenants name the zone {pod.az_name}. A create in zone {" or ".join(names)} is refused.')
        if parsed_args.wait and pod.az_name:
            self.wait(pod, parsed_args.timeout)
        return fields(self.client.get_pod(pod.id).document)

    def wait(self, pod: Pod, seconds: float) -> None:
        """Wait until the job that synchronizes the pod has succeeded and no replica is out of sync."""
        deadline = time.monotonic() + seconds
        for job in self.client.jobs(limit=1, type='sync_pod', resource_key=pod.id):
            wait_for_job(self.client, job, self.say, seconds)
        count, is_final = watch(
            lambda: self.out_of_sync(pod),
            lambda state: state[1],
            lambda state: f'{pod.name}: replicas out of sync: {state[0]}' if state[0] else f'{pod.name} is in sync',
            self.say,
            max(0.0, deadline - time.monotonic()),
        )
        if count:
            after = 'no retry will follow' if is_final else f'after {seconds:g} seconds'
            raise exceptions.CommandError(
                f'{pod.name} is registered. Replicas out of sync: {count} ({after}). '
                f"'openstack trio2o replica list --pod {pod.name}' shows which and why."
            )

    def out_of_sync(self, pod: Pod) -> tuple[int, bool]:
        """Count the replicas out of sync, and whether that count stays until an operator does something.

        A replica that conflicts with an object of the pod, or that the pod refused, is not retried.
        """
        (summary,) = self.client.replica_summary(pod_id=pod.id)
        count = summary.out_of_sync
        failed = sum(1 for _replica in self.client.replicas(pod_id=pod.id, state='failed')) if count else 0
        return count, failed >= count


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
        found = self.client.pods(**query, **paging(parsed_args))
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, (pod.document for pod in found))


class ShowPod(ShowOne):
    """Show a pod, with the history of its state."""

    examples = (('a pod', 'openstack trio2o pod show Pod1'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.find_pod(parsed_args.pod)
        return fields(self.client.get_pod(pod.id).document)


class SetPod(ShowOne):
    """Change a pod. Every gateway applies the change within seconds.

    Keys of affinity and headroom are added to the existing ones.
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
        pod = self.find_pod(parsed_args.pod)
        changes = given_fields(parsed_args)
        if not changes:
            raise exceptions.CommandError("Nothing to change: give at least one option, see 'pod set --help'.")
        for name in ('resource_affinity_tag', 'headroom'):
            if name in changes:
                changes[name] = {**(pod.document[name] or {}), **changes[name]}
        return fields(self.client.update_pod(pod.id, **changes).document)


class UnsetPod(ShowOne):
    """Unset fields of a pod."""

    examples = (('remove the affinity gpu', 'openstack trio2o pod unset Pod3 --affinity gpu'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        parser.add_argument('--pod-zone', action='store_true', help='Send no zone to the pod')
        parser.add_argument('--pod-volume-zone', action='store_true', help='Use the same zone name for volumes')
        parser.add_argument('--datacenter', action='store_true', help='Remove its location')
        parser.add_argument('--reason', action='store_true', help='Remove the reason of its state')
        parser.add_argument('--affinity', metavar='<key>', action='append', help='Remove this key (repeatable)')
        parser.add_argument(
            '--headroom', metavar='<resource>', action='append', help='Keep none of it free (repeatable)'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.find_pod(parsed_args.pod)
        changes: Json = {}
        for name, is_unset, empty in (
            ('pod_az_name', parsed_args.pod_zone, ''),
            ('pod_volume_az_name', parsed_args.pod_volume_zone, None),
            ('dc_name', parsed_args.datacenter, ''),
            ('reason', parsed_args.reason, ''),
        ):
            if is_unset:
                changes[name] = empty
        for name, option, keys in (
            ('resource_affinity_tag', 'affinity', parsed_args.affinity),
            ('headroom', 'headroom', parsed_args.headroom),
        ):
            if keys:
                changes[name] = without(pod, name, option, keys)
        if not changes:
            raise exceptions.CommandError("Nothing to unset: give at least one option, see 'pod unset --help'.")
        return fields(self.client.update_pod(pod.id, **changes).document)


def without(pod: Pod, name: str, option: str, keys: list[str]) -> Json | None:
    """Return a mapping of the pod without some keys; None if no key is left.

    :raises CommandError: the mapping does not have a key
    """
    have = pod.document[name] or {}
    missing = [key for key in keys if key not in have]
    if missing:
        raise exceptions.CommandError(f'{pod.name} has no {option} {", ".join(missing)}.')
    return {key: value for key, value in have.items() if key not in keys} or None


class DeletePod(Trio2oCommand):
    """Delete pods from Trio2o. Nothing in them is changed; tenants no longer see their resources."""

    examples = (
        ('an empty pod', 'openstack trio2o pod delete Pod3'),
        ('a pod that holds resources', 'openstack trio2o pod delete Pod3 --force'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('pods', metavar='<pod>', nargs='+', help='Pods to delete (name or ID)')
        parser.add_argument('--force', action='store_true', help='Even while they hold resources of tenants')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        def delete(name: str) -> None:
            self.client.delete_pod(self.find_pod(name).id, ignore_missing=False, force=parsed_args.force)

        each(parsed_args.pods, delete)


class AdoptPod(ShowOne):
    """Adopt the existing resources of a pod, so that tenants see them through the top region. A job does it.

    Nothing in the pod is changed. With --dry-run nothing is adopted either: the report shows what would be adopted,
    and which conflicts prevent it. To undo an adoption, delete the pod from Trio2o.
    """

    examples = (
        ('report what would be adopted, and the conflicts', 'openstack trio2o pod adopt Pod3 --dry-run'),
        ('adopt, and show the progress', 'openstack trio2o pod adopt Pod3 --wait'),
        ('only the conflicts, as JSON', 'openstack trio2o pod adopt Pod3 --dry-run -f json -c conflicts'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        parser.add_argument('--dry-run', action='store_true', help='Only report; implies --wait')
        add_waiting(parser, 'it is done')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        pod = self.find_pod(parsed_args.pod)
        job = self.client.adopt_pod(pod.id, dry_run=parsed_args.dry_run)
        if not (parsed_args.wait or parsed_args.dry_run):
            self.say(f"To see its progress: 'openstack trio2o job show {job.id}'.")
            return fields(job.document)
        job = wait_for_job(self.client, job, self.say, parsed_args.timeout)
        return report.shown({'pod_name': pod.name, 'job_id': job.id, **(job.result or {})})


class ReconcilePod(ShowOne):
    """Compare all resources of a pod with their routings, and show the job that does it.

    Trio2o does so by itself at intervals. If many resources are missing in the pod, the comparison stops, as something
    else may answer in the place of the pod. Check the pod; then --end-missing ends the routings of all resources that
    it does not have. They no longer count in the quota and no longer show in lists.
    """

    examples = (
        ('compare now, and wait until it is done', 'openstack trio2o pod reconcile Pod2 --wait'),
        ('the missing resources are gone for good', 'openstack trio2o pod reconcile Pod2 --end-missing'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        parser.add_argument('--end-missing', action='store_true', help='End the routings of many missing resources')
        add_waiting(parser, 'it is done')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        job = self.client.reconcile_pod(self.find_pod(parsed_args.pod).id, end_missing=parsed_args.end_missing)
        if parsed_args.wait:
            job = wait_for_job(self.client, job, self.say, parsed_args.timeout)
        else:
            self.say(f"To see its progress: 'openstack trio2o job show {job.id}'.")
        return fields(job.document)


class SelectPod(Lister):
    """Show the pods for a new server or volume, best first, and why the others are left out. Nothing is created."""

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
        parser.add_argument(
            '--project', metavar='<project>', required=True, help='Project of the new resource (name or ID)'
        )
        parser.add_argument('--project-domain', metavar='<project-domain>', help='Domain of the project')
        parser.add_argument(
            '--zone', '--availability-zone', metavar='<zone>', help='In this availability zone; by default in any'
        )
        parser.add_argument('--service', choices=('compute', 'volume'), help='A server or a volume')
        parser.add_argument('--flavor', metavar='<flavor>', help='Of this flavor (name or ID)')
        parser.add_argument('--volume-type', metavar='<type>', help='Of this volume type (name or ID)')
        parser.add_argument(
            '--resource',
            metavar='<resource>=<amount>',
            type=a_pair,
            action='append',
            help='Requested amount: VCPU, MEMORY_MB, DISK_GB, gigabytes (repeatable)',
        )
        parser.add_argument(
            '--property',
            metavar='<key>=<value>',
            type=a_pair,
            action='append',
            help='With this extra spec, as trio2o:gpu=yes (repeatable)',
        )
        parser.add_argument('--count', metavar='<number>', type=a_number, help='Number of resources created at once')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        requested = {
            'project_id': project_id(self, parsed_args),
            'az_name': parsed_args.zone,
            'service': parsed_args.service,
            'flavor': parsed_args.flavor,
            'volume_type': parsed_args.volume_type,
            'resources': {name: amount(value) for name, value in parsed_args.resource or []} or None,
            'extra_specs': dict(parsed_args.property or []) or None,
            'count': parsed_args.count,
        }
        body = {name: value for name, value in requested.items() if value is not None}
        selection = self.client.select_pods(**body)
        selected = [{**pod, 'place': place} for place, pod in enumerate(selection.pods, 1)]
        dropped = [
            {**pod, 'why': ': '.join(filter(None, (pod['filter'], pod['reason'])))} for pod in selection.dropped
        ]
        if not selected:
            self.say('No pod can take it now.')
        return rows(self.columns, [*selected, *dropped])
