# SPDX-License-Identifier: Apache-2.0
"""Migrations of all pods, for admins, and migrations of one server. Both show a migration under the same id."""

from __future__ import annotations

from dataclasses import replace

from trio2o import exception
from trio2o.gateway.admin.ids import MAX_DIGITS, AdminResource, bottom_number, renumber_refusal, top_number
from trio2o.gateway.admin.lists import AdminList, AdminPaging
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.gateway.translate import PodNames, replace_segment
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, Item
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
