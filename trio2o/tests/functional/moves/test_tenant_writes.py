# SPDX-License-Identifier: Apache-2.0
"""Writes to a resource that moves, and creates that name it: 409 for all rows of both services."""

from trio2o import cinder_apigw, nova_apigw
from trio2o.gateway.handlers.forward import Forward
from trio2o.lab.emulated.cinder import backups, groups
from trio2o.resources import SERVER, VOLUME
from trio2o.tests.functional.moves.base import TenantCase
from trio2o.tests.functional.operations.base import version_of

SERVICES = {'nova': nova_apigw.SERVICE, 'cinder': cinder_apigw.SERVICE}
#: These read, or delete the server, which cancels its move.
ALLOWED = {
    'servers.action.forceDelete',
    'servers.action.os-getConsoleOutput',
    'servers.delete',
    'volumes.action.os-show_image_metadata',
    'volumes_boot.delete',
}


class WritesCase(TenantCase):
    def setUp(self):
        super().setUp()
        self.volume_id = self.volume()
        self.server_id = self.server(volumes=[self.volume_id])
        self.move_id = self.start('server', self.server_id)

    def assert_refused(self, client, method, path, body=None, version=None, who=('demo', ('admin', 'demo'))):
        for each in who:
            answer = client.request(method, path, body, as_=each, version=version)
            self.assertEqual(409, answer.status, (method, path, answer.text))
            self.assertIn(self.move_id, answer.fault)


class TestRows(WritesCase):
    def test_each_write_below_a_resource_that_moves_is_refused(self):
        allowed, refused = set(), set()
        ids = {SERVER.type: self.server_id, VOLUME.type: self.volume_id}
        clients = {'nova': self.cloud.nova, 'cinder': self.cloud.cinder}
        for name, service in SERVICES.items():
            for row in service.operations:
                if row.method == 'GET' or not isinstance(row.handler, Forward) or row.handler.resource.type not in ids:
                    continue
                if row.name in ALLOWED:
                    allowed.add(row.name)
                    continue
                head, _brace, rest = row.path.partition('{')
                rest = rest.partition('}')[2].replace('{id}', 'key')
                body = {row.action: None} if row.action else {} if row.method in ('POST', 'PUT') else None
                with self.subTest(row=row.name):
                    path = head + ids[row.handler.resource.type] + rest
                    self.assert_refused(clients[name], row.method, path, body, version_of(name, row))
                refused.add(row.name)
        self.assertEqual(ALLOWED, allowed)
        self.assertGreater(len(refused), 90)
        writes = {'POST', 'PUT', 'DELETE', 'PATCH'}
        sent = [
            each.path for pod in self.cloud.lab.pods.values() for each in pod.nova.requests if each.method in writes
        ]
        self.assertEqual([], [path for path in sent if path.endswith('/action')])


class TestNamed(WritesCase):
    """Requests that name a resource that moves in their bodies."""

    def test_nova_refuses_volume_that_moves(self):
        nova, volume, flavor = self.cloud.nova, self.volume_id, next(iter(self.cloud.pod('Pod1').nova.flavors))
        server = {'name': 'x', 'flavorRef': flavor, 'networks': 'none'}
        device = {'uuid': volume, 'source_type': 'volume', 'destination_type': 'volume', 'boot_index': 0}
        legacy = {'volume_id': volume, 'device_name': 'vda'}
        calls = (
            ('/servers', {'server': {**server, 'block_device_mapping_v2': [device]}}, '2.90'),
            ('/servers', {'server': {**server, 'block_device_mapping': [legacy]}}, '2.36'),
            ('/os-volumes_boot', {'server': {**server, 'block_device_mapping_v2': [device]}}, '2.90'),
            ('/os-snapshots', {'snapshot': {'volume_id': volume, 'force': True}}, '2.35'),
        )
        for path, body, version in calls:
            self.assert_refused(nova, 'POST', path, body, version)

    def test_cinder_refuses_volume_and_server_that_move(self):
        cinder, volume, other = self.cloud.cinder, self.volume_id, self.volume()
        calls = (
            ('/attachments', {'attachment': {'volume_uuid': volume, 'instance_uuid': self.server_id}}, '3.70'),
            ('/attachments', {'attachment': {'volume_uuid': other, 'instance_uuid': self.server_id}}, '3.70'),
            ('/volume-transfers', {'transfer': {'volume_id': volume}}, '3.70'),
            ('/os-volume-transfer', {'transfer': {'volume_id': volume}}, '3.70'),
            (f'/volumes/{other}/action', {'os-attach': {'instance_uuid': self.server_id, 'mountpoint': '/x'}}, '3.70'),
        )
        for path, body, version in calls:
            self.assert_refused(cinder, 'POST', path, body, version)

    def test_backup_is_not_restored_to_volume_that_moves(self):
        pod = self.cloud.pod('Pod1').cinder
        backup = backups.add(pod, pod.volumes[self.volume_id])['id']
        body = {'restore': {'volume_id': self.volume_id}}
        self.assert_refused(self.cloud.cinder, 'POST', f'/backups/{backup}/restore', body)

    def test_group_does_not_take_volume_that_moves(self):
        pod = self.cloud.pod('Pod1').cinder
        volume = pod.volumes[self.volume_id]
        group = groups.add(pod, volume['project_id'], volume['user_id'])['id']
        body = {'group': {'add_volumes': self.volume_id}}
        self.assert_refused(self.cloud.cinder, 'PUT', f'/groups/{group}', body, '3.70')

    def test_service_may_not_snapshot_volume_that_moves(self):
        create_info = {'snapshot_id': self.volume_id, 'type': 'qcow2', 'new_file': 'f'}
        body = {'snapshot': {'volume_id': self.volume_id, 'create_info': create_info}}
        self.assert_refused(self.cloud.nova, 'POST', '/os-assisted-volume-snapshots', body, who=('admin',))

    def test_other_project_learns_nothing_of_the_move(self):
        body = {'attachment': {'volume_uuid': self.volume(as_='alt'), 'instance_uuid': self.server_id}}
        answer = self.cloud.cinder.post('/attachments', body, as_='alt', version='3.70')
        self.assertNotIn(self.move_id, answer.text)
        body = {'volumeAttachment': {'volumeId': self.volume_id}}
        answer = self.cloud.nova.post(f'/servers/{self.server(as_="alt")}/os-volume_attachments', body, as_='alt')
        self.assertNotIn(self.move_id, answer.text)
        self.assertEqual(404, answer.status, answer.text)


class TestCopies(WritesCase):
    """Requests that name the copy that a move has made in the target, whose id no answer shows."""

    def setUp(self):
        super().setUp()
        other = self.server(zone='az2')
        self.run_move(self.move_id, after='server')
        self.copy = self.ledger(self.move_id)[f'target/volume/{self.volume_id}'].bottom_id
        self.attach = (f'/servers/{other}/os-volume_attachments', {'volumeAttachment': {'volumeId': self.copy}})

    def test_copy_is_not_used(self):
        cinder = (
            ('/snapshots', {'snapshot': {'volume_id': self.copy, 'force': True}}),
            ('/backups', {'backup': {'volume_id': self.copy, 'force': True}}),
            ('/volumes', {'volume': {'size': 1, 'source_volid': self.copy}}),
            ('/volume-transfers', {'transfer': {'volume_id': self.copy}}),
            (f'/volumes/{self.copy}/action', {'os-extend': {'new_size': 5}}),
        )
        before = self.inventory('Pod2')
        for client, calls in ((self.cloud.nova, [self.attach]), (self.cloud.cinder, cinder)):
            for path, body in calls:
                for who in ('demo', ('admin', 'demo'), 'alt'):
                    answer = client.post(path, body, as_=who, version='3.70' if client is self.cloud.cinder else None)
                    self.assertEqual(404, answer.status, (path, who, answer.text))
        self.assertEqual(before, self.inventory('Pod2'))
        self.assertEqual(404, self.cloud.cinder.delete(f'/volumes/{self.copy}').status)
        found = self.cloud.cinder.get('/attachments', query={'volume_id': self.copy}, version='3.70')
        self.assertEqual([], found.json.get('attachments', []))
