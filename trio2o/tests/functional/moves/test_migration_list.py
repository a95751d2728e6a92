# SPDX-License-Identifier: Apache-2.0
"""Moves of servers in Nova's list of migrations, for administrators."""

import datetime

from trio2o.db import moves
from trio2o.moves import planner
from trio2o.tests.functional.moves.base import MovesCase

HOST = 'Pod2@pod2-compute-1'
#: What Nova's schema of the answer requires, and allows beside ``links``.
FIELDS = {
    'created_at',
    'dest_compute',
    'dest_host',
    'dest_node',
    'id',
    'instance_uuid',
    'new_instance_type_id',
    'old_instance_type_id',
    'source_compute',
    'source_node',
    'status',
    'updated_at',
}


class TestMigrations(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def list(self, query='', version='2.80', as_='admin'):
        answer = self.cloud.nova.get(f'/os-migrations{query}', version=version, as_=as_)
        self.assertEqual(200, answer.status, answer.text)
        return answer['migrations']

    def migrate(self, server):
        body = {'migrate': {'host': HOST}}
        answer = self.cloud.nova.post(f'/servers/{server}/action', body, as_=('admin', 'demo'), version='2.94')
        self.assertEqual(202, answer.status, answer.text)
        return next(move.id for move in moves.list_(self.db) if move.resource_id == server)

    def test_move_is_shown_as_cold_migration(self):
        server = self.server()
        move = moves.get(self.db, self.migrate(server))
        (shown,) = self.list()
        self.assertEqual(FIELDS | {'migration_type', 'uuid', 'project_id', 'user_id'}, shown.keys())
        self.assertEqual(
            (server, 'migration', 'pre-migrating', 'Pod1@pod1-compute-1', HOST, None),
            tuple(
                shown[name]
                for name in (
                    'instance_uuid',
                    'migration_type',
                    'status',
                    'source_compute',
                    'dest_compute',
                    'dest_node',
                )
            ),
        )
        self.assertEqual((move.project_id, move.user_id), (shown['project_id'], shown['user_id']))
        self.assertEqual(0, shown['id'] % 1000)
        self.run_move(move.id, until='switched')
        (later,) = self.list()
        self.assertEqual(shown['uuid'], later['uuid'])
        self.assertEqual(HOST, later['dest_compute'])
        self.assertIsNotNone(later['dest_node'])

    def test_versions_show_what_nova_shows_in_them(self):
        self.migrate(self.server())
        for version, more in (
            ('2.1', set()),
            ('2.23', {'migration_type'}),
            ('2.59', {'migration_type', 'uuid'}),
            ('2.80', {'migration_type', 'uuid', 'project_id', 'user_id'}),
        ):
            (shown,) = self.list(version=version)
            self.assertEqual(FIELDS | more, shown.keys(), version)

    def test_status_follows_the_move(self):
        server, other = self.server(), self.server()
        move_id = self.start('server', server)
        self.run_move(move_id, until='built')
        self.assertEqual(['post-migrating'], [each['status'] for each in self.list()])
        self.run_move(move_id, until='switched')
        self.assertEqual(['finished'], [each['status'] for each in self.list()])
        moves.confirm(self.db, move_id, self._job(move_id))
        self.assertEqual(['confirming'], [each['status'] for each in self.list()])
        self.run_move(move_id)
        self.assertEqual(['confirmed'], [each['status'] for each in self.list()])
        move_id = self.start('server', other)
        self.run_move(move_id, until='copied')
        self.assertEqual(['migrating', 'confirmed'], [each['status'] for each in self.list()])
        moves.stuck(self.db, moves.get(self.db, move_id), 'no room')
        self.assertEqual([other], self._servers('?status=error'))
        moves.cancel(self.db, move_id, self._job(move_id))
        self.assertEqual([other], self._servers('?status=reverting'))
        self.run_move(move_id)
        self.assertEqual([other], self._servers('?status=reverted'))
        self.assertEqual([], self._servers('?status=migrating'))

    def _job(self, move_id):
        return planner.job_of(self.cloud.runtime, moves.get(self.db, move_id))

    def _servers(self, query, **options):
        return [each['instance_uuid'] for each in self.list(query, **options)]

    def test_queries_select_moves(self):
        server = self.server()
        self.migrate(server)
        project = moves.list_(self.db)[0].project_id
        user = self.list()[0]['user_id']
        for query in (
            f'?instance_uuid={server}',
            '?host=Pod1@pod1-compute-1',
            '?host=pod1-compute-1',
            '?host=Pod2@pod2-compute-1',
            '?source_compute=Pod1@pod1-compute-1',
            '?migration_type=migration',
            '?status=pre-migrating',
            '?hidden=0',
            f'?user_id={user}',
            f'?project_id={project}',
            '?changes-since=2020-01-01T00:00:00Z',
            '?changes-before=2120-01-01T00:00:00Z',
        ):
            self.assertEqual([server], self._servers(query), query)
        for query in (
            f'?instance_uuid={project}',
            '?host=Pod1@pod2-compute-1',
            '?host=Pod2@pod1-compute-1',
            '?host=other',
            '?source_compute=Pod2@pod2-compute-1',
            '?migration_type=resize',
            '?status=finished',
            '?hidden=1',
            '?user_id=other',
            '?project_id=other',
            '?changes-since=2120-01-01T00:00:00Z',
            '?changes-before=2020-01-01T00:00:00Z',
        ):
            self.assertEqual([], self._servers(query), query)
        # Nova does not know these yet.
        self.assertEqual([server], self._servers('?changes-since=2120-01-01T00:00:00Z', version='2.58'))

    def test_pages_have_moves_between_migrations_of_pods(self):
        servers = [self.server() for _ in range(3)]
        for pod in ('Pod1', 'Pod2'):
            nova = self.cloud.pod(pod).nova
            nova.migrations = [
                {'id': number, 'uuid': nova.new_id(), 'instance_uuid': servers[0], 'created_at': moment}
                for number, moment in enumerate(self._times(), 1)
            ]
        for server in servers:
            self.start('server', server)
        whole = self.list()
        self.assertEqual(9, len(whole))
        self.assertEqual(9, len({each['id'] for each in whole}))
        self.assertEqual([True, True] + [False] * 3 + [True] * 4, [each['id'] % 1000 != 0 for each in whole])
        for limit in (1, 2, 3, 4, 8, 9):
            found, path = [], f'/os-migrations?limit={limit}'
            while path:
                answer = self.cloud.nova.get(path, version='2.80', as_='admin')
                found += answer['migrations']
                links = answer.json.get('migrations_links')
                path = links and links[0]['href']
            self.assertEqual(whole, found, limit)

    def _times(self):
        now = datetime.datetime.now(datetime.UTC)
        return [now + datetime.timedelta(hours=hours) for hours in (-2, -1, 1)]

    def test_volumes_are_no_migrations(self):
        self.move('volume', self.volume(), confirm_seconds=0)
        self.assertEqual([], self.list())

    def test_others_than_admins_are_refused_as_by_pods(self):
        self.migrate(self.server())
        self.assertEqual(403, self.cloud.nova.get('/os-migrations', version='2.80').status)

    def test_manager_of_project_sees_moves_without_hosts(self):
        server = self.server()
        self.migrate(server)
        for pod in ('Pod1', 'Pod2'):
            nova = self.cloud.pod(pod).nova
            self.patch(nova, 'admin_only', lambda request, rule: None)
        project = moves.list_(self.db)[0].project_id
        (shown,) = self.list(f'?project_id={project}', as_='demo')
        hosts = ('source_compute', 'source_node', 'dest_compute', 'dest_node', 'dest_host')
        self.assertEqual((server, {None}), (shown['instance_uuid'], {shown[name] for name in hosts}))
        self.assertEqual([], self.list('?project_id=other', as_='demo'))
        self.assertEqual([], self.list(as_='alt'))

    def test_server_that_moves_has_no_migration_in_progress(self):
        server = self.server()
        move_id = self.migrate(server)
        (shown,) = self.list()
        for state in (None, 'switched'):
            if state:
                self.run_move(move_id, until=state)
            path = f'/servers/{server}/migrations'
            self.assertEqual([], self.cloud.nova.get(path, version='2.80', as_='admin')['migrations'])
            answer = self.cloud.nova.get(f'{path}/{shown["id"]}', version='2.80', as_='admin')
            self.assertEqual(404, answer.status, answer.text)
