# SPDX-License-Identifier: Apache-2.0
"""Migrations of all pods, for admins, and migrations of one server. Both show a migration under the same id."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trio2o import exception
from trio2o.gateway.admin.ids import MAX_DIGITS, AdminResource, bottom_number, top_number
from trio2o.gateway.admin.lists import AdminList, AdminPaging
from trio2o.gateway.call_pod import names_of, send_to_route
from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.gateway.translate import PodNames
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Item
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


MIGRATION = MigrationKind('Migration', 'migration', 'migrations', 'Migration {id} could not be found.')


@dataclass(frozen=True)
class ForwardMigration:
    """Send the call to the pod of the server, and translate ids of migrations into numbers of that pod and back."""

    def __call__(self, call: Call) -> Answer:
        route = call.runtime.locator.find(call, SERVER, call.id)
        migration_id = call.params.get('id')
        if migration_id is not None and migration_id.isdecimal():
            found = bottom_number(call, migration_id)
            if found is None or found[0].id != route.pod.id:
                raise exception.NotFound(f'Migration {migration_id} not found for instance {call.id}')
            call = _with_migration_id(call, migration_id, found[1])
        answer = send_to_route(call, route, SERVER)
        document = answer.json if answer.is_ok else None
        if not isinstance(document, dict):
            return answer
        names = names_of(call, route.pod)
        for item in json_body.objects(document.get('migrations') or [document.get('migration')]):
            MIGRATION.up(item, route.pod, names)
        return replace(answer, body=dump_json(document))


def _with_migration_id(call: Call, top_id: str, bottom_id: int) -> Call:
    path = '/'.join(str(bottom_id) if segment == top_id else segment for segment in call.path.split('/'))
    return replace(call, path=path)


_OF_SERVER = ForwardMigration()
_PATH = '/servers/{server_id}/migrations'

OPERATIONS = [
    Operation(
        'migrations.list',
        'GET',
        '/os-migrations',
        AdminList(
            MIGRATION,
            AdminPaging((2, 59), 'migrations_links', marker='uuid', newest_first='created_at'),
            named=('host',),
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
