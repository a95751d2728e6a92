# SPDX-License-Identifier: Apache-2.0
"""The zone a create names, where there is none of that name."""

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

    def test_as_a_cinder_says(self):
        direct = self.cloud.direct('Pod1', 'cinder')
        for kind in ('volume', 'group'):
            for zone in ('', 'nowhere', 5):
                with self.subTest(kind=kind, zone=zone):
                    said = self.create(zone, kind, client=direct)
                    reported = self.create(zone, kind)
                    self.assertEqual((400, said.json), (reported.status, reported.json))
        for name in self.pods:
            self.assertEqual({}, self.cloud.pod(name).cinder.volumes)

    def test_none_is_any(self):
        self.assertEqual(202, self.create(None).status)

    def test_longer_than_any(self):
        self.cloud.lab.clear_logs()
        self.assertEqual(400, self.create('x' * 300).status)

    def test_an_empty_one_for_a_backup(self):
        for zone, status in (('', 202), ('nowhere', 400)):
            volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
            body = {'backup': {'volume_id': volume_id, 'availability_zone': zone}}
            self.assertEqual(status, self.cinder.post('/backups', body, version='3.51').status)
