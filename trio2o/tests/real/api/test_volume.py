# SPDX-License-Identifier: Apache-2.0
"""The Block Storage API over two real pods, as the stock clients and openstacksdk use it."""

import time
import unittest

import fixtures

from trio2o.tests.fixtures.real import (
    Client,
    CommandFailed,
    RealGateway,
    connect,
    new_project,
    real_lab,
    temporary_name,
)
from trio2o.tests.fixtures.waiting import wait_until

PODS = ('Pod1', 'Pod2')
ZONES = ('az1', 'az2')
SECONDS = 90


class Stage(fixtures.Fixture):
    """Shared by all tests: the gateway, and the clients of two projects and of an admin."""

    def _setUp(self):
        self.lab = real_lab()
        self.lab.start()
        self.other, self.other_id = new_project(self.lab, 'other')
        self.gateway = self.useFixture(RealGateway(self.lab))
        self.cloud, self.admin = Client(self.lab), Client(self.lab, 'admin')
        self.neighbour = Client(self.lab, OS_USERNAME=self.other, OS_PROJECT_NAME=self.other)
        self.pods = {name: Client(self.lab, 'admin', name) for name in PODS}
        self.flavor = temporary_name('volume')
        # Volumes count against the quota until their deletion has completed.
        self.admin.do('quota', 'set', '--volumes', '60', '--gigabytes', '200', '--snapshots', '60', 'demo')
        self.addCleanup(self.admin.do, 'quota', 'delete', '--volume', 'demo')
        self.admin.openstack('flavor', 'create', self.flavor, '--ram', '128', '--disk', '1', '--vcpus', '1')


class RealVolumeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stage = Stage()
        cls.stage.setUp()
        cls.addClassCleanup(cls.stage.cleanUp)
        cls.cloud, cls.admin, cls.pods = cls.stage.cloud, cls.stage.admin, cls.stage.pods
        cls.neighbour = cls.stage.neighbour

    def until(self, kind, name, status='available', client=None):
        """Wait until something has a status."""
        (client or self.cloud).until(kind, name, status, SECONDS)

    def show_when(self, kind, name, status='available'):
        """Wait as ``until`` does. :returns: what ``openstack ... show`` prints then"""
        return self.cloud.show_when(kind, name, status, SECONDS)

    def until_gone(self, kind, name):
        self.cloud.until_gone(kind, name, SECONDS)

    def volume(self, zone='az2', *more, name=None, client=None):
        """Create a volume. :returns: its name"""
        name = name or temporary_name('volume')
        client = client or self.cloud
        client.openstack('volume', 'create', name, '--size', '1', '--availability-zone', zone, *more)
        self.until('volume', name, client=client)
        self.addCleanup(self.drop, name, client)
        return name

    def drop(self, name, client=None):
        try:
            (client or self.cloud).do('volume', 'delete', name)
        except CommandFailed as failure:
            self.assertIn('No Volume found', str(failure))

    def names(self, client, *command):
        return [row['Name'] for row in client.openstack(*command, 'list')]

    # -- volumes --

    def test_server_boots_from_volume_and_volumes_are_attached(self):
        name = temporary_name('booted')
        words = ('--flavor', self.stage.flavor, '--image', 'cirros', '--network', 'private')
        before = {row['ID'] for row in self.cloud.openstack('volume', 'list')}
        self.cloud.openstack(
            'server', 'create', name, *words, '--boot-from-volume', '1', '--availability-zone', 'az2', '--wait'
        )
        self.addCleanup(self.cloud.do, 'server', 'delete', '--wait', name)
        rows = self.cloud.openstack('volume', 'list')
        (root,) = [row for row in rows if row['ID'] not in before]
        self.assertEqual('in-use', root['Status'])
        shown = self.cloud.openstack('volume', 'show', root['ID'])
        self.assertEqual(('az2', 'true'), (shown['availability_zone'], str(shown['bootable']).lower()))
        extra = self.volume()
        self.cloud.do('server', 'add', 'volume', name, extra)
        attached = self.show_when('volume', extra, 'in-use')
        server_id = self.cloud.openstack('server', 'show', name)['id']
        self.assertEqual(server_id, attached['attachments'][0]['server_id'])
        rows = self.cloud.openstack('volume', 'attachment', 'list')
        self.assertLessEqual({root['ID'], attached['id']}, {row['Volume ID'] for row in rows})
        attachment_id = next(row['ID'] for row in rows if row['Volume ID'] == attached['id'])
        self.assertEqual('attached', self.cloud.openstack('volume', 'attachment', 'show', attachment_id)['Status'])
        self.assertIn('400', self.cloud.fails('volume', 'delete', extra))
        self.assertEqual('ACTIVE', self.cloud.openstack('server', 'show', name)['status'])
        self.cloud.do('server', 'remove', 'volume', name, extra)
        self.until('volume', extra)
        far = self.volume('az1')
        said = self.cloud.fails('server', 'add', 'volume', name, far)
        self.assertIn('az1', said)
        self.assertIn('az2', said)

    def test_lists_are_sorted_paged_and_filtered(self):
        prefix = temporary_name('list')
        made = []
        for letter, zone in zip('cab', ('az1', 'az2', 'az1'), strict=True):
            made.append(self.volume(zone, '--property', f'set={prefix}', name=f'{prefix}-{letter}'))
            time.sleep(1)  # volumes of one second have no order in Cinder's database
        by_name = sorted(made)

        def listed(*words, client=self.cloud):
            printed = client.run('cinder', 'list', '--fields', 'name', *words)
            cells = [line.split('|')[2].strip() for line in printed.splitlines() if line.startswith('| ')]
            return [cell for cell in cells if cell.startswith(prefix)]

        wanted = ('--metadata', f'set={prefix}')
        self.assertEqual(by_name, listed('--sort', 'name:asc', *wanted))
        self.assertEqual(made[::-1], listed('--sort', 'created_at:desc', *wanted))
        self.assertEqual(by_name[:2], listed('--sort', 'name:asc', '--limit', '2', *wanted))
        marker = self.cloud.openstack('volume', 'show', by_name[0])['id']
        self.assertEqual(by_name[1:], listed('--sort', 'name:asc', '--marker', marker, *wanted))
        self.assertEqual(by_name[::-1], listed('--all-tenants', '1', '--sort', 'name:desc', client=self.admin))
        self.assertEqual(made[::-1], listed('--filters', 'created_at=gt:2020-01-01T00:00:00', '--sort', 'created_at'))
        self.assertIn('3', self.cloud.run('cinder', 'list', '--with-count', *wanted))
        # The client uses --limit as the length of a page, and reads all pages.
        rows = self.admin.openstack('volume', 'list', '--all-projects', '--limit', '2')
        self.assertLessEqual(set(made), {row['Name'] for row in rows})
        pages = self.cloud.openstack('volume', 'list', '--marker', marker, '--limit', '1')
        self.assertNotIn(by_name[0], [row['Name'] for row in pages])
        self.assertEqual([], listed(client=self.neighbour))
        self.assertEqual(
            sum(int(self.pods[pod].openstack('volume', 'summary', '--all-projects')['Total Count']) for pod in PODS),
            int(self.admin.openstack('volume', 'summary', '--all-projects')['Total Count']),
        )

    def test_snapshots_and_backups_are_created_and_restored(self):
        name = self.volume('az2', '--property', 'a=b')
        self.cloud.openstack('volume', 'snapshot', 'create', '--volume', name, f'{name}-snapshot')
        self.until('volume snapshot', f'{name}-snapshot')
        self.volume('az2', '--snapshot', f'{name}-snapshot', name=f'{name}-copy')
        said = self.cloud.fails(
            *('volume', 'create', 'elsewhere', '--snapshot', f'{name}-snapshot', '--availability-zone', 'az1')
        )
        self.assertIn('az1', said)
        self.assertIn('az2', said)
        self.cloud.do('volume', 'revert', f'{name}-snapshot')
        self.until('volume', name)
        backup = f'{name}-backup'
        self.cloud.openstack('volume', 'backup', 'create', '--name', backup, name)
        self.until('volume backup', backup)
        self.cloud.openstack('volume', 'backup', 'create', '--name', f'{backup}-2', '--incremental', name)
        self.assertTrue(self.show_when('volume backup', f'{backup}-2')['is_incremental'])
        self.cloud.openstack('volume', 'backup', 'restore', backup, f'{name}-restored')
        self.addCleanup(self.drop, f'{name}-restored')
        self.assertEqual('az2', self.show_when('volume', f'{name}-restored')['availability_zone'])
        self.cloud.openstack('volume', 'backup', 'restore', '--force', f'{backup}-2', name)
        self.until('volume', name)
        far = self.volume('az1')
        self.assertIn('az1', self.cloud.fails('volume', 'backup', 'restore', '--force', backup, far))
        self.assertIn('403', self.cloud.fails('volume', 'backup', 'record', 'export', backup))
        backup_id = self.cloud.openstack('volume', 'backup', 'show', backup)['id']
        self.assertIn('backup_url', str(self.admin.openstack('volume', 'backup', 'record', 'export', backup_id)))
        for each in (f'{backup}-2', backup):
            self.cloud.do('volume', 'backup', 'delete', each)
            self.until_gone('volume backup', each)
        self.cloud.do('volume', 'snapshot', 'delete', f'{name}-snapshot')
        self.until_gone('volume snapshot', f'{name}-snapshot')

    def test_volume_is_transferred_with_its_snapshot(self):
        name = self.volume()
        volume_id = self.cloud.openstack('volume', 'show', name)['id']
        self.cloud.openstack('volume', 'snapshot', 'create', '--volume', name, f'{name}-snapshot')
        self.until('volume snapshot', f'{name}-snapshot')
        offer = self.cloud.openstack('volume', 'transfer', 'request', 'create', '--name', name, name)
        self.assertEqual(
            [offer['id']], [r['ID'] for r in self.cloud.openstack('volume', 'transfer', 'request', 'list')]
        )
        accept = ('volume', 'transfer', 'request', 'accept', offer['id'], '--auth-key')
        self.assertIn('400', self.neighbour.fails(*accept, 'wrong'))
        self.neighbour.do(*accept, offer['auth_key'])
        self.assertEqual(volume_id, self.neighbour.openstack('volume', 'show', name)['id'])
        self.assertEqual([f'{name}-snapshot'], self.names(self.neighbour, 'volume', 'snapshot'))
        self.assertIn('No Volume found', self.cloud.fails('volume', 'show', volume_id))
        self.assertEqual([], self.cloud.openstack('volume', 'transfer', 'request', 'list'))
        self.neighbour.do('volume', 'snapshot', 'delete', f'{name}-snapshot')
        wait_until(
            lambda: not self.neighbour.openstack('volume', 'snapshot', 'list'), SECONDS, 'the snapshot still exists'
        )
        self.neighbour.do('volume', 'delete', name)

    def test_group_with_volumes_is_created_copied_and_deleted(self):
        kind, name = temporary_name('kind'), temporary_name('group')
        self.admin.openstack('volume', 'group', 'type', 'create', kind)
        self.addCleanup(self.admin.do, 'volume', 'group', 'type', 'delete', kind)
        for pod in self.pods.values():
            self.assertIn(kind, self.names(pod, 'volume', 'group', 'type'))
        words = ('--volume-group-type', kind, '--volume-type', '__DEFAULT__', '--availability-zone', 'az2')
        self.cloud.openstack('volume', 'group', 'create', *words, '--name', name)
        group = self.show_when('volume group', name)
        self.assertEqual('az2', group['availability_zone'])
        # Without a zone, the volume is created in the pod of its group.
        words = ('--group-id', group['id'], '--volume-type', '__DEFAULT__')
        self.cloud.run('cinder', 'create', '1', '--name', f'{name}-volume', *words)
        self.assertEqual('az2', self.show_when('volume', f'{name}-volume')['availability_zone'])
        self.cloud.openstack('volume', 'group', 'snapshot', 'create', name, '--name', f'{name}-snapshot')
        self.until('volume group snapshot', f'{name}-snapshot')
        self.assertEqual(1, len(self.cloud.openstack('volume', 'snapshot', 'list')))
        source = ('--group-snapshot', f'{name}-snapshot', '--name', f'{name}-copy')
        self.cloud.run('cinder', 'group-create-from-src', *source)
        self.until('volume group', f'{name}-copy')
        copies = [row for row in self.cloud.openstack('volume', 'list') if row['Name'] == f'{name}-volume']
        for row in copies:
            self.assertEqual('az2', self.cloud.openstack('volume', 'show', row['ID'])['availability_zone'])
        self.cloud.do('volume', 'group', 'delete', '--force', f'{name}-copy')
        self.cloud.do('volume', 'group', 'snapshot', 'delete', f'{name}-snapshot')
        self.until_gone('volume group', f'{name}-copy')
        self.until_gone('volume group snapshot', f'{name}-snapshot')
        self.cloud.do('volume', 'group', 'delete', '--force', name)
        self.until_gone('volume group', name)

    # -- replicated objects, and services of pods --

    def test_types_and_qos_specs_are_replicated(self):
        name, admin = temporary_name('type'), self.admin
        made = admin.openstack('volume', 'type', 'create', name, '--private', '--property', 'a=b')
        admin.do('volume', 'type', 'set', '--property', 'c=d', '--description', 'described', name)
        admin.do('volume', 'type', 'unset', '--property', 'a', name)
        self.assertIn('No Type found', self.cloud.fails('volume', 'type', 'show', name))
        admin.do('volume', 'type', 'set', '--project', self.stage.other, name)
        self.assertIn(name, self.names(self.neighbour, 'volume', 'type'))
        self.assertNotIn(name, self.names(self.cloud, 'volume', 'type'))
        admin.openstack('volume', 'qos', 'create', name, '--consumer', 'front-end', '--property', 'iops=5')
        admin.do('volume', 'qos', 'associate', name, name)
        for client in (admin, *self.pods.values()):
            shown = client.openstack('volume', 'type', 'show', name)
            self.assertEqual(({'c': 'd'}, 'described'), (shown['properties'], shown['description']))
            self.assertEqual([self.stage.other_id], shown['access_project_ids'])
            specs = client.openstack('volume', 'qos', 'show', name)
            self.assertEqual(({'iops': '5'}, [name]), (specs['properties'], specs['associations']))
        self.assertEqual(made['id'], admin.openstack('volume', 'type', 'show', name)['id'])
        self.assertIn('in use', admin.fails('volume', 'qos', 'delete', name))
        admin.do('volume', 'type', 'unset', '--property', 'c', name)
        typed = self.volume('az2', '--type', name, client=self.neighbour)
        self.assertEqual(made['id'], self.neighbour.openstack('volume', 'show', typed)['volume_type_id'])
        self.assertIn('in use', admin.fails('volume', 'type', 'delete', name))
        self.neighbour.do('volume', 'delete', typed)
        admin.do('volume', 'type', 'unset', '--project', self.stage.other, name)
        admin.do('volume', 'qos', 'disassociate', name, '--all')
        admin.do('volume', 'qos', 'delete', name)
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                admin.do('volume', 'type', 'delete', name)
                break
            except CommandFailed:
                self.assertLess(time.monotonic(), deadline)
        for pod in self.pods.values():
            self.assertNotIn(name, self.names(pod, 'volume', 'type'))
            self.assertNotIn(name, self.names(pod, 'volume', 'qos'))

    def test_encryption_and_default_types_are_replicated(self):
        name, admin = temporary_name('type'), self.admin
        luks = ('--encryption-provider', 'luks', '--encryption-control-location', 'front-end')
        admin.openstack('volume', 'type', 'create', name, *luks, '--encryption-key-size', '256')
        admin.do('volume', 'type', 'set', name, '--encryption-key-size', '128')
        for client in (admin, *self.pods.values()):
            shown = client.openstack('volume', 'type', 'show', '--encryption-type', name)
            self.assertIn('128', str(shown['encryption']))
        admin.run('cinder', 'default-type-set', name, self.stage.other_id)
        self.assertIn(name, self.neighbour.run('cinder', 'type-default'))
        ids = [client.run('cinder', 'default-type-list') for client in (admin, *self.pods.values())]
        self.assertTrue(all(self.stage.other_id in printed for printed in ids), ids)
        admin.run('cinder', 'default-type-unset', self.stage.other_id)
        admin.do('volume', 'type', 'unset', '--encryption-type', name)
        admin.do('volume', 'type', 'delete', name)

    def test_services_and_pools_of_both_pods_are_listed(self):
        services = self.admin.openstack('volume', 'service', 'list')
        self.assertEqual({'az1', 'az2'}, {row['Zone'] for row in services})
        pools = self.admin.openstack('volume', 'backend', 'pool', 'list', '--long')
        self.assertEqual(2, len(pools))
        for row in pools:
            host = row['Name'].partition('#')[0]
            self.admin.openstack('volume', 'backend', 'capability', 'show', host)
        # Other services get no work until their next report.
        far = next(row['Host'] for row in services if row['Zone'] == 'az2' and row['Binary'] == 'cinder-scheduler')
        switch = ('volume', 'service', 'set', far, 'cinder-scheduler')
        self.admin.do(*switch, '--disable', '--disable-reason', 'tested')
        try:
            rows = self.admin.openstack('volume', 'service', 'list', '--long', '--service', 'cinder-scheduler')
            self.assertEqual(2, len(rows))
        finally:
            self.admin.do(*switch, '--enable')
        self.assertIn('403', self.cloud.fails('volume', 'service', 'list'))
        self.admin.openstack('block', 'storage', 'cluster', 'list')
        self.admin.openstack('block', 'storage', 'resource', 'filter', 'show', 'volume')
        self.admin.run('cinder', 'work-cleanup')
        levels = self.admin.openstack('block', 'storage', 'log', 'level', 'list', '--service', 'cinder-volume')
        self.assertEqual(2, len({row['Host'] for row in levels}))

    def test_openstacksdk_manages_volumes_snapshots_and_backups(self):
        cloud, operator = connect(self.stage.lab), connect(self.stage.lab, 'admin')
        storage = cloud.block_storage
        volume = storage.create_volume(name=temporary_name('sdk'), size=1, availability_zone='az2')
        storage.wait_for_status(volume, 'available', interval=0.3, wait=SECONDS)
        storage.set_volume_metadata(volume, colour='blue')
        storage.extend_volume(volume, 2)
        wait_until(lambda: storage.get_volume(volume).size == 2, SECONDS, 'the volume was not extended', 0.3)
        volume = storage.wait_for_status(volume, 'available', interval=0.3, wait=SECONDS)
        self.assertEqual((2, 'az2', 'blue'), (volume.size, volume.availability_zone, volume.metadata['colour']))
        self.assertIn(volume.id, [each.id for each in storage.volumes(details=True, limit=1)])
        snapshot = storage.create_snapshot(volume_id=volume.id, name=volume.name)
        storage.wait_for_status(snapshot, 'available', interval=0.3, wait=SECONDS)
        backup = storage.create_backup(volume_id=volume.id, name=volume.name)
        storage.wait_for_status(backup, 'available', interval=0.3, wait=SECONDS)
        for one, delete in ((backup, storage.delete_backup), (snapshot, storage.delete_snapshot)):
            delete(one)
            storage.wait_for_delete(one, interval=0.3, wait=SECONDS)
        self.assertEqual(2, len(list(operator.block_storage.backend_pools())))
        self.assertLessEqual({'az1', 'az2'}, {zone.name for zone in storage.availability_zones()})
        self.assertIsNotNone(storage.get_limits().absolute.max_total_volumes)
        self.assertIn('__DEFAULT__', [each.name for each in storage.types()])
        storage.delete_volume(volume)
        storage.wait_for_delete(volume, interval=0.3, wait=SECONDS)

    # -- bytes --

    def test_copies_snapshots_backups_and_images_have_bytes_of_volume(self):
        cloud, lab = connect(self.stage.lab), self.stage.lab
        storage, prefix = cloud.block_storage, temporary_name('bytes')
        one, two = (connect(lab, 'admin', pod).block_storage for pod in PODS)

        def wait(thing, where=storage):
            return where.wait_for_status(thing, 'available', interval=0.3, wait=SECONDS)

        def made(**source):
            volume = storage.create_volume(name=prefix, size=1, availability_zone='az2', **source)
            self.addCleanup(storage.delete_volume, volume)
            return wait(volume).id

        def read(volume_id, pod='Pod2'):
            return lab.disk('volume', volume_id, pod).read()

        def backed_up(where=storage, **more):
            return wait(where.create_backup(volume_id=volume, name=prefix, force=True, **more), where)

        def restored(backup, where=storage, pod='Pod2'):
            volume_id = where.restore_backup(backup, name=prefix).volume_id
            wait(where.get_volume(volume_id), where)
            self.addCleanup(where.delete_volume, volume_id)
            return read(volume_id, pod)

        image = cloud.image.create_image(prefix, data=b'known', container='bare', disk_format='raw')
        self.addCleanup(cloud.image.delete_image, image)
        volume = made(image_id=image.id)
        self.assertEqual(b'known', read(volume))
        self.assertNotEqual(read(made()), read(made()))
        lab.disk('volume', volume, 'Pod2').write(b'+1')
        snapshot = wait(storage.create_snapshot(volume_id=volume, name=prefix))
        full = backed_up()
        lab.disk('volume', volume, 'Pod2').write(b'+2')
        increment = backed_up(is_incremental=True)
        self.assertEqual(b'known+1+2', read(made(source_volume_id=volume)))
        storage.revert_volume_to_snapshot(volume, snapshot)
        wait(storage.get_volume(volume))
        self.assertEqual((b'known+1', b'known+1'), (read(volume), lab.disk('snapshot', snapshot.id, 'Pod2').read()))
        copy = made(snapshot_id=snapshot.id)
        self.assertEqual(b'known+1', read(copy))
        self.assertEqual((b'known+1', b'known+1+2'), (restored(full), restored(increment)))

        for disk_format in ('raw', 'qcow2'):
            uploaded = storage.upload_volume_to_image(
                copy, prefix, disk_format=disk_format, container_format='bare', visibility='private'
            )['image_id']
            self.addCleanup(cloud.image.delete_image, uploaded)
            found = cloud.image.wait_for_status(cloud.image.get_image(uploaded), 'active', interval=0.3, wait=SECONDS)
            self.assertEqual(lab.disk('image', uploaded).checksum(), found.hash_value)
            self.assertTrue(cloud.image.download_image(uploaded).content.endswith(b'known+1'))
            wait(storage.get_volume(copy))
        self.assertEqual(b'known+1', read(made(image_id=uploaded)))

        record = two.get(f'/backups/{full.id}/export_record').json()
        one.post('/backups/import_record', json=record)
        self.assertEqual(b'known+1', restored(wait(one.get_backup(full.id), one), one, 'Pod1'))
        for backup, where in ((increment, storage), (one.get_backup(full.id), one), (full, storage)):
            where.delete_backup(backup)
            where.wait_for_delete(backup, interval=0.3, wait=SECONDS)
        storage.delete_snapshot(snapshot)
        storage.wait_for_delete(snapshot, interval=0.3, wait=SECONDS)

    # -- a pod away and back --

    def test_stopped_pod_is_left_out_and_works_after_start(self):
        reachable, far = self.volume('az1'), self.volume('az2')
        far_id = self.cloud.openstack('volume', 'show', far)['id']
        data = self.stage.lab.disk('volume', far_id, 'Pod2').read()
        kind = temporary_name('away')
        self.stage.lab.stop(['Pod2.cinder'])
        try:
            self.assertIn(reachable, self.names(self.cloud, 'volume'))
            self.assertNotIn(far, self.names(self.cloud, 'volume'))
            for words in (('show', far_id), ('delete', far_id), ('set', '--size', '2', far_id)):
                said = self.cloud.fails('volume', *words)
                self.assertIn('503', said)
                self.assertNotIn('Pod2', said)
            said = self.cloud.fails('volume', 'create', 'refused', '--size', '1', '--availability-zone', 'az2')
            self.assertIn('503', said)
            self.assertIn('az2', said)
            self.assertIn('503', self.cloud.fails('volume', 'snapshot', 'create', '--volume', far_id, 'refused'))
            alone = self.volume('az1')
            self.cloud.do('volume', 'delete', alone)
            self.admin.openstack('volume', 'type', 'create', kind)
            self.assertEqual('down', self._state_of_services('az2'))
        finally:
            self.stage.lab.start(['Pod2.cinder'])
        wait_until(lambda: far in self.names(self.cloud, 'volume'), SECONDS, 'Pod2 is back and its volume is not', 0.5)
        self.assertEqual('available', self.cloud.openstack('volume', 'show', far)['status'])
        self.assertEqual(data, self.stage.lab.disk('volume', far_id, 'Pod2').read())
        self.cloud.do('volume', 'set', '--description', 'back', far)
        pod = self.pods['Pod2']
        wait_until(lambda: kind in self.names(pod, 'volume', 'type'), SECONDS, 'the type did not reach Pod2', 0.5)
        self.admin.do('volume', 'type', 'delete', kind)
        self.volume('az2')

    def _state_of_services(self, zone):
        rows = [row for row in self.admin.openstack('volume', 'service', 'list') if row['Zone'] == zone]
        return {row['State'] for row in rows}.pop() if rows else 'down'
