# SPDX-License-Identifier: Apache-2.0
"""Moves of a project's servers and volumes between two real pods, as operators and tenants see them."""

from trio2o.tests.fixtures.real import temporary_name
from trio2o.tests.fixtures.real_moves import SECONDS, RealMovesCase
from trio2o.tests.fixtures.waiting import wait_until


class RealMoveTest(RealMovesCase):
    def await_usage(self, volumes):
        """Wait until only one server and so many volumes count.

        A deletion by the test before counts until a job has seen that it is complete.
        """
        wanted = {'total_instances_used': 1, 'total_volumes_used': volumes}
        wait_until(lambda: wanted.items() <= self.usage().items(), SECONDS, lambda: f'{self.usage()}', 0.5)

    def there_and_back(self, server, volumes, check):
        self.await_usage(len(volumes))
        before, usage = self.show(server), self.usage()
        checksums = {volume: self.disk('volume', volume).checksum() for volume in volumes}
        for pod, zone in (('Pod2', 'az2'), ('Pod1', 'az1')):
            self.move('server', server, pod)
            after = self.show(server)
            self.assertEqual((pod, zone), (self.place(server)[0], after['OS-EXT-AZ:availability_zone']))
            self.same(before, after)
            self.assertEqual(usage, self.usage())
            attached = {volume['id'] for volume in after['os-extended-volumes:volumes_attached']}
            self.assertEqual(set(volumes), attached)
            self.assertEqual(checksums, {volume: self.disk('volume', volume).checksum() for volume in volumes})
            check()
            counts = {where: len(ids) for where, ids in self.things().items() if ids}
            self.assertEqual({(pod, 'server'): 1, (pod, 'volume'): len(volumes)}, counts)

    def test_server_with_local_disk_and_volumes_goes_there_and_back(self):
        volumes = [self.volume(), self.volume('--property', 'tier=gold')]
        server = self.server('--image', 'cirros', '--network', 'private', '--property', 'role=db')
        for volume in volumes:
            self.cloud.do('server', 'add', 'volume', server, volume)
            self.cloud.until('volume', volume, 'in-use')
            self.disk('volume', volume).write(volume.encode())
        self.disk('root', server).write(b'written by the guest')
        root = self.disk('root', server).checksum()

        (port,) = self.admin.openstack('port', 'list', '--device-id', server, '--long')

        def check():
            self.assertEqual(root, self.disk('root', server).checksum())
            # Nova created it, and would have deleted it with the server in the source.
            bound = self.admin.openstack('port', 'show', port['ID'])
            self.assertEqual((self.place(server)[1], 'ACTIVE'), (bound['device_id'], bound['status']))
            self.assertEqual(port['Fixed IP Addresses'], bound['fixed_ips'])

        self.there_and_back(server, volumes, check)

    def test_server_with_boot_volume_and_port_goes_there_and_back(self):
        volume = self.volume('--image', 'cirros', '--bootable')
        port = self.cloud.openstack('port', 'create', '--network', 'private', temporary_name('port'))
        self.addCleanup(self.cloud.do, 'port', 'delete', port['id'])
        server = self.server('--volume', volume, '--port', port['id'])
        bound = self.admin.openstack('port', 'show', port['id'])

        def check():
            now = self.admin.openstack('port', 'show', port['id'])
            for name in ('fixed_ips', 'mac_address', 'status', 'security_group_ids'):
                self.assertEqual(bound[name], now[name], name)
            self.assertEqual(self.place(server)[1], now['device_id'])

        self.there_and_back(server, [volume], check)

    def test_detached_volume_keeps_id_and_bytes(self):
        volume = self.volume('--property', 'a=b', '--description', 'd')
        checksum = self.disk('volume', volume).checksum()
        self.move('volume', volume, 'Pod2')
        self.assertEqual('Pod2', self.place(volume)[0])
        self.assertEqual(checksum, self.disk('volume', volume).checksum())
        shown = self.cloud.openstack('volume', 'show', volume)
        self.assertEqual((volume, 'az2', 'd'), (shown['id'], shown['availability_zone'], shown['description']))

    def test_undone_moves_leave_all_as_before(self):
        volume = self.volume()
        server = self.server('--image', 'cirros', '--network', 'private')
        self.cloud.do('server', 'add', 'volume', server, volume)
        self.cloud.until('volume', volume, 'in-use')
        for disk in (self.disk('volume', volume), self.disk('root', server)):
            disk.write(b'written by the guest')

        def state():
            (port,) = self.operator.network.ports(device_id=self.place(server)[1])
            disks = self.disk('volume', volume).checksum(), self.disk('root', server).checksum()
            return disks, self.things(), self.usage(), (port.id, port.status, port.binding_host_id, port.fixed_ips)

        self.await_usage(1)
        trio2o = self.operator.trio2o
        for power, verb in (('ACTIVE', 'cancel'), ('SHUTOFF', 'revert')):
            if power == 'SHUTOFF':
                self.user.compute.stop_server(server)
                self.cloud.until('server', server, power)
            before, was = self.show(server), state()
            self.assertEqual(power, before['status'])
            move = trio2o.create_move(server_id=server, target_pod='Pod2')
            # A cancel comes when the target has the volume, and builds the server with the port.
            at = f'server {server}' if verb == 'cancel' else 'wait for confirmation'
            self.until(move, lambda found, at=at: found.step == at)
            trio2o.steer_move(move, verb)
            move = self.until(move, lambda found: found.has_ended)
            self.assertEqual(('reverted', None), (move.status, move.error))
            self.same(before, self.show(server))
            self.assertEqual(was, state())
