# SPDX-License-Identifier: Apache-2.0
"""Migrations of all pods, for admins, and migrations of one server. Both show a migration under the same id.

The move of a server to another pod is listed as a cold migration beside the migrations within pods.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from oslo_utils import strutils, timeutils

from trio2o import exception
from trio2o.db import server_moves
from trio2o.db.server_moves import Place, ServerMove
from trio2o.gateway.admin.ids import (
    AT,
    MAX_DIGITS,
    AdminResource,
    bottom_number,
    free_ids,
    renumber_refusal,
    split_name,
    top_number,
)
from trio2o.gateway.admin.lists import AdminList, AdminPaging
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.gateway.translate import PodNames, replace_segment
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Item, normalized_id
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.numbers import parse_number
from trio2o.web.operations import Operation


class MigrationKind(AdminResource):
    """Migrations, whose links end with their id."""

    def up(self, item: Item, pod: PodView, names: PodNames) -> None:
        for link in item.get('links') or []:
            head, slash, number = str(link.get('href')).rpartition('/')
            bottom = parse_number(number, MAX_DIGITS)
            if bottom is not None:
                link['href'] = f'{head}{slash}{top_number(bottom, pod)}'
        super().up(item, pod, names)


_COLD = 'migration'


@dataclass(frozen=True)
class ListMigrations(AdminList):
    """The migrations within all pods, and the moves of servers from one pod to another."""

    def own_items(self, call: Call, limit: int | None) -> list[Item]:
        return [_as_migration(call, move) for move in _moves(call, limit)]


def _moves(call: Call, limit: int | None) -> list[ServerMove]:
    """Return the moves that a query asks for. Others than admins see those of their project.

    :raises BadRequest: a time cannot be read
    """
    given, version = dict(call.query), call.version or (2, 1)
    project_id = given.get('project_id')
    if not call.context.may_see_all:
        if project_id not in (None, call.context.project_id):
            return []
        project_id = call.context.project_id or ''
    is_hidden = strutils.bool_from_string(given.get('hidden'))
    if is_hidden or 'uuid' in given or given.get('migration_type', _COLD) != _COLD:
        return []
    server_id = given.get('instance_uuid')
    return server_moves.list_(
        call.runtime.db,
        limit=limit,
        project_id=project_id,
        user_id=given.get('user_id'),
        server_id=None if server_id is None else normalized_id(server_id),
        status=given.get('status'),
        host=_place(call, given.get('host')),
        # Nova reads it only without the other.
        source_host=_place(call, given.get('source_compute')) if 'host' not in given else None,
        node=given.get('node'),
        changed_since=_time(given.get('changes-since')) if version >= (2, 59) else None,
        changed_before=_time(given.get('changes-before')) if version >= (2, 66) else None,
    )


def _place(call: Call, name: str | None) -> Place | None:
    if name is None:
        return None
    pod, bare = split_name(call, name)
    return (None if pod is None else pod.id), bare


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return timeutils.normalize_time(timeutils.parse_isotime(text))
    except ValueError as error:
        raise exception.BadRequest(f'Invalid time: {text}') from error


def _as_migration(call: Call, move: ServerMove) -> Item:
    """Return a move as Nova shows a migration. Only admins see hosts."""
    version = call.version or (2, 1)
    item: Item = {
        'id': next(free_ids(move.item_id)),
        'status': move.status,
        'instance_uuid': move.server_id,
        'source_compute': _qualified(call, move.source_pod_id, move.source_host),
        'source_node': move.source_node,
        'dest_compute': _qualified(call, move.target_pod_id, move.target_host),
        'dest_node': move.target_node,
        # The address of the host is not known, and flavors have numbers only in the databases of pods.
        'dest_host': None,
        'old_instance_type_id': None,
        'new_instance_type_id': None,
        'created_at': move.created_at.isoformat(timespec='microseconds'),
        'updated_at': move.updated_at.isoformat(timespec='microseconds'),
    }
    if not call.context.may_see_all:
        item |= dict.fromkeys(('source_compute', 'source_node', 'dest_compute', 'dest_node'))
    if version >= (2, 23):
        item['migration_type'] = _COLD
    if version >= (2, 59):
        item['uuid'] = str(uuid.uuid5(uuid.UUID(move.move_id), move.server_id))
    if version >= (2, 80):
        item |= {'project_id': move.project_id, 'user_id': move.user_id}
    return item


def _qualified(call: Call, pod_id: str, host: str | None) -> str | None:
    """Return the name of a host with that of its pod, if the pod is still registered."""
    pod = call.runtime.registry.snapshot().by_id.get(pod_id)
    return host if host is None or pod is None else f'{pod.name}{AT}{host}'


MIGRATION = MigrationKind('Migration', 'migration', 'migrations', 'Migration {id} could not be found.')


class ForwardMigration(Forward):
    """Forward a call about migrations of a server, and replace their ids by those that the pod has, and back."""

    def prepare(self, call: Call, route: Route) -> Call:
        """Replace the id of a migration in the path.

        :raises NotFound: the id is that of a migration in another pod
        """
        migration_id = call.params.get('id')
        if migration_id is None or not migration_id.isdecimal():
            return call
        found = bottom_number(call, migration_id)
        if found is None or found[0].id != route.pod.id:
            raise exception.NotFound(f'Migration {migration_id} not found for instance {call.id}')
        return replace(call, path=replace_segment(call.path, migration_id, str(found[1])))

    def translate(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """Replace the ids of migrations in an answer."""
        document = answer.json
        if not isinstance(document, dict):
            return answer
        names = names_of(call, pod)
        for item in json_body.objects(document.get('migrations') or [document.get('migration')]):
            MIGRATION.up(item, pod, names)
        return replace(answer, body=dump_json(document))

    def translate_refusal(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        migration_id = call.params.get('id', '')
        found = bottom_number(call, migration_id)
        return answer if found is None else renumber_refusal(answer, MIGRATION.title, found[1], migration_id)


_OF_SERVER = ForwardMigration(SERVER)
_PATH = '/servers/{server_id}/migrations'

OPERATIONS = [
    Operation(
        'migrations.list',
        'GET',
        '/os-migrations',
        ListMigrations(
            MIGRATION,
            AdminPaging((2, 59), 'migrations_links', marker='uuid', newest_first='created_at'),
            named=('host', 'source_compute'),
        ),
    ),
    Operation('server_migrations.list', 'GET', _PATH, _OF_SERVER, min_version=(2, 23)),
    Operation('server_migrations.show', 'GET', _PATH + '/{id}', _OF_SERVER, min_version=(2, 23)),
    Operation('server_migrations.delete', 'DELETE', _PATH + '/{id}', _OF_SERVER, min_version=(2, 24)),
    Operation(
        'server_migrations.action.force_complete',
        'POST',
        _PATH + '/{id}/action',
        _OF_SERVER,
        action='force_complete',
        min_version=(2, 22),
    ),
    Operation('server_migrations.action', 'POST', _PATH + '/{id}/action', ForwardToAny()),
]
