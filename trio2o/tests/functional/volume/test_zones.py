# SPDX-License-Identifier: Apache-2.0
"""Creates in an unknown or malformed zone."""

from trio2o.tests.functional.operations.base import ConversationTest, ids

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


class TestZoneNamesOfServices(ConversationTest):
    """A pod whose Nova and Cinder have different names for its zone, and refuse any other name."""

    def setUp(self):
        super().setUp()
        self.cloud.pod('Pod1').nova.settings.zones = ('zone-1',)

    def name_zones(self, **names):
        self.cloud.set_pod('Pod1', **names)
        self.cloud.runtime.registry.refresh()

    def create_server(self):
        body = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}
        return self.nova.post('/servers', {'server': {**body, 'availability_zone': 'az1'}}, version='2.96')

    def create_volume(self):
        return self.cinder.post('/volumes', {'volume': {'size': 1, 'availability_zone': 'az1'}}, version=VERSION)

    def test_each_service_gets_its_own_name_and_tenants_see_theirs(self):
        self.name_zones(pod_az_name='zone-1', pod_volume_az_name='nova')
        server, volume = self.create_server(), self.create_volume()
        self.assertEqual((202, 202), (server.status, volume.status))
        self.assertEqual('az1', volume.json['volume']['availability_zone'])
        server_id, volume_id = server.json['server']['id'], volume.json['volume']['id']
        shown = self.nova.get(f'/servers/{server_id}', version='2.96')['server']
        self.assertEqual('az1', shown['OS-EXT-AZ:availability_zone'])
        self.assertEqual('az1', self.cinder.get(f'/volumes/{volume_id}')['volume']['availability_zone'])

    def test_lists_are_filtered_by_the_name_of_each_service(self):
        self.name_zones(pod_az_name='zone-1', pod_volume_az_name='nova')
        server_id = self.create_server().json['server']['id']
        volume_id = self.create_volume().json['volume']['id']
        servers = self.nova.get('/servers/detail?availability_zone=az1', version='2.96')['servers']
        self.assertEqual([server_id], ids(servers))
        volumes = self.cinder.get('/volumes/detail?availability_zone=az1&all_tenants=1', as_='admin')['volumes']
        self.assertEqual([(volume_id, 'az1')], [(each['id'], each['availability_zone']) for each in volumes])

    def test_volume_zone_is_empty_and_cinder_gets_no_zone(self):
        self.name_zones(pod_az_name='zone-1', pod_volume_az_name='')
        volume = self.create_volume()
        self.assertEqual((202, 'az1'), (volume.status, volume.json['volume']['availability_zone']))
        self.assertNotIn(b'availability_zone', self.cloud.pod('Pod1').cinder.requests[-1].body)

    def test_volume_zone_is_null_and_cinder_gets_the_name_of_nova(self):
        self.name_zones(pod_az_name='zone-1')
        self.create_volume()
        self.assertIn(b'"zone-1"', self.cloud.pod('Pod1').cinder.requests[-1].body)
