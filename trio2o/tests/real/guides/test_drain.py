# SPDX-License-Identifier: Apache-2.0
"""A real pod with the servers and volumes of a project is emptied by drains, as the administrator's guide says."""

from trio2o.tests.fixtures.real_moves import SECONDS, RealMovesCase
from trio2o.tests.fixtures.waiting import wait_until

ZONE = 'az2'
DRAIN = ('trio2o', 'pod', 'drain', 'Pod2')


class DrainTest(RealMovesCase):
    def delete_all(self):
        """Delete what the project has, wherever it is."""
        compute, storage = self.user.compute, self.user.block_storage
        for listed, delete in (
            (compute.servers, self.operator.compute.delete_server),
            (storage.snapshots, storage.delete_snapshot),
            (storage.volumes, storage.delete_volume),
        ):
            for each in listed():
                delete(each.id)
            wait_until(lambda listed=listed: not list(listed()), SECONDS, f'{listed} is not empty', 0.2)

    def make_volumes(self, count, **more):
        """Return the ids of new volumes."""
        storage = self.user.block_storage
        made = [storage.create_volume(size=1, availability_zone=ZONE, name=f'v{at}', **more) for at in range(count)]
        return [storage.wait_for_status(each, 'available', interval=0.2, wait=SECONDS).id for each in made]

    def begin_server(self, name, image_id=None, volumes=(), networks='none'):
        """Return a server that is being built.

        :param volumes: the ids of volumes, the first of which it boots from without an image
        """
        disks = [] if image_id is None else [('image', image_id, 'local')]
        disks += [('volume', each, 'volume') for each in volumes]
        devices = [
            {'source_type': source, 'uuid': id_, 'destination_type': kind, 'boot_index': -1 if at else 0}
            for at, (source, id_, kind) in enumerate(disks)
        ]
        given = {} if image_id is None else {'image_id': image_id}
        compute = self.user.compute
        return compute.create_server(
            name=name,
            flavor_id=self.flavor_id,
            availability_zone=ZONE,
            networks=networks,
            block_device_mapping=devices,
            **given,
        )

    def await_servers(self, servers):
        """Return the ids of servers when they are built."""
        compute = self.user.compute
        return [compute.wait_for_server(each, interval=0.2, wait=SECONDS).id for each in servers]

    def until_status(self, server, status):
        compute = self.user.compute
        wait_until(lambda: compute.get_server(server).status == status, SECONDS, f'{server} is not {status}', 0.2)

    def shown(self):
        """Return what the project sees of its servers and volumes, but for what a move may change."""
        servers = {
            each.id: (
                each.name,
                each.status,
                each.is_locked,
                each.created_at,
                sorted(volume['id'] for volume in each.attached_volumes),
                {name: [address['addr'] for address in found] for name, found in each.addresses.items()},
            )
            for each in self.user.compute.servers()
        }
        volumes = {
            each.id: (each.name, each.status, each.is_bootable, each.created_at)
            for each in self.user.block_storage.volumes()
        }
        return servers, volumes

    def checksums(self, servers, volumes):
        found = {each: self.disk('root', each).checksum() for each in servers}
        return found | {each: self.disk('volume', each).checksum() for each in volumes}

    def drain(self, *more):
        """Drain the pod unattended. :returns: what stays in it: type, state and ids -> reason"""
        words = ('--move', '--zone', 'az1', '--parallel', '8', '--confirm-after', '0', *more)
        rows = self.admin.openstack(*DRAIN, *words, '--wait', '--timeout', str(SECONDS))
        reported = self.admin.openstack(*DRAIN, '--status')
        self.assertEqual(rows, reported)
        return {(row['Type'], row['State'], *row['Resources']): row['Reason'] for row in rows}

    def test_pod_is_emptied_by_drains_and_deleted(self):
        limits = ('--instances', '20', '--cores', '20', '--volumes', '20')
        self.admin.do('quota', 'set', *limits, self.stage.project)
        compute = self.user.compute
        image_id = self.user.image.find_image('cirros').id
        network = self.user.network.find_network('private').id
        self.flavor_id = compute.find_flavor(self.stage.flavor).id
        self.addCleanup(self.delete_all)
        boots, data = self.make_volumes(4, image_id=image_id), self.make_volumes(3)
        detached, copied = self.make_volumes(2), self.make_volumes(1)
        begun = [self.begin_server(f'boots-{at}', volumes=[each]) for at, each in enumerate(boots)]
        begun += [self.begin_server(f'data-{at}', image_id, [each]) for at, each in enumerate(data)]
        begun.append(self.begin_server('port', image_id, networks=[{'uuid': network}]))
        begun += [self.begin_server(name, image_id) for name in ('locked', 'off', 'paused', 'plain')]
        servers = self.await_servers(begun)
        locked, off, paused, _plain = servers[-4:]
        compute.lock_server(locked)
        compute.stop_server(off)
        compute.pause_server(paused)
        snapshot = self.user.block_storage.create_snapshot(volume_id=copied[0], name='s')
        for server, status in ((off, 'SHUTOFF'), (paused, 'PAUSED')):
            self.until_status(server, status)
        volumes = [*boots, *data, *detached, *copied]
        for each in volumes:
            self.disk('volume', each).write(each.encode())
        for each in servers[4:]:
            self.disk('root', each).write(each.encode())
        before, checksums = self.shown(), self.checksums(servers[4:], volumes)
        self.assertEqual((12, 10), tuple(map(len, before)))

        stays = self.drain()
        wanted = {
            ('server', 'refused', paused): 'The server is PAUSED',
            ('volume', 'refused', *copied): 'The volume has snapshots',
            ('snapshot', '', snapshot.id): 'Moves take servers and volumes only',
        }
        self.assertEqual(wanted.keys(), stays.keys(), stays)
        for key, text in wanted.items():
            self.assertIn(text, stays[key])
        self.assertEqual(before, self.shown())
        self.assertIn('still holds 3 resources', self.admin.fails('trio2o', 'pod', 'delete', 'Pod2'))

        compute.unpause_server(paused)
        self.user.block_storage.delete_snapshot(snapshot)
        self.until_status(paused, 'ACTIVE')
        self.user.block_storage.wait_for_delete(snapshot, interval=0.2, wait=SECONDS)
        before = self.shown()
        self.assertEqual({}, self.drain('--canary', '0'))
        self.addCleanup(self.lab.register_pods)
        self.admin.do('trio2o', 'pod', 'delete', 'Pod2')
        self.assertEqual(before, self.shown())
        self.assertEqual(checksums, self.checksums(servers[4:], volumes))
        counts = {where: len(ids) for where, ids in self.things().items() if ids}
        self.assertEqual({('Pod1', 'server'): len(servers), ('Pod1', 'volume'): len(volumes)}, counts)
