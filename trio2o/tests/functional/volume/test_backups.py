# SPDX-License-Identifier: Apache-2.0
"""Backups: made in the pod of their volume, and restored there."""

import base64
import json

from trio2o.lab.emulated.cinder import backups, groups
from trio2o.tests.functional.operations.base import ConversationTest, ids


class BackupTest(ConversationTest):
    def setUp(self):
        super().setUp()
        self.volumes = {name: self.cloud.lab.add_volumes(name, 'demo')[0]['id'] for name in self.pods}

    def make(self, pod, **given):
        answer = self.cinder.post('/backups', {'backup': {'volume_id': self.volumes[pod], **given}})
        self.assertEqual(202, answer.status, answer.text)
        return answer['backup']['id']


class TestBackups(BackupTest):
    def test_backup_is_created_in_pod_of_its_volume(self):
        for name in self.pods:
            backup_id = self.make(name, name='safe')
            self.assertEqual(name, self.pod_of('backup', backup_id))
            self.assertIn(backup_id, self.cloud.pod(name).cinder.backups)
            answer = self.cinder.get(f'/backups/{backup_id}')
            self.assertEqual(self.pods[name], answer['backup']['availability_zone'])
            self.assertIn('http://gateway.test:19997/', answer['backup']['links'][0]['href'])

    def test_incremental_backup_is_created(self):
        self.make('Pod2')
        backup_id = self.make('Pod2', incremental=True)
        self.assertTrue(self.cinder.get(f'/backups/{backup_id}')['backup']['is_incremental'])

    def test_backup_in_other_zone_than_its_volume_is_refused_with_400(self):
        body = {'backup': {'volume_id': self.volumes['Pod1'], 'availability_zone': 'az2'}}
        answer = self.cinder.post('/backups', body, version='3.51')
        self.assertEqual(400, answer.status)
        self.assertIn(self.volumes['Pod1'], answer.fault)

    def test_backup_in_zone_of_its_volume_is_created(self):
        body = {'backup': {'volume_id': self.volumes['Pod1'], 'availability_zone': 'az1'}}
        answer = self.cinder.post('/backups', body, version='3.51')
        self.assertEqual(202, answer.status, answer.text)

    def test_backup_without_volume_is_refused_with_400(self):
        answer = self.cinder.post('/backups', {'backup': {'name': 'of nothing'}})
        self.assertEqual(400, answer.status)

    def test_pages_and_filters_cover_backups_of_all_pods(self):
        made = [self.make(name) for name in ('Pod1', 'Pod2', 'Pod1', 'Pod2')]
        answer = self.cinder.get('/backups', query={'with_count': 'True', 'limit': 3}, version='3.45')
        self.assertEqual(4, answer['count'])
        self.assertEqual(3, len(answer['backups']))
        self.assertEqual({'id', 'name', 'links'}, set(answer['backups'][0]))
        rest = self.cinder.get(answer['backups_links'][0]['href'], version='3.45')
        self.assertEqual(sorted(made), sorted(ids(answer['backups']) + ids(rest['backups'])))
        answer = self.cinder.get(f'/backups/detail?volume_id={self.volumes["Pod2"]}')
        self.assertEqual(sorted(made[1::2]), sorted(ids(answer['backups'])))

    def test_backup_is_updated_and_deleted(self):
        backup_id = self.make('Pod2')
        answer = self.cinder.put(f'/backups/{backup_id}', {'backup': {'name': 'new'}}, version='3.9')
        self.assertEqual('new', answer['backup']['name'])
        self.assertEqual(404, self.cinder.put(f'/backups/{backup_id}', {'backup': {'name': 'x'}}).status)
        self.assertEqual(202, self.cinder.delete(f'/backups/{backup_id}').status)
        self.assertEqual(404, self.cinder.get(f'/backups/{backup_id}').status)

    def test_backup_created_directly_in_pod_is_found(self):
        cinder = self.cloud.pod('Pod2').cinder
        row = backups.add(cinder, cinder.volumes[self.volumes['Pod2']])
        self.assertEqual(row['id'], self.cinder.get(f'/backups/{row["id"]}')['backup']['id'])
        self.assertEqual('Pod2', self.pod_of('backup', row['id']))


class TestRestore(BackupTest):
    def restore(self, backup_id, **given):
        return self.cinder.post(f'/backups/{backup_id}/restore', {'restore': given})

    def test_restore_to_volume_of_same_pod_succeeds(self):
        answer = self.restore(self.make('Pod2'), volume_id=self.volumes['Pod2'])
        self.assertEqual(202, answer.status, answer.text)
        self.assertEqual(self.volumes['Pod2'], answer['restore']['volume_id'])

    def test_restore_to_volume_of_other_pod_is_refused_with_400(self):
        backup_id = self.make('Pod2')
        answer = self.restore(backup_id, volume_id=self.volumes['Pod1'])
        text = self.assert_own_words(answer, 400)
        self.assertIn(backup_id, text)
        self.assertIn(self.volumes['Pod1'], text)

    def test_restore_to_new_volume_records_the_volume(self):
        for name in self.pods:
            answer = self.restore(self.make(name))
            volume_id = answer['restore']['volume_id']
            self.assertEqual(name, self.pod_of('volume', volume_id))
            self.cloud.lab.clear_logs()
            self.assertEqual(200, self.cinder.get(f'/volumes/{volume_id}').status)
            self.assertEqual(1, sum(len(self.seen(pod, 'cinder')) for pod in self.pods))

    def test_volume_from_backup_is_created_in_pod_of_backup(self):
        body = {'volume': {'backup_id': self.make('Pod2'), 'size': 1}}
        answer = self.cinder.post('/volumes', body, version='3.47')
        self.assertEqual('az2', answer['volume']['availability_zone'])


class TestRecords(BackupTest):
    def export(self, pod):
        answer = self.cinder.get(f'/backups/{self.make(pod)}/export_record', as_=('admin', 'demo'))
        self.assertEqual(200, answer.status, answer.text)
        return answer['backup-record']

    def take_in(self, record):
        return self.cinder.post('/backups/import_record', {'backup-record': record}, as_=('admin', 'demo'))

    def test_record_is_imported_into_pod_that_exported_it(self):
        for name in self.pods:
            record = self.export(name)
            self.cloud.pod(name).cinder.backups.clear()
            answer = self.take_in(record)
            self.assertEqual(201, answer.status, answer.text)
            self.assertEqual(name, self.pod_of('backup', answer['backup']['id']))

    def test_import_of_existing_backup_is_refused_with_400(self):
        self.assertEqual(400, self.take_in(self.export('Pod2')).status)

    def test_record_of_another_cloud_is_imported_into_a_pod(self):
        record = {'id': '1b1b0e0e-7b0d-4f31-8d2d-0a3a7f4d2c11', 'volume_id': 'gone', 'size': 1}
        text = base64.b64encode(json.dumps(record).encode()).decode()
        answer = self.take_in({'backup_service': 'cinder.backup.drivers.fake', 'backup_url': text})
        self.assertEqual(201, answer.status, answer.text)
        self.assertIsNotNone(self.pod_of('backup', record['id']))

    def test_malformed_record_is_refused_with_400(self):
        self.assertEqual(400, self.take_in({'backup_service': 'x', 'backup_url': 'no base64!'}).status)


class TestImages(ConversationTest):
    """A volume from an image whose block device mapping names a snapshot."""

    def setUp(self):
        super().setUp()
        self.snapshots = {}
        for name in self.pods:
            volume_id = self.cloud.lab.add_volumes(name, 'demo')[0]['id']
            answer = self.cinder.post('/snapshots', {'snapshot': {'volume_id': volume_id}})
            self.snapshots[name] = answer['snapshot']['id']

    def make(self, pod, version='3.46', **given):
        mapping = [{'snapshot_id': self.snapshots[pod], 'source_type': 'snapshot'}]
        image = self.cloud.lab.glance.add_image('of a server', block_device_mapping=mapping)
        body = {'volume': {'size': 1, 'imageRef': image['id'], **given}}
        return self.cinder.post('/volumes', body, version=version)

    def test_volume_from_image_is_created_in_pod_of_snapshot(self):
        for name, zone in self.pods.items():
            answer = self.make(name)
            self.assertEqual(202, answer.status, answer.text)
            self.assertEqual(zone, answer['volume']['availability_zone'])

    def test_volume_from_image_in_other_zone_is_refused_with_400(self):
        answer = self.make('Pod2', availability_zone='az1')
        self.assertIn('az2', self.assert_own_words(answer, 400))


class TestReconcile(BackupTest):
    def test_job_records_backups_and_groups_created_directly_in_pod(self):
        cinder = self.cloud.pod('Pod2').cinder
        backup = backups.add(cinder, cinder.volumes[self.volumes['Pod2']])
        group = groups.add(cinder, self.cloud.project_id('demo'), 'somebody')
        self.cloud.run_jobs()
        self.assertEqual('Pod2', self.pod_of('backup', backup['id']))
        self.assertEqual('Pod2', self.pod_of('group', group['id']))
        self.assertEqual([backup['id']], ids(self.cinder.get('/backups')['backups']))
