# SPDX-License-Identifier: Apache-2.0
"""A create at the limit right after a delete: the gateway looks at the pods before it refuses it."""

from trio2o.tests.functional.quota.base import QuotaCase

GROUP = {'server_group': {'name': 'g', 'policies': ['anti-affinity']}}


class DeleteCase(QuotaCase):
    # No job settles a claim before the next create.
    options = {'quota.watch_seconds': 300.0}

    def delete(self, client, path):
        answer = client.delete(path)
        self.assertIn(answer.status, (202, 204), answer.text)

    def make(self, kind, status=202, **given):
        answer = self.cloud.cinder.post(f'/{kind}s', {kind: given}, version='3.60')
        self.assertEqual(status, answer.status, answer.text)
        return answer.json.get(kind, {}).get('id')

    def assertReplaced(self, make, delete):
        """Assert that a third of two allowed is refused, and that each delete makes room for another at once."""
        for _ in range(2):
            last = make(zone='az2')
        make(zone='az1', is_refused=True)
        delete(last)
        make(zone='az1')
        make(zone='az2', is_refused=True)


class TestServers(DeleteCase):
    limits = {'instances': 2, 'server_groups': 1}

    def test_deleted_server_makes_room_at_once(self):
        self.assertReplaced(
            lambda zone, is_refused=False: self.boot(zone=zone, status=403 if is_refused else 202).json.get('server'),
            lambda server: self.delete(self.cloud.nova, f'/servers/{server["id"]}'),
        )

    def test_deleted_server_group_makes_room_at_once(self):
        group = self.cloud.nova.post('/os-server-groups', GROUP)['server_group']['id']
        self.assertEqual(403, self.cloud.nova.post('/os-server-groups', GROUP).status)
        self.delete(self.cloud.nova, f'/os-server-groups/{group}')
        self.assertEqual(200, self.cloud.nova.post('/os-server-groups', GROUP).status)


class TestCores(TestServers):
    limits = {'cores': 4, 'server_groups': 1}


class TestRam(TestServers):
    limits = {'ram': 1024, 'server_groups': 1}


class TestVolumes(DeleteCase):
    limits = {'volumes': 2, 'snapshots': 1, 'backups': 1}

    def test_deleted_volume_makes_room_at_once(self):
        self.assertReplaced(
            lambda zone, is_refused=False: self.make_volume(zone=zone, status=413 if is_refused else 202).json.get(
                'volume'
            ),
            lambda volume: self.delete(self.cloud.cinder, f'/volumes/{volume["id"]}'),
        )

    def test_deleted_snapshot_makes_room_at_once(self):
        self.assert_child_is_replaced('snapshot')

    def test_deleted_backup_makes_room_at_once(self):
        self.assert_child_is_replaced('backup')

    def assert_child_is_replaced(self, kind):
        first, second = (self.volume(zone=zone) for zone in ('az1', 'az2'))
        child = self.make(kind, volume_id=first)
        self.make(kind, 413, volume_id=second)
        self.delete(self.cloud.cinder, f'/{kind}s/{child}')
        self.make(kind, volume_id=second)


class TestGigabytes(TestVolumes):
    """Two volumes; or two, and what is made of one of them."""

    limits = {'gigabytes': 2, 'backup_gigabytes': 1, 'snapshots': 1}

    def test_deleted_snapshot_makes_room_at_once(self):
        volume = self.volume(zone='az1')
        snapshot = self.make('snapshot', volume_id=volume)
        self.make_volume(zone='az2', status=413)
        self.delete(self.cloud.cinder, f'/snapshots/{snapshot}')
        self.make_volume(zone='az2')


class TestVolumesOfType(TestVolumes):
    def setUp(self):
        super().setUp()
        limits = {'quota_set': {f'{name}___DEFAULT__': 2 for name in ('volumes', 'gigabytes')}}
        limits['quota_set'] |= {'volumes': -1, 'gigabytes___DEFAULT__': 3}
        answer = self.cloud.cinder.put(f'/os-quota-sets/{self.project}', limits, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
