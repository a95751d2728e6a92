# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o move group`` and ``pod rebalance``: move many servers and volumes by one order."""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

from trio2o.osc.v1.base import Column, Lister, ShowOne, Steer, a_number, add_paging, fields, paging, rows
from trio2o.osc.v1.binding import add_project, project_id
from trio2o.osc.v1.move import LEVELS, refusal
from trio2o.osc.v1.report import Table, Worded, bar, duration, size
from trio2o.osc.v1.waiting import add_timeout, add_waiting, watch_steered

if TYPE_CHECKING:
    from trio2o.osc.v1.base import Trio2oCommand
    from trio2o.sdk.resources import MoveGroup, MoveGroupMember

Json = dict[str, Any]

COLUMNS = (
    Column('ID', 'id'),
    Column('Kind', 'kind'),
    Column('Name', 'name'),
    Column('From', 'source_pod'),
    Column('To', 'to'),
    Column('Status', 'status'),
    Column('Progress', 'progress'),
    Column('Members', 'counts'),
    Column('Reason', 'reason'),
)
MORE = (
    Column('Project ID', 'project_id'),
    Column('Created At', 'created_at'),
    Column('Ended At', 'ended_at'),
)
KINDS = ('application', 'drain', 'rebalance')
STATUSES = ('running', 'paused', 'cancelling', 'reverting', 'completed', 'cancelled', 'reverted')
#: States of members, in the order in which they are shown.
STATES = ('moved', 'confirming', 'switched', 'moving', 'undoing', 'waiting', 'refused', 'failed', 'undone', 'gone')
#: States of members that stay where they are; for each, `MoveGroupMember.reason` says why.
STAYING = ('refused', 'failed', 'undone')
#: So many ids of a line of a report are shown; JSON has all of them.
_IDS = 3


def add_target(parser: argparse.ArgumentParser, default: str = '') -> None:
    """Add ``--zone`` and ``--target-pod``.

    :param default: for the help: where resources go without these options; '' if one of them is required
    """
    where = parser.add_mutually_exclusive_group(required=not default)
    otherwise = f' (default: {default})' if default else ''
    where.add_argument('--zone', metavar='<zone>', help=f'The availability zone to move to{otherwise}')
    where.add_argument(
        '--target-pod', metavar='<pod>', action='append', help='A pod to move to (name or ID; repeatable)'
    )


def add_pace(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how fast the members of a group move, and when they stop."""
    parser.add_argument('--parallel', metavar='<number>', type=_at_least_one, help='Moves under way at a time')
    for name, text in (
        ('canary', 'Members of the first wave; 0 for no such wave'),
        ('wave', 'Members of each later wave; 0 for all of them'),
        ('max-failures', 'Pause when more members have failed than this'),
        ('bytes-per-second', 'What all moves together copy in a second, on average; 0 for any amount'),
    ):
        parser.add_argument(f'--{name}', metavar='<number>', type=a_number, help=text)
    parser.add_argument(
        '--window', metavar='<HH:MM-HH:MM>', type=_a_window, help='Begin no move outside of this time of the day (UTC)'
    )
    parser.add_argument(
        '--confirm-after',
        metavar='<seconds>',
        type=a_number,
        help='Seconds after the switch after which a move confirms itself; until then it can be reverted',
    )


def _at_least_one(text: str) -> int:
    """:raises ArgumentTypeError: the text is not a whole number of 1 or more"""
    if not a_number(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not 1 or more")
    return int(text)


def _a_window(text: str) -> str:
    """:raises ArgumentTypeError: the text is not of the form ``22:00-06:00``"""
    times = re.fullmatch(r'((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)', text)
    if times is None or times[1] == times[2]:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form 22:00-06:00")
    return text


def pace(parsed_args: argparse.Namespace) -> Json:
    """Make fields for the API from the options of `add_pace` that were given."""
    names = ('parallel', 'canary', 'wave', 'max_failures', 'bytes_per_second', 'window')
    return {
        **{name: getattr(parsed_args, name) for name in names},
        'confirm_seconds': parsed_args.confirm_after,
    }


def target(parsed_args: argparse.Namespace) -> Json:
    """Make fields for the API from the options of `add_target` that were given."""
    return {'zone': parsed_args.zone, 'target_pods': parsed_args.target_pod}


def given(values: Json) -> Json:
    """Leave out the fields that have no value."""
    return {name: value for name, value in values.items() if value is not None}


def counted(counts: Json, states: Sequence[str] = STATES) -> str:
    """Return the counts of members by state in words: ``12 moved, 4 moving``."""
    return ', '.join(f'{counts[state]} {state}' for state in states if counts.get(state)) or 'no members'


def line(group: MoveGroup) -> str:
    """Describe a group in one line."""
    text = f'{bar(group.percent)} {group.status}: {counted(group.counts)}'
    if group.reason:
        text += f' ({group.reason})'
    if (
        group.status == 'running'
        and group.counts['waiting']
        and not group.counts['moving']
        and group.counts['switched']
    ):
        # The next wave may begin much later otherwise.
        text += f" To confirm now: 'openstack trio2o move group confirm {group.id}'."
    return text


def next_commands(group: MoveGroup) -> str:
    """Return what can be done about a group that waits for somebody; '' if it does not."""
    if not group.waits_for_somebody:
        return ''
    what = 'To go on, or back' if group.status == 'paused' else 'Check the resources in their new place, and then'
    commands = (f'\n  openstack trio2o move group {verb} {group.id}' for verb in group.verbs if verb != 'pause')
    return f'{what}:{"".join(commands)}'


def who_stays(group: MoveGroup) -> str:
    """Say how many members stay where they are, and which command shows why; '' if none does."""
    stay = [state for state in STAYING if group.counts.get(state)]
    if not stay:
        return ''
    option = f'--state {stay[0]} ' if len(stay) == 1 else ''
    return f"{counted(group.counts, stay)}; why: 'openstack trio2o move group show --members {option}{group.id}'."


def follow(command: Trio2oCommand, group: MoveGroup, seconds: float) -> MoveGroup:
    """Show the progress of a group until it ends or waits for somebody, and what to do then.

    :raises CommandError: time is up
    """
    return watch_steered(
        lambda: command.client.get_move_group(group.id), line, next_commands, command.say, seconds, noun='move group'
    )


def create(command: Trio2oCommand, values: Json) -> MoveGroup:
    """Begin a group.

    :raises CommandError: it is refused, and why
    """
    try:
        return command.client.create_move_group(**given(values))
    except sdk_exceptions.HttpException as error:
        raise refusal(error) from error


def listed(group: MoveGroup) -> Json:
    """Return a group as a row of a list."""
    return {
        **group.document,
        'to': ', '.join(group.target_pods or ()) or group.zone,
        'progress': Worded(group.percent, bar(group.percent)),
        'counts': Worded(group.counts, counted(group.counts)),
    }


def shown(group: MoveGroup, members: Iterable[MoveGroupMember] | None = None) -> Json:
    """Return a group for ``fields``."""
    found = {
        **group.document,
        'counts': Worded(group.counts, counted(group.counts)),
        'bytes_done': Worded(group.bytes_done, size(group.bytes_done)),
        'bytes_total': Worded(group.bytes_total, size(group.bytes_total)),
    }
    if members is not None:
        items = [member.document for member in members]
        names = ('resource_type', 'resource_id', 'name', 'state', 'target_pod', 'move_id', 'reason')
        found['members'] = Table(items, ('wave', *names), ([item['wave'] + 1, *_cells(item, names)] for item in items))
    return found


def _cells(item: Json, names: tuple[str, ...]) -> list[Any]:
    return [item.get(name) or '-' for name in names]


# -- plans


def summary(plan: Json) -> str:
    """Say in one or two lines what a plan moves, how long it takes, and what it leaves out."""
    movable, refused = plan['counts']['movable'], plan['counts']['refused']
    text = f'{movable} of {movable + refused} can move: {size(plan["bytes"])}, '
    text += f'about {duration(plan["seconds"])} one after another.'
    if not plan['is_complete']:
        text += f' Only these of {plan["counts"]["total"]} were planned; the others are planned when their turn comes.'
    return text


def findings(plan: Json) -> list[Json]:
    """Return the findings of a plan, the worst first; equal ones of several members are one with their resources."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for member in plan['members']:
        for finding in member['findings']:
            key = (finding['level'], finding['code'], finding['text'])
            found[key].append(finding['resource'] or member['resource_id'])
    keys = sorted(found, key=lambda key: LEVELS.index(key[0]))
    return [
        {'level': level, 'code': code, 'text': text, 'resources': found[level, code, text]}
        for level, code, text in keys
    ]


def some(ids: list[str]) -> str:
    """Return the first ids, and how many more there are."""
    more = f' and {len(ids) - _IDS} more' if len(ids) > _IDS else ''
    return ', '.join(ids[:_IDS]) + more


def plan_row(member: Json) -> Json:
    """Return a member of a plan as a row of a table."""
    levels = Counter(finding['level'] for finding in member['findings'])
    found = ', '.join(f'{levels[level]} {level}' for level in LEVELS if levels[level])
    return {
        **member,
        'wave': Worded(member['wave'], str(member['wave'] + 1)),
        'size': Worded(member['bytes'], size(member['bytes'])),
        'time': Worded(member['seconds'], duration(member['seconds'])),
        'found': Worded(member['findings'], found),
    }


def readable(plan: Json) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Make names and values of a plan for cliff."""
    names = ('resource_type', 'resource_id', 'name', 'target_pod')
    found: Json = {'kind': plan['kind']}
    found['members'] = Table(
        plan['members'],
        ('wave', *names, 'size', 'time'),
        (
            [member['wave'] + 1, *_cells(member, names), size(member['bytes']), duration(member['seconds'])]
            for member in plan['members']
        ),
    )
    grouped = findings(plan)
    found['findings'] = Table(
        grouped,
        ('level', 'code', 'resources', 'text'),
        ([each['level'], each['code'], some(each['resources']), each['text']] for each in grouped),
    )
    found['bytes'] = Worded(plan['bytes'], size(plan['bytes']))
    found['seconds'] = Worded(plan['seconds'], f'about {duration(plan["seconds"])}')
    found['counts'] = Worded(plan['counts'], ', '.join(f'{count} {kind}' for kind, count in plan['counts'].items()))
    found['is_complete'] = plan['is_complete']
    return tuple(found), tuple(found.values())


# -- commands


class _Creating(ShowOne):
    def add_running(self, parser: argparse.ArgumentParser) -> None:
        """Add ``--dry-run``, ``--wait`` and ``--timeout``."""
        parser.add_argument('--dry-run', action='store_true', help='Only show the plan')
        add_waiting(parser, 'all have moved, or it waits for somebody', 'the group')

    def begin(self, parsed_args: argparse.Namespace, values: Json) -> Any:
        """Plan a group or begin it, as the options say."""
        if parsed_args.dry_run:
            if parsed_args.wait:
                raise exceptions.CommandError('--dry-run moves nothing that --wait could wait for.')
            plan = self.client.plan_move_group(**given(values))
            self.say(summary(plan))
            return readable(plan)
        group = create(self, values)
        if parsed_args.wait:
            group = follow(self, group, parsed_args.timeout)
            if text := who_stays(group):
                self.say(text)
        else:
            self.say(f"To see its progress: 'openstack trio2o move group show --watch {group.id}'.")
        return fields(shown(group))


class CreateMoveGroup(_Creating):
    """Move an application: servers and volumes that belong together, one after another."""

    examples = (
        (
            'the database first, then two web servers',
            'openstack trio2o move group create --name shop --zone az2 --server 7f0b0d39-6f8f-4d0e-b6c5-4ff3b1d0b7b3 '
            '--server 1d2c3b4a-0f9e-4d8c-b7a6-5f4e3d2c1b0a --server 9c8b7a6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d',
        ),
        ('what speaks against it', 'openstack trio2o move group create --tag shop --zone az2 --dry-run'),
        (
            'all or none of a server group',
            'openstack trio2o move group create --server-group 3b1d0b7b-4ff3-4d0e-b6c5-7f0b0d396f8f --target-pod Pod2 '
            '--on-failure revert --wait',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for kind, what in (('server', 'A server to move, with its volumes'), ('volume', 'A detached volume to move')):
            parser.add_argument(
                f'--{kind}',
                metavar=f'<{kind}>',
                dest='members',
                action='append',
                # Servers and volumes move in the order in which they are given.
                type=lambda id_, kind=kind: {'type': kind, 'id': id_},  # type: ignore[misc]
                help=f'{what} (ID; repeatable)',
            )
        parser.add_argument('--server-group', metavar='<server-group>', help='Move the servers of this group (ID)')
        parser.add_argument('--tag', metavar='<tag>', help='Move the servers with this tag')
        add_project(parser, '--project', "Project of the servers with the tag, if it is not one's own (name or ID)")
        add_target(parser)
        parser.add_argument('--name', metavar='<name>', help='A name for the group')
        parser.add_argument(
            '--on-failure',
            choices=('stop', 'continue', 'revert'),
            help='If a move fails: begin no other one (stop, the default), go on with the others, or revert all',
        )
        add_pace(parser)
        self.add_running(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        _check(parsed_args)
        values = {
            'kind': 'application',
            'name': parsed_args.name,
            'members': parsed_args.members,
            'server_group_id': parsed_args.server_group,
            'tag': parsed_args.tag,
            'project_id': project_id(self, parsed_args),
            'on_failure': parsed_args.on_failure,
            **target(parsed_args),
            **pace(parsed_args),
        }
        return self.begin(parsed_args, values)


def _check(parsed_args: argparse.Namespace) -> None:
    """:raises CommandError: options contradict one another"""
    if sum(map(bool, (parsed_args.members, parsed_args.server_group, parsed_args.tag))) != 1:
        raise exceptions.CommandError('Give either servers and volumes, or --server-group, or --tag.')
    ids = [member['id'] for member in parsed_args.members or ()]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise exceptions.CommandError(f'Given more than once: {", ".join(twice)}.')
    if parsed_args.project and not parsed_args.tag:
        raise exceptions.CommandError('--project goes with --tag: ids need no project.')
    if parsed_args.max_failures is not None and parsed_args.on_failure not in (None, 'continue'):
        raise exceptions.CommandError('--max-failures goes with --on-failure continue.')


class ListMoveGroup(Lister):
    """List groups of moves, the newest first."""

    examples = (
        ('groups under way', 'openstack trio2o move group list --active'),
        ('those that wait for an operator', 'openstack trio2o move group list --status paused'),
        ('drains of Pod2', 'openstack trio2o move group list --kind drain --source-pod Pod2 --long'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--active', action='store_true', default=None, help='Only those that have not ended')
        parser.add_argument('--kind', choices=KINDS, help='Only of this kind')
        parser.add_argument('--status', choices=STATUSES, help='Only with this status')
        parser.add_argument('--source-pod', metavar='<pod>', help='Only drains of this pod (name or ID)')
        add_project(parser, '--project', 'Only those that this project began (name or ID)')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'created_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {
            'is_active': 'true' if parsed_args.active else None,
            'kind': parsed_args.kind,
            'status': parsed_args.status,
            'source_pod_id': self.pod_id(parsed_args.source_pod),
            'project_id': project_id(self, parsed_args),
        }
        found = self.client.move_groups(**query, **paging(parsed_args))
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, map(listed, found))


class ShowMoveGroup(ShowOne):
    """Show a group of moves: its progress, and what it waits for."""

    examples = (
        ('follow a group', 'openstack trio2o move group show --watch 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),
        (
            'which members failed, and why',
            'openstack trio2o move group show --members --state failed 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('group', metavar='<group>', help='The group (ID)')
        parser.add_argument(
            '--watch', action='store_true', help='Show the progress until it ends or waits for somebody'
        )
        parser.add_argument('--members', action='store_true', help='Show its members')
        parser.add_argument('--state', choices=STATES, help='Show only the members in this state')
        add_timeout(parser, 'the group')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        if parsed_args.state and not parsed_args.members:
            raise exceptions.CommandError('--state goes with --members.')
        group = self.client.get_move_group(parsed_args.group)
        if parsed_args.watch:
            group = follow(self, group, parsed_args.timeout)
        elif text := next_commands(group):
            self.say(text)
        if not parsed_args.members and (text := who_stays(group)):
            self.say(text)
        members = self.client.move_group_members(group, state=parsed_args.state) if parsed_args.members else None
        return fields(shown(group, members))


class _SteerGroup(Steer):
    metavar = '<group>'

    def steer(self, id_: str) -> None:
        self.client.steer_move_group(id_, self.verb)


class PauseMoveGroup(_SteerGroup):
    """Let groups begin no further move. Moves that are under way go on."""

    verb = 'pause'
    examples = (('a group', 'openstack trio2o move group pause 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class ResumeMoveGroup(_SteerGroup):
    """Let groups that are paused go on, and try once more what failed or was refused."""

    verb = 'resume'
    examples = (('a group', 'openstack trio2o move group resume 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class CancelMoveGroup(_SteerGroup):
    """Begin no further move of groups, and undo those under way. What has moved stays in its new place."""

    verb = 'cancel'
    examples = (('a group', 'openstack trio2o move group cancel 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class ConfirmMoveGroup(_SteerGroup):
    """Confirm all members of groups that have switched. They cannot be reverted any more."""

    verb = 'confirm'
    examples = (('a group', 'openstack trio2o move group confirm 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class RevertMoveGroup(_SteerGroup):
    """Let all members of groups go back that are not confirmed. What was written since their switch is lost."""

    verb = 'revert'
    examples = (('a group', 'openstack trio2o move group revert 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class RebalancePod(_Creating):
    """Move servers and volumes of a zone from its full pods to its other pods."""

    examples = (
        ('what would move', 'openstack trio2o pod rebalance az1 --dry-run'),
        ('at night, two at a time', 'openstack trio2o pod rebalance az1 --window 22:00-06:00 --parallel 2'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('zone', metavar='<zone>', help='The availability zone')
        add_pace(parser)
        self.add_running(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.begin(parsed_args, {'kind': 'rebalance', 'zone': parsed_args.zone, **pace(parsed_args)})
