# SPDX-License-Identifier: Apache-2.0
"""Creates in an unknown or malformed zone."""

from trio2o.tests.functional.operations.base import ConversationTest

VERSION = '3.70'


class TestZones(ConversationTest):
    def create(self, zone, kind='volume', **kwargs):
        bodies = {
            'volume': {'size': 1},
            'group': {'group_type': 'default_cgsnapshot_type', 'volume_types': ['__DEFAULT__']},
        }
        body = {kind: {**bodies[kind], 'availability_zone': zone}}
        return kwargs.pop('client', self.cinder).post(f'/{kind}s', body, version=VERSION, **kwargs)

    def test_unknown_zone_gets_answer_of_cinder(self):
        direct = self.cloud.direct('Pod1', 'cinder')
        for kind in ('volume', 'group'):
            for zone in ('', 'nowhere', 5):
                with self.subTest(kind=kind, zone=zone):
                    said = self.create(zone, kind, client=direct)
                    reported = self.create(zone, kind)
                    self.assertEqual((400, said.json), (reported.status, reported.json))
        for name in self.pods:
            self.assertEqual({}, self.cloud.pod(name).cinder.volumes)

    def test_null_zone_is_accepted(self):
        self.assertEqual(202, self.create(None).status)

    def test_too_long_zone_is_refused_with_400(self):
        self.cloud.lab.clear_logs()
        self.assertEqual(400, self.create('x' * 300).status)

    def test_empty_zone_of_backup_is_accepted_and_unknown_one_refused(self):
        for zone, status in (('', 202), ('nowhere', 400)):
            volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
            body = {'backup': {'volume_id': volume_id, 'availability_zone': zone}}
            self.assertEqual(status, self.cinder.post('/backups', body, version='3.51').status)
