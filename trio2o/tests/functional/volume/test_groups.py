# SPDX-License-Identifier: Apache-2.0
"""Groups with all volumes in one pod, attachments and messages."""

from trio2o.db import routings
from trio2o.lab.emulated.cinder import messages, records
from trio2o.tests.functional.operations.base import ConversationTest, ids


class TestGroups(ConversationTest):
    version = '3.38'
    run_jobs = True

    def setUp(self):
        super().setUp()
        answer = self.cinder.post('/group_types', {'group_type': {'name': 'plain'}}, as_='admin', version=self.version)
        self.assertEqual(202, answer.status, answer.text)
        self.type_id = answer['group_type']['id']
        self.default = self.cinder.get('/types/default')['volume_type']['id']

    def make(self, zone, **given):
        body = {
            'group': {
                'name': 'all',
                'group_type': self.type_id,
                'volume_types': [self.default],
                'availability_zone': zone,
                **given,
            }
        }
        answer = self.cinder.post('/groups', body, version=self.version)
        self.assertEqual(202, answer.status, answer.text)
        return answer['group']['id']

    def volume_in(self, group_id, **given):
        body = {'volume': {'size': 1, 'group_id': group_id, 'volume_type': '__DEFAULT__', **given}}
        answer = self.cinder.post('/volumes', body, version=self.version)
        self.assertEqual(202, answer.status, answer.text)
        return answer['volume']['id']

    def test_group_shows_ids_of_types_of_the_gateway(self):
        for zone in ('az1', 'az2'):
            answer = self.cinder.get(f'/groups/{self.make(zone)}', version=self.version)
            self.assertEqual(self.type_id, answer['group']['group_type'])
            self.assertEqual([self.default], answer['group']['volume_types'])
            self.assertEqual(zone, answer['group']['availability_zone'])

    def test_volume_is_created_in_pod_of_its_group(self):
        group_id = self.make('az2')
        self.assertEqual('Pod2', self.pod_of('volume', self.volume_in(group_id)))

    def test_volume_in_other_zone_than_its_group_is_refused_with_400(self):
        group_id = self.make('az2')
        body = {'volume': {'size': 1, 'group_id': group_id, 'availability_zone': 'az1'}}
        answer = self.cinder.post('/volumes', body, version=self.version)
        self.assertIn(group_id, self.assert_own_words(answer, 400))

    def test_volume_of_other_pod_is_not_added_to_group(self):
        group_id = self.make('az2')
        here, there = (self.cloud.lab.add_volumes(pod, 'demo')[0]['id'] for pod in ('Pod2', 'Pod1'))
        body = {'group': {'add_volumes': f'{here},{there}'}}
        answer = self.cinder.put(f'/groups/{group_id}', body, version=self.version)
        text = self.assert_own_words(answer, 400)
        self.assertIn(group_id, text)
        self.assertIn(there, text)
        body = {'group': {'add_volumes': here}}
        self.assertEqual(202, self.cinder.put(f'/groups/{group_id}', body, version=self.version).status)

    def test_volumes_of_copied_group_are_found(self):
        group_id = self.make('az2')
        self.volume_in(group_id)
        body = {'create-from-src': {'name': 'copy', 'source_group_id': group_id}}
        copy = self.cinder.post('/groups/action', body, version=self.version)['group']['id']
        self.assertEqual('Pod2', self.pod_of('group', copy))
        answer = self.cinder.get(f'/groups/{copy}?list_volume=True', version=self.version)
        (volume_id,) = answer['group']['volumes']
        self.assertEqual(200, self.cinder.get(f'/volumes/{volume_id}').status)
        self.assertIn(volume_id, ids(self.cinder.get('/volumes')['volumes']))

    def test_group_snapshot_and_its_snapshots_are_found(self):
        group_id = self.make('az2')
        volume_id = self.volume_in(group_id)
        body = {'group_snapshot': {'group_id': group_id, 'name': 'now'}}
        answer = self.cinder.post('/group_snapshots', body, version=self.version)
        self.assertEqual(202, answer.status, answer.text)
        snapshot_id = answer['group_snapshot']['id']
        answer = self.cinder.get(f'/group_snapshots/{snapshot_id}', version=self.version)
        self.assertEqual(self.type_id, answer['group_snapshot']['group_type_id'])
        (born,) = self.cinder.get(f'/snapshots?volume_id={volume_id}')['snapshots']
        self.assertEqual(200, self.cinder.get(f'/snapshots/{born["id"]}').status)
        body = {'create-from-src': {'name': 'copy', 'group_snapshot_id': snapshot_id}}
        self.assertEqual(202, self.cinder.post('/groups/action', body, version=self.version).status)
        self.assertEqual(202, self.cinder.delete(f'/group_snapshots/{snapshot_id}', version=self.version).status)
        self.assertEqual([], self.cinder.get('/group_snapshots', version=self.version)['group_snapshots'])

    def test_pages_cover_groups_of_all_pods(self):
        made = [self.make(zone) for zone in ('az1', 'az2', 'az1')]
        answer = self.cinder.get('/groups?limit=2', version=self.version)
        self.assertEqual({'id', 'name'}, set(answer['groups'][0]))
        self.assertIn('/groups?', answer['group_links'][0]['href'])
        rest = self.cinder.get(answer['group_links'][0]['href'], version=self.version)
        self.assertEqual(sorted(made), sorted(ids(answer['groups']) + ids(rest['groups'])))

    def test_group_is_deleted_with_its_volumes(self):
        group_id = self.make('az2')
        volume_id = self.volume_in(group_id)
        body = {'delete': {'delete-volumes': True}}
        self.assertEqual(202, self.cinder.post(f'/groups/{group_id}/action', body, version=self.version).status)
        self.assertEqual(404, self.cinder.get(f'/volumes/{volume_id}').status)
        self.assertEqual(404, self.cinder.get(f'/groups/{group_id}', version=self.version).status)

    def test_unknown_action_is_refused_with_400(self):
        group_id = self.make('az2')
        answer = self.cinder.post(f'/groups/{group_id}/action', {'dance': {}}, version=self.version)
        self.assertEqual(400, answer.status)

    def test_groups_below_3_13_are_404(self):
        self.assertEqual(404, self.cinder.get('/groups', version='3.12').status)


class TestMessages(ConversationTest):
    def setUp(self):
        super().setUp()
        self.made = {
            name: messages.add(self.cloud.pod(name).cinder, self.cloud.project_id('demo')) for name in self.pods
        }

    def test_message_is_shown_and_deleted(self):
        for name, row in self.made.items():
            answer = self.cinder.get(f'/messages/{row["id"]}', version='3.3')
            self.assertEqual(row['request_id'], answer['message']['request_id'])
            self.assertEqual(name, self.pod_of('message', row['id']))
            self.assertEqual(204, self.cinder.delete(f'/messages/{row["id"]}', version='3.3').status)
            self.assertEqual(404, self.cinder.get(f'/messages/{row["id"]}', version='3.3').status)

    def test_pages_cover_messages_of_all_pods(self):
        wanted = sorted(row['id'] for row in self.made.values())
        self.assertEqual(wanted, sorted(ids(self.cinder.get('/messages?limit=1', version='3.3')['messages'])))
        answer = self.cinder.get('/messages?limit=1', version='3.5')
        rest = self.cinder.get(answer['messages_links'][0]['href'], version='3.5')
        self.assertEqual(wanted, sorted(ids(answer['messages']) + ids(rest['messages'])))
        self.assertEqual([], self.cinder.get('/messages', version='3.5', as_='alt')['messages'])


class TestAttachments(ConversationTest):
    version = '3.54'

    def test_attachment_is_created_updated_and_completed(self):
        volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        server_id = self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        self.nova.get(f'/servers/{server_id}')
        body = {'attachment': {'volume_uuid': volume_id, 'instance_uuid': server_id}}
        answer = self.cinder.post('/attachments', body, version=self.version)
        self.assertEqual(200, answer.status, answer.text)
        attachment_id = answer['attachment']['id']
        self.assertEqual('Pod2', self.pod_of('attachment', attachment_id))
        body = {'attachment': {'connector': {'host': 'elsewhere'}}}
        self.assertEqual(200, self.cinder.put(f'/attachments/{attachment_id}', body, version=self.version).status)
        answer = self.cinder.post(f'/attachments/{attachment_id}/action', {'os-complete': {}}, version=self.version)
        self.assertEqual(204, answer.status)

    def test_deleted_attachment_has_no_live_routing(self):
        volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        answer = self.cinder.post('/attachments', {'attachment': {'volume_uuid': volume_id}}, version=self.version)
        path = f'/attachments/{answer["attachment"]["id"]}'
        self.assertEqual(200, self.cinder.delete(path, version=self.version).status)
        self.assertFalse(routings.get(self.cloud.runtime.db, 'attachment', answer['attachment']['id']).is_live)

    def test_attachment_for_server_of_other_pod_is_refused_with_400(self):
        volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        server_id = self.cloud.lab.add_servers('Pod1', 'demo')[0]['id']
        self.nova.get(f'/servers/{server_id}')
        body = {'attachment': {'volume_uuid': volume_id, 'instance_uuid': server_id}}
        text = self.assert_own_words(self.cinder.post('/attachments', body, version=self.version), 400)
        self.assertIn(server_id, text)
        self.assertIn(volume_id, text)

    def test_attachment_for_unknown_server_is_created(self):
        volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        body = {'attachment': {'volume_uuid': volume_id, 'instance_uuid': '9f6c1f5e-0d1b-4a0a-9b4e-2c7d4b8f1a10'}}
        self.assertEqual(200, self.cinder.post('/attachments', body, version=self.version).status)

    def test_attachments_created_by_nova_are_found_and_listed(self):
        made = []
        for name in self.pods:
            volume = self.cloud.lab.add_volumes(name, 'demo')[0]
            made.append(records.attach(self.cloud.pod(name).cinder, volume, 'some-server', '/dev/vdb'))
        for attachment_id in made:
            answer = self.cinder.get(f'/attachments/{attachment_id}', version=self.version)
            self.assertEqual(attachment_id, answer['attachment']['id'])
        answer = self.cinder.get('/attachments', version=self.version)
        self.assertEqual(sorted(made), sorted(ids(answer['attachments'])))
        self.assertEqual({'id', 'status', 'instance', 'volume_id'}, set(answer['attachments'][0]))
        found, marker = [], ''
        while True:
            page = ids(self.cinder.get(f'/attachments/detail?limit=1{marker}', version=self.version)['attachments'])
            if not page:
                break
            found += page
            marker = f'&marker={page[-1]}'
        self.assertEqual(sorted(made), sorted(found))
