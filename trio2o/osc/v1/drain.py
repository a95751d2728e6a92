# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o pod drain``: empty a pod, by hand or by moves."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from trio2o.osc.v1 import move_group
from trio2o.osc.v1.base import Column, Lister, a_number, rows
from trio2o.osc.v1.pod import add_pod
from trio2o.osc.v1.report import Worded
from trio2o.osc.v1.waiting import add_waiting, watch

if TYPE_CHECKING:
    from trio2o.sdk.resources import MoveGroup, Pod, RemainingSummary

Json = dict[str, Any]

#: Types of resources that moves take, and what is said of the others.
_MOVED, _NOT_MOVED = ('server', 'volume'), 'Moves take servers and volumes only.'
_LIST, _MOVE, _STATUS = 'pod drain --list', 'pod drain --move', 'pod drain --status'
_PLAIN = 'pod drain'
#: Option -> the forms of the command that it is for.
_OPTIONS = {
    'reason': (_PLAIN, _MOVE),
    **dict.fromkeys(('type', 'project_id', 'limit', 'marker'), (_PLAIN, _LIST)),
    'wait': (_PLAIN, _LIST, _MOVE),
    'watch': (_STATUS,),
    **dict.fromkeys(
        (
            'zone',
            'target_pod',
            'parallel',
            'canary',
            'wave',
            'max_failures',
            'bytes_per_second',
            'window',
            'confirm_after',
            'dry_run',
        ),
        (_MOVE,),
    ),
}
_REMAINING = (
    Column('Type', 'resource_type'),
    Column('Resource', 'resource_id'),
    Column('Project ID', 'project_id'),
    Column('Could Go To', 'could_go_to'),
    Column('Why Not', 'reason'),
)
_PLAN = (
    Column('Wave', 'wave'),
    Column('Type', 'resource_type'),
    Column('Resource', 'resource_id'),
    Column('Project ID', 'project_id'),
    Column('To', 'target_pod'),
    Column('Size', 'size'),
    Column('Time', 'time'),
    Column('Findings', 'found'),
)
_STAYING = (
    Column('Count', 'count'),
    Column('Type', 'resource_type'),
    Column('State', 'state'),
    Column('Reason', 'reason'),
    Column('Resources', 'resources'),
)


class DrainPod(Lister):
    """Create no new resources in a pod, and list the remaining ones or move them to other pods.

    Without --move, the command lists the resources and which pods could take them, and moves nothing. With --move, it
    begins to move servers and volumes, a few at a time. --status shows what has moved, and what stays and why. An
    empty pod can be deleted.
    """

    examples = (
        ('begin', 'openstack trio2o pod drain Pod2 --reason "lease ends in May"'),
        ('only list what is left, change nothing', 'openstack trio2o pod drain Pod2 --list'),
        ('what moves would do', 'openstack trio2o pod drain Pod2 --move --dry-run'),
        (
            'move two servers first, then twenty at a time, at night',
            'openstack trio2o pod drain Pod2 --move --canary 2 --wave 20 --window 22:00-06:00',
        ),
        ('follow it, then list what stays', 'openstack trio2o pod drain Pod2 --status --watch'),
        ('wait until it is empty', 'openstack trio2o pod drain Pod2 --wait --timeout 86400'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_pod(parser)
        forms = parser.add_mutually_exclusive_group()
        forms.add_argument('--list', action='store_true', help='Only list; the state of the pod stays')
        forms.add_argument('--move', action='store_true', help='Move its servers and volumes to other pods')
        forms.add_argument(
            '--status', action='store_true', help='Show the latest drain by moves, what stays in the pod, and why'
        )
        parser.add_argument('--reason', metavar='<text>', help='Why')
        parser.add_argument('--type', metavar='<type>', help='List only this type: server, volume ...')
        parser.add_argument('--project-id', metavar='<id>', help='List only resources of this project')
        parser.add_argument('--limit', metavar='<number>', type=a_number, help='List at most this many')
        parser.add_argument('--marker', metavar='<id>', help='Begin after the one with this number')
        moves = parser.add_argument_group('with --move')
        moves.add_argument('--dry-run', action='store_true', help='Only show what would move; change nothing')
        move_group.add_target(parser, "other pods of the pod's zone")
        move_group.add_pace(parser)
        parser.add_argument(
            '--watch', action='store_true', help='With --status: show the progress until it ends or waits for somebody'
        )
        add_waiting(parser, 'the pod is empty; with --move, until it waits for somebody', 'the drain')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        _check(parsed_args)
        pod = self.find_pod(parsed_args.pod)
        if parsed_args.status:
            return self.status(pod, parsed_args)
        if parsed_args.move:
            return self.move(pod, parsed_args)
        return self.remaining(pod, parsed_args)

    # -- by hand

    def remaining(self, pod: Pod, parsed_args: argparse.Namespace) -> Any:
        """List what is left, and set the pod to draining if the options say so."""
        if not parsed_args.list:
            pod = self.client.drain_pod(pod.id, reason=parsed_args.reason)
        shown = self.wait(pod, parsed_args.timeout) if parsed_args.wait else ''
        query = {
            'resource_type': parsed_args.type,
            'project_id': parsed_args.project_id,
            'marker': parsed_args.marker,
        }
        found = self.client.remaining_resources(pod.id, limit=parsed_args.limit, **query)
        items = [
            {**item.document, 'could_go_to': [candidate['pod_name'] for candidate in item.candidates]}
            for item in found
        ]
        line = remaining_line(pod, self.client.get_remaining_summary(pod.id))
        if line != shown:
            self.say(line)
        return rows(_REMAINING, items)

    def wait(self, pod: Pod, seconds: float) -> str:
        """Wait until the pod is empty.

        :returns: the line that was shown last
        """
        summary = watch(
            lambda: self.client.get_remaining_summary(pod.id),
            lambda summary: not summary.total,
            lambda summary: remaining_line(pod, summary),
            self.say,
            seconds,
        )
        return remaining_line(pod, summary)

    # -- by moves

    def move(self, pod: Pod, parsed_args: argparse.Namespace) -> Any:
        """Plan or begin a drain by moves."""
        values = {
            'kind': 'drain',
            'source_pod': pod.name,
            **move_group.target(parsed_args),
            **move_group.pace(parsed_args),
        }
        if parsed_args.dry_run:
            plan = self.client.plan_move_group(**move_group.given(values))
            self.say(move_group.summary(plan))
            for finding in move_group.findings(plan):
                ids = move_group.some(finding['resources'])
                self.say(f'{finding["level"]} {finding["code"]}: {finding["text"]} ({ids})')
            for kind, count in sorted(self.client.get_remaining_summary(pod.id).resources.items()):
                if kind not in _MOVED:
                    self.say(f'{count} {kind}: {_NOT_MOVED}')
            return rows(_PLAN, map(move_group.plan_row, plan['members']))
        group = move_group.create(self, values)
        if parsed_args.reason is not None:
            self.client.drain_pod(pod.id, reason=parsed_args.reason)
        pod = self.client.get_pod(pod.id)
        if parsed_args.wait:
            return self.report(pod, move_group.follow(self, group, parsed_args.timeout))
        self.say(f"To see its progress: 'openstack trio2o pod drain {pod.name} --status --watch'.")
        return rows(move_group.COLUMNS, [move_group.listed(group)])

    def status(self, pod: Pod, parsed_args: argparse.Namespace) -> Any:
        """Show the drain under way, or the last one.

        :raises CommandError: there was none
        """
        for group in self.client.move_groups(limit=1, kind='drain', source_pod_id=pod.id):
            if parsed_args.watch:
                group = move_group.follow(self, group, parsed_args.timeout)
            else:
                self.say(move_group.line(group))
                if text := move_group.next_commands(group):
                    self.say(text)
            return self.report(pod, group)
        raise exceptions.CommandError(
            f"{pod.name} has not been drained by moves. 'openstack trio2o pod drain {pod.name} --list' lists what is "
            f"in it; 'openstack trio2o pod drain {pod.name} --move' moves it."
        )

    def report(self, pod: Pod, group: MoveGroup) -> Any:
        """List what stays in a pod and why, and say when the pod can be deleted."""
        summary = self.client.get_remaining_summary(pod.id)
        self.say(remaining_line(pod, summary))
        found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for *key, id_ in (*self.members_that_stay(group), *self.others_that_stay(pod, group, summary)):
            found[key[0], key[1], key[2]].append(id_)
        for text in self.before_deletion(pod, group, summary):
            self.say(text)
        return rows(_STAYING, _reasons(found))

    def members_that_stay(self, group: MoveGroup) -> Iterator[tuple[str, str, str, str]]:
        """Yield type, state, reason and id of the members that have not moved and will not."""
        for state in move_group.STAYING:
            if group.counts.get(state):
                for member in self.client.move_group_members(group, state=state):
                    yield member.resource_type, state, member.reason or '', member.resource_id

    def others_that_stay(
        self, pod: Pod, group: MoveGroup, summary: RemainingSummary
    ) -> Iterator[tuple[str, str, str, str]]:
        """Yield the same of what is in the pod and is no member of the group."""
        for kind in sorted(summary.resources):
            if kind not in _MOVED:
                for item in self.client.remaining_resources(pod.id, resource_type=kind):
                    yield kind, '', _NOT_MOVED, item.resource_id

    def before_deletion(self, pod: Pod, group: MoveGroup, summary: RemainingSummary) -> Iterator[str]:
        """Yield what is left to do before the pod can be deleted; the command that deletes it if nothing is."""
        if switched := group.counts['switched']:
            yield (
                f'Moved but not confirmed: {switched}. {pod.name} can be deleted only after '
                f"'openstack trio2o move group confirm {group.id}'."
            )
        if group.has_ended and summary.total:
            yield (
                f"When the causes are repaired, 'openstack trio2o pod drain {pod.name} --move' takes what is left. "
                f'{pod.name} can be deleted when it is empty.'
            )
        if group.has_ended and not summary.total:
            yield f"To delete the pod: 'openstack trio2o pod delete {pod.name}'."


def _check(parsed_args: argparse.Namespace) -> None:
    """:raises CommandError: an option is for another form of the command"""
    form = next(
        (form for name, form in (('list', _LIST), ('move', _MOVE), ('status', _STATUS)) if getattr(parsed_args, name)),
        _PLAIN,
    )
    for name, forms in _OPTIONS.items():
        value = getattr(parsed_args, name)
        if value is not None and value is not False and form not in forms:
            option = f'--{name.replace("_", "-")}'
            raise exceptions.CommandError(f'{option} is an option of {" and ".join(map(repr, forms))}.')
    if parsed_args.dry_run and (parsed_args.wait or parsed_args.reason is not None):
        raise exceptions.CommandError('--dry-run changes nothing: it goes without --wait and --reason.')


def _reasons(found: dict[tuple[str, str, str], list[str]]) -> Iterable[Json]:
    for (kind, state, reason), ids in found.items():
        yield {
            'count': len(ids),
            'resource_type': kind,
            'state': state,
            'reason': reason,
            'resources': Worded(ids, move_group.some(ids)),
        }


def remaining_line(pod: Pod, summary: RemainingSummary) -> str:
    """Describe in one line what is left in a pod."""
    if not summary.total:
        return f'{pod.name} ({pod.state}) is empty.'
    kinds = ', '.join(f'{count} {kind}' for kind, count in sorted(summary.resources.items()))
    projects = 'one project' if len(summary.projects) == 1 else f'{len(summary.projects)} projects'
    return f'{pod.name} ({pod.state}) holds {kinds}, of {projects}.'
