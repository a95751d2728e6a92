# SPDX-License-Identifier: Apache-2.0
"""Nova's own verbs: an administrator migrates a server to a host in another pod, and confirms or reverts."""

from trio2o.db import moves
from trio2o.tests.functional.moves.base import MovesCase

HOST = 'Pod2@pod2-compute-1'


class TestMigrate(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def act(self, server, status, as_=('admin', 'demo'), version='2.94', **body):
        answer = self.cloud.nova.post(f'/servers/{server}/action', body, as_=as_, version=version)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def migrate(self):
        """Migrate a server to Pod2. :returns: its id, and that of the move, which has switched"""
        server = self.server()
        self.act(server, 202, migrate={'host': HOST})
        (move,) = moves.list_(self.db, is_active=True)
        self.run_move(move.id, until='switched')
        return server, move.id

    def test_migrated_server_is_verified_and_confirmed(self):
        server, move_id = self.migrate()
        self.assertEqual('VERIFY_RESIZE', self.show(server)['status'])
        self.assertEqual('VERIFY_RESIZE', self.cloud.nova.get('/servers/detail')['servers'][0]['status'])
        host = self.cloud.nova.get(f'/servers/{server}', as_='admin')['server']['OS-EXT-SRV-ATTR:host']
        self.assertIn('pod2-compute-1', host)
        self.act(server, 204, confirmResize=None)
        self.assertEqual('confirmed', self.run_move(move_id).status)
        self.assertEqual(('Pod2', 'ACTIVE'), (self.place('server', server)[0], self.show(server)['status']))
        self.assertEqual(set(), self.inventory('Pod1')['servers'])

    def test_migrated_server_is_reverted(self):
        server, move_id = self.migrate()
        self.act(server, 202, revertResize=None)
        self.assertEqual('reverted', self.run_move(move_id).status)
        self.assertEqual(('Pod1', server), self.place('server', server))
        self.assertEqual('ACTIVE', self.show(server)['status'])
        self.assertEqual(set(), self.inventory('Pod2')['servers'])

    def test_migration_with_blockers_is_refused(self):
        server = self.server(networks='auto')
        refusal = self.act(server, 400, migrate={'host': HOST})
        self.assertIn('Neutron', refusal.fault)
        self.assertEqual([], moves.list_(self.db))

    def test_server_that_is_migrated_is_not_migrated_again(self):
        server = self.server()
        self.act(server, 202, migrate={'host': HOST})
        self.act(server, 409, migrate={'host': HOST})
        self.act(server, 409, confirmResize=None)

    def test_tenant_cannot_migrate_to_another_pod(self):
        server = self.server()
        answer = self.cloud.nova.post(f'/servers/{server}/action', {'migrate': {'host': HOST}}, version='2.94')
        self.assertIn(answer.status, (400, 403), answer.text)
        self.assertNotIn('moved', answer.text)
        self.assertEqual([], moves.list_(self.db))

    def test_tenant_cannot_end_migration_of_an_administrator(self):
        server, move_id = self.migrate()
        self.act(server, 409, as_='demo', confirmResize=None)
        self.assertEqual('switched', moves.get(self.db, move_id).status)
