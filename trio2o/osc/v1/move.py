# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o move``: move servers and volumes to other pods."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions

from trio2o.osc.v1.base import Column, Lister, ShowOne, Trio2oCommand, a_number, add_paging, each, fields, paging, rows
from trio2o.osc.v1.waiting import TIMEOUT_SECONDS, watch

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
_BAR = 30
_LEVELS = ('blocker', 'loss', 'note')


def bar(percent: int) -> str:
    """Return a progress bar."""
    done = percent * _BAR // 100
    return f'[{"#" * done}{"." * (_BAR - done)}] {percent:3d} %'


def line(move: Move) -> str:
    """Describe a move in one line."""
    text = f'{bar(move.percent)} {move.status}'
    if move.step:
        text += f': {move.step}'
    return f'{text} ({move.error})' if move.error else text


def next_command(move: Move) -> str:
    """Return what an operator can do about a move that waits; '' if it does not wait for anybody."""
    name = f"'openstack trio2o move {{}} {move.id}'"
    if move.status == 'switched':
        when = f' It confirms itself at {move.confirm_at}.' if move.confirm_at else ''
        return f'Look at it, and then: {name.format("confirm")} or {name.format("revert")}.{when}'
    if move.status == 'stuck':
        return f'When the cause is repaired: {name.format("resume")}; or {name.format("cancel")}.'
    return f'To go on: {name.format("resume")}.' if move.status == 'paused' else ''


def add_move(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('move', metavar='<move>', help='The move (ID)')


def shown(move: Move) -> Json:
    """Return a move for ``fields``: without what is a table of its own."""
    hidden = ('plan', 'items')
    return {name: value for name, value in move.document.items() if name not in hidden}


class _Watching(ShowOne):
    def watch(self, move: Move, seconds: float) -> Move:
        """Show the progress of a move until it ends or waits for somebody."""
        found = watch(
            lambda: self.client.get_move(move.id),
            lambda each: each.has_ended or each.waits_for_somebody,
            line,
            self.say,
            seconds,
        )
        if found.waits_for_somebody:
            self.say(next_command(found))
        elif not found.has_ended:
            raise exceptions.CommandError(
                f'Move {move.id} is still {found.status} after {seconds:g} seconds and goes on. '
                f"See 'openstack trio2o move show --watch {move.id}'."
            )
        return found


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--timeout',
        metavar='<seconds>',
        type=a_number,
        default=TIMEOUT_SECONDS,
        help=f'Stop waiting after so many seconds; the move goes on (default: {TIMEOUT_SECONDS})',
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
            type=int,
            help='Seconds after the switch after which the move confirms itself; until then it can be reverted',
        )
        parser.add_argument('--dry-run', action='store_true', help='Only show the plan')
        parser.add_argument('--wait', action='store_true', help='Wait until it has switched, and show the progress')
        _add_timeout(parser)
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
            return fields(readable(self.client.plan_move(**given)))
        move = self.client.create_move(**given)
        if parsed_args.wait:
            move = self.watch(move, parsed_args.timeout)
        return fields(shown(move))


def readable(plan: Json) -> Json:
    """Return a plan as people read it."""
    found: Json = {name: plan[name] for name in ('resource_type', 'resource_id', 'name', 'zone') if name in plan}
    found |= {name: plan[name] for name in ('source_pod', 'target_pod') if name in plan}
    found |= {'size': f'{plan["bytes"] / 2**30:.1f} GiB copied', 'time': f'about {plan["seconds"]} s'}
    for level in _LEVELS:
        texts = [finding for finding in plan['findings'] if finding['level'] == level]
        found[f'{level}s'] = '\n'.join(f'{each["code"]}: {each["text"]}' for each in texts) or 'none'
    if 'makes' in plan:
        found['makes'] = '\n'.join(each['key'] for each in plan['makes'])
        found['steps'] = '\n'.join(plan['steps'])
    return found


class ListMove(Lister):
    """List moves, the newest first."""

    examples = (
        ('moves under way', 'openstack trio2o move list --active'),
        ('all moves out of Pod1', 'openstack trio2o move list --source-pod Pod1 --long'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--active', action='store_true', default=None, help='Only those that have not ended')
        parser.add_argument('--source-pod', metavar='<pod>', help='Only from this pod (name or ID)')
        parser.add_argument('--target-pod', metavar='<pod>', help='Only to this pod (name or ID)')
        parser.add_argument('--project', metavar='<project-id>', help='Only of this project')
        parser.add_argument('--resource', metavar='<id>', help='Only of this server or volume')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'created_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        query = {
            'is_active': 'true' if parsed_args.active else None,
            'source_pod_id': self.pod_id(parsed_args.source_pod),
            'target_pod_id': self.pod_id(parsed_args.target_pod),
            'project_id': parsed_args.project,
            'resource_id': parsed_args.resource,
        }
        found = self.client.moves(**query, **paging(parsed_args))
        items = ({**move.document, 'progress': bar(move.percent)} for move in found)
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
        _add_timeout(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        move = self.client.get_move(parsed_args.move)
        if parsed_args.watch:
            move = self.watch(move, parsed_args.timeout)
        if parsed_args.plan:
            return fields(readable(move.plan))
        found = shown(move)
        if move.ledger is not None:
            found['ledger'] = '\n'.join(
                f'{item["key"]}: {item["state"]} {item["bottom_id"]}'.rstrip() for item in move.ledger
            )
        return fields(found)


class _Steer(Trio2oCommand):
    verb = ''

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('moves', metavar='<move>', nargs='+', help='Moves (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.moves, lambda move: self.client.steer_move(move, self.verb))


class PauseMove(_Steer):
    """Let moves begin no further step."""

    verb = 'pause'
    examples = (('a move', 'openstack trio2o move pause 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class ResumeMove(_Steer):
    """Let moves that are paused or stuck go on."""

    verb = 'resume'
    examples = (('a move', 'openstack trio2o move resume 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class CancelMove(_Steer):
    """Undo moves that have not switched: the server runs in its old pod again, as before."""

    verb = 'cancel'
    examples = (('a move', 'openstack trio2o move cancel 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class ConfirmMove(_Steer):
    """Delete what switched moves left in the old pod. They cannot be reverted any more."""

    verb = 'confirm'
    examples = (('a move', 'openstack trio2o move confirm 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)


class RevertMove(_Steer):
    """Let switched moves go back to the old pod. What was written since the switch is lost."""

    verb = 'revert'
    examples = (('a move', 'openstack trio2o move revert 5b1de3f3-8a70-44f9-a7f5-4c4df1a2f6e0'),)
