# SPDX-License-Identifier: Apache-2.0
"""Moves from their plan to their end: ids, bytes and fields stay, and nothing is left in the source."""

from trio2o.db import moves
from trio2o.tests.functional.moves.base import MovesCase


class TestServer(MovesCase):
    def test_server_with_local_disk_and_volumes_keeps_ids_and_bytes(self):
        volumes = [self.volume(name='data'), self.volume(name='logs', metadata={'a': 'b'})]
        server = self.server(volumes=volumes, metadata={'role': 'db'}, tags=['x'], description='d')
        root = self.disk('root', server)
        root.write(b'written by the guest')
        written = root.read()
        for volume in volumes:
            self.disk('volume', volume).write(volume.encode())
        checksums = [self.disk('volume', volume).checksum() for volume in volumes]
        before = self.show(server)
        self.move('server', server)
        self.assertEqual('Pod2', self.place('server', server)[0])
        self.assertEqual(written, self.disk('root', server).read())
        self.assertEqual(checksums, [self.disk('volume', volume).checksum() for volume in volumes])
        after = self.show(server)
        for name in ('id', 'name', 'metadata', 'tags', 'description', 'flavor', 'status'):
            self.assertEqual(before[name], after[name], name)
        left = self.inventory('Pod1')
        self.assertEqual((set(), set(), set()), (left['servers'], left['volumes'], left['snapshots']))
        self.assertEqual({self.cloud.lab.image['id']}, left['images'])

    def test_server_with_boot_volume_moves_there_and_back(self):
        boot = self.volume(name='boot', imageRef=self.cloud.lab.image['id'])
        server = self.server(volumes=[boot], is_boot_volume=True)
        checksum = self.disk('volume', boot).checksum()
        for pod in ('Pod2', 'Pod1'):
            self.move('server', server, pod)
            self.assertEqual(pod, self.place('server', server)[0])
            self.assertEqual(checksum, self.disk('volume', boot).checksum())
            self.assertEqual([{'id': boot, 'delete_on_termination': False}], self.volumes_of(server))
        left = self.inventory('Pod2')
        self.assertEqual((set(), set()), (left['servers'], left['volumes']))

    def volumes_of(self, server):
        return self.show(server)['os-extended-volumes:volumes_attached']

    def test_stopped_server_is_stopped_in_target(self):
        server = self.server()
        self.cloud.nova.post(f'/servers/{server}/action', {'os-stop': None})
        self.move('server', server)
        self.assertEqual('SHUTOFF', self.show(server)['status'])

    def test_locked_server_is_locked_in_target(self):
        server = self.server()
        self.cloud.nova.post(f'/servers/{server}/action', {'lock': {'locked_reason': 'mine'}}, version='2.73')
        self.move('server', server)
        shown = self.show(server)
        self.assertEqual((True, 'mine'), (shown['locked'], shown['locked_reason']))

    def test_key_pair_of_owner_reaches_target(self):
        key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJjS2gW8v7bBRrYKqHk0n7ZvZkR5p6m0h1cQm3r9dGdS'
        made = self.cloud.nova.post('/os-keypairs', {'keypair': {'name': 'k', 'public_key': key}}, version='2.10')
        self.assertIn(made.status, (200, 201), made.text)
        server = self.server(key_name='k')
        self.move('server', server)
        self.assertEqual(0, len([key for key in self.inventory('Pod2')['keypairs'] if 'trio2o' in str(key)]))


class TestVolume(MovesCase):
    def test_detached_volume_keeps_id_and_bytes(self):
        volume = self.volume(name='data', metadata={'a': 'b'}, description='d')
        checksum = self.disk('volume', volume).checksum()
        before = self.show_volume(volume)
        self.move('volume', volume)
        self.assertEqual('Pod2', self.place('volume', volume)[0])
        self.assertEqual(checksum, self.disk('volume', volume).checksum())
        after = self.show_volume(volume)
        for name in ('id', 'name', 'metadata', 'description', 'size', 'bootable', 'volume_type'):
            self.assertEqual(before[name], after[name], name)
        self.assertEqual('az2', after['availability_zone'])
        self.assertEqual(set(), self.inventory('Pod1')['volumes'])


class TestRevert(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def test_switched_move_is_reverted(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        before = {name: self.inventory(name) for name in ('Pod1', 'Pod2')}
        move = self.run_move(self.start('server', server), until='switched')
        self.assertEqual('Pod2', self.place('server', server)[0])
        moves.revert(self.db, move.id)
        self.assertEqual('reverted', self.run_move(move.id).status)
        self.assertEqual(('Pod1', server), self.place('server', server))
        self.assertEqual('ACTIVE', self.show(server)['status'])
        self.assertEqual(before, {name: self.inventory(name) for name in ('Pod1', 'Pod2')})
