# SPDX-License-Identifier: Apache-2.0
"""Creates of servers with hosts, images and counts, and the choice of their pod."""

from trio2o.db import routings
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.compute.base import InfrastructureTest

MISSING = '6f1f8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'


class CreateTest(InfrastructureTest):
    path = '/servers'

    def boot(self, as_='admin', version='2.1', hints=None, **server):
        image = {} if 'block_device_mapping_v2' in server else {'imageRef': self.cloud.lab.image['id']}
        body = {'server': {'name': 'x', 'flavorRef': '1', **image, **server}}
        if hints:
            body['os:scheduler_hints'] = hints
        return self.nova.post(self.path, body, as_=as_, version=version)

    def assert_booted(self, pod, answer):
        self.assertEqual(202, answer.status, answer.text)
        self.assertEqual(pod, self.pod_of('server', answer['server']['id']))
        return self.cloud.pod(pod).nova.servers[answer['server']['id']]


class TestHosts(CreateTest):
    def test_host_after_zone_selects_its_pod(self):
        for zone in ('az2:pod2-compute-1', ':pod2-compute-1', 'az2:pod2-compute-1:pod2-compute-1', '::pod2-compute-1'):
            self.assert_booted('Pod2', self.boot(availability_zone=zone))

    def test_host_field_selects_its_pod(self):
        for field in ({'host': 'pod2-compute-1'}, {'hypervisor_hostname': 'pod2-compute-1'}):
            self.assert_booted('Pod2', self.boot(version='2.74', networks='none', **field))

    def test_ambiguous_host_is_409_unless_qualified_or_in_one_pod_of_zone(self):
        self.share_host()
        answer = self.boot(version='2.74', networks='none', host='same')
        self.assertEqual(409, answer.status, answer.text)
        self.assertIn('Pod1@same or Pod2@same', answer.fault)
        self.assert_booted('Pod2', self.boot(version='2.74', networks='none', host='Pod2@same'))
        self.assert_booted('Pod2', self.boot(availability_zone=':Pod2@same'))
        # Only one of the pods is in the zone.
        self.assert_booted('Pod2', self.boot(availability_zone='az2:same'))

    def test_hosts_zones_or_volumes_of_different_pods_are_refused_with_400(self):
        answer = self.boot(
            version='2.74', networks='none', host='pod1-compute-1', hypervisor_hostname='pod2-compute-1'
        )
        self.assertEqual(400, answer.status, answer.text)
        for name in ('pod1-compute-1', 'pod2-compute-1'):
            self.assertIn(name, answer.fault)
        answer = self.boot(availability_zone='az1:Pod2@pod2-compute-1')
        self.assertEqual(400, answer.status, answer.text)
        volume = self.cloud.lab.add_volumes('Pod1', 'admin')[0]['id']
        mapping = {'source_type': 'volume', 'destination_type': 'volume', 'uuid': volume, 'boot_index': 0}
        answer = self.boot(version='2.74', networks='none', host='pod2-compute-1', block_device_mapping_v2=[mapping])
        self.assertEqual(400, answer.status, answer.text)
        self.assertIn(volume, answer.fault)
        self.assertEqual({}, self.cloud.pod('Pod1').nova.servers | self.cloud.pod('Pod2').nova.servers)

    def test_unknown_host_is_refused_with_400(self):
        answer = self.boot(version='2.74', networks='none', host='nowhere')
        self.assertEqual((400, 'Compute host nowhere could not be found.'), (answer.status, answer.fault))

    def test_member_gets_403_for_host(self):
        answer = self.boot('demo', availability_zone='az2:pod2-compute-1')
        self.assertEqual(403, answer.status, answer.text)
        self.assertEqual(0, sum('os-services' in request.path for request in self.seen('Pod1')))

    def test_host_of_action_must_be_in_pod_of_server(self):
        self.share_host()
        server = self.cloud.lab.add_servers('Pod2', 'admin')[0]['id']
        path = f'/servers/{server}/action'
        answer = self.admin('POST', path, {'migrate': {'host': 'Pod1@same'}}, '2.56')
        self.assertEqual(400, answer.status, answer.text)
        self.admin('POST', path, {'migrate': {'host': 'Pod2@same'}}, '2.56')
        self.assertEqual(b'{"migrate": {"host": "same"}}', self.seen('Pod2', method='POST')[-1].body)


class TestImages(CreateTest):
    """Images whose block device mapping names a snapshot of a volume."""

    def setUp(self):
        super().setUp()
        volume = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        self.snapshot = self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})['snapshot']['id']
        mapping = [{'source_type': 'snapshot', 'destination_type': 'volume', 'snapshot_id': self.snapshot}]
        self.image = self.cloud.lab.glance.add_image('whole', block_device_mapping=mapping)['id']

    def test_server_from_image_is_created_in_pod_of_its_snapshot(self):
        for _again in range(2):
            self.assert_booted('Pod2', self.boot('demo', imageRef=self.image))
        looks = [request for pod in ('Pod1', 'Pod2') for request in self.seen(pod) if '/images/' in request.path]
        self.assertEqual(1, len(looks))

    def test_boot_volume_from_image_is_created_in_pod_of_its_snapshot(self):
        mapping = {'source_type': 'image', 'destination_type': 'volume', 'uuid': self.image, 'boot_index': 0}
        self.assert_booted('Pod2', self.boot('demo', block_device_mapping_v2=[mapping]))

    def test_image_and_zone_of_different_pods_are_refused_with_400(self):
        answer = self.boot('demo', imageRef=self.image, availability_zone='az1')
        self.assertIn(self.image, self.assert_own_words(answer, 400))

    def test_server_from_plain_image_goes_to_any_zone(self):
        self.assert_booted('Pod1', self.boot('demo', availability_zone='az1'))
        self.assert_booted('Pod2', self.boot('demo', availability_zone='az2'))


class TestSeveralServers(CreateTest):
    def test_all_servers_of_min_count_are_recorded(self):
        answer = self.boot('demo', min_count=3, max_count=3)
        self.assertEqual(202, answer.status, answer.text)
        self._wait(3)

    def test_all_servers_of_reservation_are_listed(self):
        answer = self.boot('demo', min_count=2, max_count=4, return_reservation_id=True)
        self.assertEqual(['reservation_id'], list(answer.json))
        self._wait(4)
        found = self.nova.get(f'/servers?reservation_id={answer["reservation_id"]}')['servers']
        self.assertEqual(4, len(found))

    def _wait(self, count):
        made = [*self.cloud.pod('Pod1').nova.servers, *self.cloud.pod('Pod2').nova.servers]
        self.assertEqual(count, len(made))
        self.wait_for(lambda: len(routings.get_many(self.cloud.runtime.db, 'server', made)) == count)


class TestVolumesBoot(CreateTest):
    """``os-volumes_boot``, an older path of ``servers``."""

    path = '/os-volumes_boot'

    def test_server_is_created_listed_stopped_and_deleted(self):
        volume = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        mapping = {'source_type': 'volume', 'destination_type': 'volume', 'uuid': volume, 'boot_index': 0}
        made = self.assert_booted('Pod2', self.boot('demo', block_device_mapping_v2=[mapping]))
        for listed in ('', '/detail'):
            answer = self.nova.get(f'/os-volumes_boot{listed}')
            self.assertEqual([made['id']], [server['id'] for server in answer['servers']])
        path = f'/os-volumes_boot/{made["id"]}'
        self.assertEqual(200, self.nova.get(path).status)
        self.assertEqual(202, self.nova.post(f'{path}/action', {'os-stop': None}).status)
        self.assertEqual(404, self.nova.get(path, version='2.103').status)
        self.assertEqual(204, self.nova.delete(path).status)

    def test_create_without_reachable_pod_is_503(self):
        self.break_pod('Pod1', Refuse())
        self.break_pod('Pod2', Refuse())
        self.assert_own_words(self.boot('demo'), 503)
