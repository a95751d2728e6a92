# SPDX-License-Identifier: Apache-2.0
"""An unreachable pod: lists answer without it, requests to it fail with 503, and both work again afterwards."""

from trio2o.lab.emulated.cinder import backups, groups, messages
from trio2o.lab.emulated.faults import DropAfter, Refuse
from trio2o.tests.functional.operations.base import ConversationTest, ids


class TestUnreachablePod(ConversationTest):
    options = {'pods.breaker_failures': 1000}
    version = '3.60'

    def setUp(self):
        super().setUp()
        self.rows = {}
        for name in self.pods:
            cinder, project = self.cloud.pod(name).cinder, self.cloud.project_id('demo')
            volume = self.cloud.lab.add_volumes(name, 'demo')[0]
            self.rows[name] = {
                'volumes': volume,
                'backups': backups.add(cinder, volume),
                'messages': messages.add(cinder, project),
                'groups': groups.add(cinder, project, 'somebody'),
            }
        for kind in self.rows['Pod1']:
            self.get(f'/{kind}')
        for name in self.pods:
            for kind, row in self.rows[name].items():
                self.get(f'/{kind}/{row["id"]}')

    def get(self, path, status=200):
        answer = self.cinder.get(path, version=self.version)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def test_resources_of_unreachable_pod_are_left_out_of_lists_if_option_is_on_and_503_by_id(self):
        self.skip_down_pods()
        self.break_pod('Pod2', Refuse())
        for kind in self.rows['Pod1']:
            with self.subTest(kind=kind):
                self.assertEqual([self.rows['Pod1'][kind]['id']], ids(self.get(f'/{kind}')[kind]))
                self.get(f'/{kind}/{self.rows["Pod1"][kind]["id"]}')
                answer = self.cinder.get(f'/{kind}/{self.rows["Pod2"][kind]["id"]}', version=self.version)
                text = self.assert_own_words(answer, 503)
                self.assertIn(self.rows['Pod2'][kind]['id'], text)
                self.assertIn('az2', text)
        self.cloud.pod('Pod2').cinder.faults.clear()
        for kind in self.rows['Pod1']:
            self.assertEqual(2, len(self.get(f'/{kind}')[kind]))

    def test_incomplete_list_is_503(self):
        self.break_pod('Pod2', Refuse())
        for kind in self.rows['Pod1']:
            self.assert_own_words(self.cinder.get(f'/{kind}', version=self.version), 503)

    def test_write_to_unreachable_pod_is_503(self):
        self.break_pod('Pod2', Refuse())
        volume_id = self.rows['Pod2']['volumes']['id']
        for path, body in (
            ('/backups', {'backup': {'volume_id': volume_id}}),
            ('/volume-transfers', {'transfer': {'volume_id': volume_id}}),
            ('/attachments', {'attachment': {'volume_uuid': volume_id}}),
            ('/group_snapshots', {'group_snapshot': {'group_id': self.rows['Pod2']['groups']['id']}}),
            (f'/backups/{self.rows["Pod2"]["backups"]["id"]}/restore', {'restore': {}}),
        ):
            with self.subTest(path=path):
                self.assert_own_words(self.cinder.post(path, body, version=self.version), 503)

    def test_write_without_answer_is_504(self):
        self.break_pod('Pod2', DropAfter())
        body = {'backup': {'volume_id': self.rows['Pod2']['volumes']['id']}}
        self.assert_own_words(self.cinder.post('/backups', body, version=self.version), 504)
        backup_id = self.rows['Pod2']['backups']['id']
        self.assert_own_words(self.cinder.delete(f'/backups/{backup_id}', version=self.version), 504)

    def test_reading_action_is_repeated_once_and_then_503(self):
        volume_id = self.rows['Pod2']['volumes']['id']
        path, body = f'/volumes/{volume_id}/action', {'os-show_image_metadata': {}}
        self.break_pod('Pod2', DropAfter(times=1))
        self.assertEqual(200, self.cinder.post(path, body, version=self.version).status)
        self.break_pod('Pod2', DropAfter())
        self.assert_own_words(self.cinder.post(path, body, version=self.version), 503)

    def test_unrecorded_resource_of_unreachable_pod_is_503(self):
        row = messages.add(self.cloud.pod('Pod2').cinder, self.cloud.project_id('demo'))
        self.break_pod('Pod2', Refuse())
        self.assert_own_words(self.cinder.get(f'/messages/{row["id"]}', version=self.version), 503)

    def test_resource_of_another_project_is_404(self):
        for name in self.pods:
            for kind, row in self.rows[name].items():
                answer = self.cinder.get(f'/{kind}/{row["id"]}', version=self.version, as_='alt')
                self.assertEqual(404, answer.status)
                self.get(f'/{kind}/{row["id"]}')

    def test_unknown_id_gets_answer_of_pod(self):
        for kind in self.rows['Pod1']:
            for missing in ('4b0c6e2e-5a74-4c4c-b1f5-1c0f65f6d4ae', 'a-name'):
                answer = self.cinder.get(f'/{kind}/{missing}', version=self.version)
                direct = self.cloud.direct('Pod1', 'cinder').get(f'/{kind}/{missing}', version=self.version)
                self.assertEqual((404, direct.json), (answer.status, answer.json))

    def test_malformed_body_for_unknown_id_gets_answer_of_pod(self):
        """Cinder checks the body before it looks for the volume."""
        direct = self.cloud.direct('Pod1', 'cinder')
        for missing in ('4b0c6e2e-5a74-4c4c-b1f5-1c0f65f6d4ae', 'a-name'):
            for method, path, body in (
                ('PUT', f'/volumes/{missing}', []),
                ('POST', f'/volumes/{missing}/action', {'os-nonsense': {}}),
                ('POST', f'/volumes/{missing}/action', {'os-extend': {'new_size': 2}}),
            ):
                answer = self.cinder.request(method, path, body, version=self.version)
                said = direct.request(method, path, body, version=self.version)
                self.assertEqual((said.status, said.json), (answer.status, answer.json))
