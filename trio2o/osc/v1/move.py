# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o move``: move servers and volumes to other pods."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

from trio2o.osc.errors import command_error
from trio2o.osc.v1.base import Column, Lister, ShowOne, Steer, a_number, add_paging, each, fields, paging, rows
from trio2o.osc.v1.binding import add_project, project_id
from trio2o.osc.v1.report import Worded, bar, duration, size, table
from trio2o.osc.v1.waiting import add_timeout, add_waiting, watch_steered

if TYPE_CHECKING:
    from trio2o.sdk.resources import Move

Json = dict[str, Any]

COLUMNS = (
    Column('ID', 'id'),
    Column('Type', 'resource_type'),
    Column('Name', 'name'),
    Column('From', 'source_pod'),
    Column('To', 'target_pod'),
    Column('Status', 'status'),
    Column('Progress', 'progress'),
    Column('Step', 'step'),
    Column('Created At', 'created_at'),
)
MORE = (
    Column('Resource ID', 'resource_id'),
    Column('Project ID', 'project_id'),
    Column('Error', 'error'),
    Column('Confirms At', 'confirm_at'),
    Column('Ended At', 'ended_at'),
)
STATUSES = (
    'planned',
    'frozen',
    'copied',
    'verified',
    'built',
    'switched',
    'paused',
    'stuck',
    'cancelling',
    'confirming',
    'confirmed',
    'reverted',
    'abandoned',
)
#: Of findings, the worst first.
LEVELS = ('blocker', 'loss', 'note')
#: Status in which a move waits for somebody -> what to do, before the commands for it.
_NEXT = {
    'switched': 'Check the resource in its new place, and then',
    'stuck': 'When the cause is repaired',
    'paused': 'To go on, or back',
}


def line(move: Move) -> str:
    """Describe a move in one line."""
    text = f'{bar(move.percent)} {move.status}'
    if move.step:
        text += f': {move.step}'
    return f'{text} ({move.error})' if move.error else text


def next_commands(move: Move) -> str:
    """Return what can be done about a move that waits for somebody; '' if it does not."""
    if move.status not in _NEXT:
        return ''
    verbs = [verb for verb in move.verbs if verb not in ('pause', 'abandon')]
    commands = ' or '.join(f"'openstack trio2o move {verb} {move.id}'" for verb in verbs)
    when = f' It confirms itself at {move.confirm_at}.' if move.status == 'switched' and move.confirm_at else ''
    text = f'{_NEXT[move.status]}: {commands}.{when}'
    if move.status == 'stuck' and 'abandon' in move.verbs:
        text += f" If one of its pods is lost for good: 'openstack trio2o move abandon --force {move.id}'."
    return text


def add_move(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('move', metavar='<move>', help='The move (ID)')


def shown(move: Move) -> Json:
    """Return a move for ``fields``, without its plan."""
    found = {name: value for name, value in move.document.items() if name not in ('plan', 'items')}
    if move.ledger is not None:
        found['ledger'] = table(move.ledger, 'key', 'state', 'bottom_id', 'delete_on')
    if move.left is not None:
        found['left'] = table(move.left, 'resource_type', 'pod', 'resource_id', 'key', 'todo', 'reason')
    return found


class _Watching(ShowOne):
    def watch(self, move: Move, seconds: float) -> Move:
        """Show the progress of a move until it ends or waits for somebody."""
        return watch_steered(
            lambda: self.client.get_move(move.id), line, next_commands, self.say, seconds, noun='move'
        )


class CreateMove(_Watching):
    """Move a server with its volumes, or a detached volume, to another pod."""

    examples = (
        (
            'what a move would do, and what speaks against it',
            'openstack trio2o move create --server 7f0b0d39-6f8f-4d0e-b6c5-4ff3b1d0b7b3 --target-pod Pod2 --dry-run',
        ),
        (
            'move a server to a zone and wait until it runs there',
            'openstack trio2o move create --server 7f0b0d39-6f8f-4d0e-b6c5-4ff3b1d0b7b3 --zone az2 --wait',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument('--server', metavar='<server>', help='The server to move, with its volumes (ID)')
        what.add_argument('--volume', metavar='<volume>', help='The detached volume to move (ID)')
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument('--target-pod', metavar='<pod>', help='The pod to move it to (name or ID)')
        where.add_argument('--zone', metavar='<zone>', help='The availability zone to move it to')
        parser.add_argument(
            '--confirm-after',
            metavar='<seconds>',
            type=a_number,
            help='Seconds after the switch after which the move confirms itself; until then it can be reverted',
        )
        parser.add_argument('--dry-run', action='store_true', help='Only show the plan')
        add_waiting(parser, 'it has switched', 'the move')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        given = {
            'server_id': parsed_args.server,
            'volume_id': parsed_args.volume,
            'target_pod': parsed_args.target_pod,
            'zone': parsed_args.zone,
            'confirm_seconds': parsed_args.confirm_after,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if parsed_args.dry_run:
            plan = self.client.plan_move(**given)
            if any(finding['level'] == 'blocker' for finding in plan['findings']):
                self.say('The move would be refused: see the blockers.')
            return readable(plan)
        try:
            move = self.client.create_move(**given)
        except sdk_exceptions.HttpException as error:
            raise refusal(error) from error
        if parsed_args.wait:
            move = self.watch(move, parsed_args.timeout)
        else:
            self.say(f"To see its progress: 'openstack trio2o move show --watch {move.id}'.")
        return fields(shown(move))


def refusal(error: sdk_exceptions.HttpException) -> exceptions.CommandError:
    """Explain why a move, or a group of moves, was refused, and say what to do about it."""
    explained = command_error(error)
    other = re.search(r'\((move(?: group)?) ([0-9a-f-]{36})\)', str(explained))
    if other is not None:
        return exceptions.CommandError(f"{explained} 'openstack trio2o {other[1]} show {other[2]}' shows it.")
    findings = _details(error).get('findings')
    if not findings:
        return explained
    lines = [
        f'{each["level"]} {each["code"]}{" " + each["resource"] if each["resource"] else ""}: {each["text"]}'
        for each in findings
        if each['level'] == 'blocker'
    ]
    text = '\n'.join(lines)
    return exceptions.CommandError(f'The move is blocked:\n{text}\n--dry-run shows the whole plan.')


def _details(error: sdk_exceptions.HttpException) -> Json:
    """Return the fields of a fault; empty if the body is not one."""
    try:
        (inner,) = error.response.json().values()  # type: ignore[union-attr]
    except (AttributeError, ValueError):
        return {}
    return inner if isinstance(inner, dict) else {}


def readable(plan: Json) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Make names and values of a plan for cliff: what speaks against it first, then what it makes and takes."""
    findings = sorted(plan['findings'], key=lambda finding: LEVELS.index(finding['level']))
    first = ('resource_type', 'resource_id', 'name', 'source_pod', 'target_pod', 'zone')
    found = {name: plan[name] for name in first if name in plan}
    found['findings'] = table(findings, 'level', 'code', 'resource', 'text')
    if 'makes' in plan:
        found['makes'] = table(plan['makes'], 'type', 'key')
    found['bytes'] = Worded(plan['bytes'], size(plan['bytes']))
    found['seconds'] = Worded(plan['seconds'], f'about {duration(plan["seconds"])}')
    if 'steps' in plan:
        found['steps'] = Worded(plan['steps'], '\n'.join(plan['steps']))
    return tuple(found), tuple(found.values())


class ListMove(Lister):
    """List moves, the newest first."""

    examples = (
        ('moves under way', 'openstack trio2o move list --active'),
        ('those that wait for an operator', 'openstack trio2o move list --status stuck --long'),
        ('all moves out of Pod1', 'openstack trio2o move list --source-pod Pod1 --long'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--active', action='store_true', default=None, help='Only those that have not ended')
        parser.add_argument('--status', choices=STATUSES, help='Only with this status')
        parser.add_argument('--pod', metavar='<pod>', help='Only from or to this pod (name or ID)')
        parser.add_argument('--source-pod', metavar='<pod>', help='Only from this pod (name or ID)')
        parser.add_argument('--target-pod', metavar='<pod>', help='Only to this pod (name or ID)')
        add_project(parser, '--project', 'Only of this project (name or ID)')
        parser.add_argument('--resource', metavar='<id>', help='Only of this server or volume')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'created_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {
            'is_active': 'true' if parsed_args.active else None,
            'status': parsed_args.status,
            'pod_id': self.pod_id(parsed_args.pod),
            'source_pod_id': self.pod_id(parsed_args.source_pod),
            'target_pod_id': self.pod_id(parsed_args.target_pod),
            'project_id': project_id(self, parsed_args),
            'resource_id': parsed_args.resource,
        }
        found = self.client.moves(**query, **paging(parsed_args))
        items = ({**move.document, 'progress': Worded(move.percent, bar(move.percent))} for move in found)
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, items)


class ShowMove(_Watching):
    """Show a move: its progress, what it waits for, and what it made."""

    examples = (
        ('follow a move', 'openstack trio2o move show --watch 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),
        ('its plan', 'openstack trio2o move show --plan 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_move(parser)
        parser.add_argument(
            '--watch', action='store_true', help='Show the progress until it ends or waits for somebody'
        )
        parser.add_argument('--plan', action='store_true', help='Show its plan')
        add_timeout(parser, 'the move')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        move = self.client.get_move(parsed_args.move)
        if parsed_args.watch:
            move = self.watch(move, parsed_args.timeout)
        if parsed_args.plan:
            return readable(move.plan)
        return fields(shown(move))


class _SteerMove(Steer):
    def steer(self, id_: str) -> None:
        self.client.steer_move(id_, self.verb)


class PauseMove(_SteerMove):
    """Let moves begin no further step."""

    verb = 'pause'
    examples = (('a move', 'openstack trio2o move pause 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class ResumeMove(_SteerMove):
    """Let moves that are paused or stuck go on."""

    verb = 'resume'
    examples = (('a move', 'openstack trio2o move resume 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class CancelMove(_SteerMove):
    """Undo moves that have not switched: the server runs in its old pod again, as before."""

    verb = 'cancel'
    examples = (('a move', 'openstack trio2o move cancel 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class ConfirmMove(_SteerMove):
    """Delete what switched moves left in the old pod. They cannot be reverted any more."""

    verb = 'confirm'
    examples = (('a move', 'openstack trio2o move confirm 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--force',
            action='store_true',
            help='Also give up what the new pod has lost: what is deleted in the old pod may be the only copy',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        options = {'force': True} if parsed_args.force else {}
        each(parsed_args.ids, lambda id_: self.client.steer_move(id_, self.verb, **options))


class RevertMove(_SteerMove):
    """Let switched moves go back to the old pod. What was written since the switch is lost."""

    verb = 'revert'
    examples = (('a move', 'openstack trio2o move revert 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class AbandonMove(ShowOne):
    """End a move at once although one of its pods is lost.

    The resource is where its id leads now, and can be used and moved again. What the move has left in the pods is
    listed. It is not shown to tenants, and is deleted when its pod is back.
    """

    examples = (
        ('whose pod is lost', 'openstack trio2o move abandon --force 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),
        (
            'that has switched to a pod that is lost',
            'openstack trio2o move abandon --force --back 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_move(parser)
        parser.add_argument('--force', action='store_true', help='Needed, as nothing of the move is undone at once')
        parser.add_argument(
            '--back',
            action='store_true',
            help='Let the ids of a move that has switched lead to the old pod again. What was written since is lost',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        if not parsed_args.force:
            raise exceptions.CommandError(
                'Cancel, revert or confirm the move if its pods answer. If one of them is lost, repeat the command '
                'with --force.'
            )
        options = {'back': True} if parsed_args.back else {}
        move = self.client.steer_move(parsed_args.move, 'abandon', **options)
        if move.left:
            self.say(f"It has left {len(move.left)} items: 'openstack trio2o move show {move.id}' lists them.")
        return fields(shown(move))


class SweepMove(_SteerMove):
    """Delete now what abandoned moves have left in pods that are back. Trio2o also does so every ten minutes."""

    verb = 'sweep'
    examples = (('a move', 'openstack trio2o move sweep 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)
