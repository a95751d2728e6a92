# SPDX-License-Identifier: Apache-2.0
"""Creates in an unknown or malformed zone."""

from trio2o.pods.type_zones import KEY
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


class TestTypesBoundToZones(ConversationTest):
    """Volume types with the extra spec ``RESKEY:availability_zones``; both pods have the zone ``nova`` inside."""

    run_jobs = True
    names = {'Pod1': 'nova', 'Pod2': ''}

    def setUp(self):
        super().setUp()
        for pod, name in self.names.items():
            self.cloud.set_pod(pod, pod_volume_az_name=name)
        self.cloud.runtime.registry.refresh()

    def create_type(self, zones):
        body = {'volume_type': {'name': 'bound', 'extra_specs': {KEY: zones}}}
        return self.cinder.post('/types', body, as_='admin', version=VERSION)

    def zones_in_pods(self):
        found = {}
        for name in self.pods:
            types = self.cloud.pod(name).cinder.types.values()
            found[name] = next(each['extra_specs'].get(KEY) for each in types if each['name'] == 'bound')
        return found

    def create(self, zone=None):
        body = {'size': 1, 'volume_type': 'bound', **({'availability_zone': zone} if zone else {})}
        return self.cinder.post('/volumes', {'volume': body}, version=VERSION)

    def test_pods_get_their_own_names_and_tenants_see_theirs(self):
        created = self.create_type('az1, az2')
        self.assertEqual((200, 'az1,az2'), (created.status, created['volume_type']['extra_specs'][KEY]))
        self.assertEqual({'Pod1': 'az1,az2,,nova', 'Pod2': 'az1,az2,,nova'}, self.zones_in_pods())
        type_id = created['volume_type']['id']
        for path, shown in (
            ('/types', lambda answer: next(e for e in answer['volume_types'] if e['name'] == 'bound')['extra_specs']),
            (f'/types/{type_id}', lambda answer: answer['volume_type']['extra_specs']),
            (f'/types/{type_id}/extra_specs', lambda answer: answer['extra_specs']),
            (f'/types/{type_id}/extra_specs/{KEY}', lambda answer: answer.json),
        ):
            answer = self.cinder.get(path, version=VERSION, as_='admin')
            self.assertEqual('az1,az2', shown(answer)[KEY], path)
            self.assertNotIn('nova', answer.text)

    def test_change_of_spec_reaches_all_pods_in_their_names(self):
        type_id = self.create_type('az2')['volume_type']['id']
        self.assertEqual({'Pod1': 'az2,,', 'Pod2': 'az2,,nova'}, self.zones_in_pods())
        self.cinder.put(f'/types/{type_id}/extra_specs/{KEY}', {KEY: 'az1'}, as_='admin')
        self.assertEqual({'Pod1': 'az1,,nova', 'Pod2': 'az1,,'}, self.zones_in_pods())

    def test_create_without_zone_goes_to_pod_of_bound_zone(self):
        self.create_type('az2')
        for _ in range(3):
            answer = self.create()
            self.assertEqual((202, 'az2'), (answer.status, answer['volume']['availability_zone']))

    def test_create_in_bound_zone_succeeds_and_in_another_is_400(self):
        self.create_type('az2')
        self.assertEqual([202, 400], [self.create(zone).status for zone in ('az2', 'az1')])

    def test_server_with_new_volume_goes_to_pod_of_bound_zone(self):
        self.create_type('az2')
        root = {'boot_index': 0, 'source_type': 'image', 'destination_type': 'volume', 'volume_size': 1,
                'volume_type': 'bound', 'uuid': self.cloud.lab.image['id']}  # fmt: skip
        body = {'name': 's', 'flavorRef': '1', 'networks': 'none', 'block_device_mapping_v2': [root]}
        answer = self.nova.post('/servers', {'server': body}, version='2.96')
        self.assertEqual(202, answer.status)
        self.assertEqual('Pod2', self.pod_of('server', answer['server']['id']))
        answer = self.nova.post('/servers', {'server': {**body, 'availability_zone': 'az1'}}, version='2.96')
        self.assertIn('az2, not in az1', self.assert_own_words(answer, 400))

    def test_repair_changes_nothing_in_pods(self):
        self.create_type('az1')
        self.cloud.lab.clear_logs()
        self.cloud.run_jobs()
        for pod in self.cloud.runtime.registry.snapshot().pods:
            self.cloud.runtime.replicator.pods.repair(pod)
        writes = [each for name in self.pods for each in self.seen(name, 'cinder') if each.method != 'GET']
        self.assertEqual([], writes)
