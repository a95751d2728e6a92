# SPDX-License-Identifier: Apache-2.0
"""Moves of a project's servers and volumes between two real pods, as operators and tenants see them."""

import unittest

import fixtures

from trio2o.moves.compare import EXCUSED
from trio2o.tests.fixtures.real import Client, RealGateway, connect, new_project, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

PODS = ('Pod1', 'Pod2')
SECONDS = 180
MORE = """
[moves]
poll_seconds = 0.3

[xjob]
scan_interval = 0.3
"""
#: Fields that an admin's ``show`` has and that differ between pods of two releases.
_BY_RELEASE = {'pinned_availability_zone', 'scheduler_hints', 'properties'}


class Stage(fixtures.Fixture):
    def _setUp(self):
        self.lab = real_lab()
        self.lab.start()
        self.gateway = self.useFixture(RealGateway(self.lab, more=MORE))
        # Other tests use that of demo meanwhile.
        self.project, _project_id = new_project(self.lab, 'moves')
        self.cloud = Client(self.lab, OS_USERNAME=self.project, OS_PROJECT_NAME=self.project)
        self.admin = Client(self.lab, 'admin')
        self.pods = {name: Client(self.lab, 'admin', name) for name in PODS}
        self.flavor = temporary_name('move')
        self.admin.openstack('flavor', 'create', self.flavor, '--ram', '128', '--disk', '1', '--vcpus', '1')


class RealMoveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stage = Stage()
        cls.stage.setUp()
        cls.addClassCleanup(cls.stage.cleanUp)
        cls.cloud, cls.admin, cls.pods, cls.lab = cls.stage.cloud, cls.stage.admin, cls.stage.pods, cls.stage.lab

    # -- what there is --

    def volume(self, *more):
        name = temporary_name('volume')
        made = self.cloud.openstack('volume', 'create', name, '--size', '1', '--availability-zone', 'az1', *more)
        self.cloud.until('volume', name, 'available')
        # Volumes count until they are gone, and the next test compares the usage.
        self.addCleanup(self.cloud.until_gone, 'volume', name)
        self.addCleanup(self.cloud.do, 'volume', 'delete', name)
        return made['id']

    def server(self, *more):
        name = temporary_name('server')
        words = ('--os-compute-api-version', '2.90', 'server', 'create', name, '--flavor', self.stage.flavor)
        made = self.cloud.openstack(*words, '--availability-zone', 'az1', *more)
        self.cloud.until('server', name, 'active')
        self.addCleanup(self.cloud.do, 'server', 'delete', '--wait', name)
        return made['id']

    def place(self, resource):
        """Return the pod of a resource, and its id in it."""
        (row,) = self.admin.openstack(
            'trio2o', 'routing', 'list', '--resource', resource, '--state', 'active', '--long'
        )
        return row['Pod'], row['In The Pod']

    def disk(self, kind, resource):
        pod, bottom_id = self.place(resource)
        return self.lab.disk(kind, bottom_id, pod)

    def show(self, server):
        """Return all that an admin sees of a server."""
        answer = connect(self.lab, 'admin').compute.get(f'/servers/{server}', microversion='2.90')
        self.assertEqual(200, answer.status_code, answer.text)
        return answer.json()['server']

    def things(self):
        """Return the ids of what each pod has of the project and of Trio2o's, and of the images that moves made."""
        found = {}
        for name, pod in self.pods.items():
            for what in ('server', 'volume', 'volume snapshot'):
                rows = pod.openstack(*what.split(), 'list', '--project', self.stage.project)
                found[name, what] = {row['ID'] for row in rows}
            for what in ('volume', 'volume snapshot'):
                rows = pod.openstack(*what.split(), 'list', '--project', 'service')
                found[name, f'{what} of Trio2o'] = {row['ID'] for row in rows}
        rows = self.admin.openstack('image', 'list')
        found['images'] = {row['ID'] for row in rows if 'image/' in row['Name'] or 'check/' in row['Name']}
        return found

    def usage(self):
        rows = self.cloud.openstack('limits', 'show', '--absolute')
        return {row['Name']: row['Value'] for row in rows if row['Name'].startswith('total')}

    # -- moves --

    def move(self, kind, resource, pod):
        """Move a resource with the stock client, and confirm it."""
        words = ('trio2o', 'move', 'create', f'--{kind}', resource, '--target-pod', pod)
        plan = self.admin.openstack(*words, '--dry-run')
        self.assertNotIn('blocker', {finding['level'] for finding in plan['findings']}, plan)
        move = self.admin.openstack(*words, '--wait', '--timeout', str(SECONDS))
        self.assertEqual('switched', move['status'], move)
        self.admin.do('trio2o', 'move', 'confirm', move['id'])
        move = self.admin.openstack('trio2o', 'move', 'show', '--watch', move['id'], '--timeout', str(SECONDS))
        self.assertEqual('confirmed', move['status'], move)

    def same(self, before, after):
        ignored = EXCUSED | _BY_RELEASE | {'os-extended-volumes:volumes_attached'}
        different = {
            name: (before[name], after[name])
            for name in before.keys() & after.keys() - ignored
            if before[name] != after[name]
        }
        self.assertEqual({}, different)

    def there_and_back(self, server, volumes, check):
        wanted = {'total_instances_used': 1, 'total_volumes_used': len(volumes)}
        # A deletion by the test before counts until a job has seen that it is complete.
        wait_until(lambda: wanted.items() <= self.usage().items(), SECONDS, lambda: f'{self.usage()}', 0.5)
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
