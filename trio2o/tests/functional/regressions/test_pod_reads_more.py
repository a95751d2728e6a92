# SPDX-License-Identifier: Apache-2.0
"""Values that pods understand although they look odd: the quota counts what the pod makes of them."""

import hypothesis
from hypothesis import strategies as st
from nova.api.openstack import common

from trio2o.gateway.requested import flavor_id_of, whole_number
from trio2o.tests.functional.quota.base import QuotaCase


class TestFlavorReferences(QuotaCase):
    limits = {'instances': 9, 'cores': 3}

    def test_reference_with_query_or_fragment_claims_quota(self):
        self.make_flavor('huge', vcpus=4, ram=1)
        for reference in (
            'huge',
            'huge?',
            'huge#',
            'huge?/x',
            'huge?/f1',
            'http://a/b/huge?x=1#f1',
            '\thuge',
            'x/huge',
        ):
            answer = self.boot(status=403, flavor=reference)
            self.assertIn('cores', answer.fault, reference)
        self.assertEqual({}, self.used())
        self.assertEqual([], self.claims())

    def test_server_of_odd_reference_is_counted(self):
        self.boot(flavor='f1?')
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_number_as_reference_is_its_text(self):
        self.make_flavor('1.0', vcpus=4, ram=1)
        for reference in ('1.0', 1.0):
            self.boot(status=403, flavor=reference)
        server_id = self.server()
        answer = self.cloud.nova.post(f'/servers/{server_id}/action', {'resize': {'flavorRef': 1.0}})
        self.assertEqual(403, answer.status, answer.text)

    def test_malformed_reference_is_400_and_not_sent(self):
        self.cloud.lab.clear_logs()
        self.boot(status=400, flavor='http://[')
        self.assertEqual([], [each for each in self.cloud.pod('Pod1').nova.requests if each.method == 'POST'])

    @hypothesis.given(st.text(st.sampled_from('af1/?#:\t @[]\u00e9')) | st.integers() | st.floats())
    def test_reference_is_read_as_nova_reads_it(self, reference):
        try:
            wanted = common.get_id_from_href(reference)
        except ValueError:
            wanted = None
        self.assertEqual(wanted, flavor_id_of(reference))


class TestNumbers(QuotaCase):
    limits = {'instances': 2, 'gigabytes': 5}
    ZEROS = '0' * 40

    def test_count_with_leading_zeros_claims_quota(self):
        for count in ('3', f'{self.ZEROS}3', 3.0):
            self.boot(status=403, min_count=count, max_count=count)
        self.assertEqual({}, self.used())
        self.boot(min_count=f'{self.ZEROS}2', max_count=f'{self.ZEROS}2')
        # One of the servers is recorded after the answer; until then it is claimed.
        self.assertEqual(2, sum(self.used()['instances']))

    def test_size_with_leading_zeros_claims_quota(self):
        volume_id = self.volume()
        for size in (6, f'{self.ZEROS}6', '9' * 300, 6.0):
            answer = self.cloud.cinder.post(f'/volumes/{volume_id}/action', {'os-extend': {'new_size': size}})
            self.assertEqual(413, answer.status, answer.text)
        self.assertUsed(gigabytes=1)

    # The first text takes seconds on a busy machine.
    @hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    @hypothesis.given(st.from_regex(r'\s?\+?[\d_]{1,60}\s?', fullmatch=True))
    def test_number_is_what_int_reads(self, text):
        try:
            wanted = min(int(text), 0x7FFFFFFF)
        except ValueError:
            wanted = 0
        self.assertEqual(wanted, whole_number(text))


class TestLimits(QuotaCase):
    """A limit with zeros at its start is a limit over all pods, and none in a pod."""

    ZEROS = '0' * 40

    def test_limit_with_leading_zeros_applies_to_all_pods(self):
        for service, path, key, name in (
            ('nova', f'/os-quota-sets/{self.project}', 'quota_set', 'instances'),
            ('nova', '/os-quota-class-sets/default', 'quota_class_set', 'instances'),
            ('cinder', f'/os-quota-sets/{self.project}', 'quota_set', 'volumes'),
            ('cinder', '/os-quota-class-sets/default', 'quota_class_set', 'volumes'),
        ):
            client = getattr(self.cloud, service)
            answer = client.put(path, {key: {name: f'{self.ZEROS}1'}}, as_='admin')
            self.assertEqual((200, 1), (answer.status, answer[key][name]), answer.text)
            in_pod = self.cloud.direct('Pod1', service).get(path, as_='admin')
            self.assertEqual(-1, in_pod[key][name], path)
        self.boot()
        self.boot(status=403, zone='az2')

    def test_text_beyond_the_greatest_limit_is_400(self):
        for limit in ('9' * 40, f'-{self.ZEROS}2', 1 << 31):
            answer = self.cloud.nova.put(
                f'/os-quota-sets/{self.project}', {'quota_set': {'instances': limit}}, as_='admin'
            )
            self.assertEqual(400, answer.status, limit)


class TestSizesOfSnapshots(QuotaCase):
    """Cinder gives a volume the size and the type of its snapshot, if the request names none."""

    limits = {'gigabytes': 50, 'volumes': 10}

    def setUp(self):
        super().setUp()
        body = {'snapshot': {'volume_id': self.volume(size=20)}}
        self.snapshot_id = self.cloud.cinder.post('/snapshots', body)['snapshot']['id']
        self.settle()

    def test_server_claims_size_of_snapshot(self):
        device = {'source_type': 'snapshot', 'destination_type': 'volume', 'uuid': self.snapshot_id, 'boot_index': 0}
        for given in (
            {'block_device_mapping_v2': [device]},
            {'block_device_mapping': [{'device_name': 'vda', 'snapshot_id': self.snapshot_id}]},
        ):
            answer = self.boot(status=403, **given)
            self.assertIn('gigabytes', answer.fault)
        self.boot(block_device_mapping_v2=[{**device, 'volume_size': 10}])

    def test_image_made_of_snapshot_claims_its_size(self):
        root = {'source_type': 'snapshot', 'destination_type': 'volume', 'boot_index': 0}
        mapping = [{**root, 'snapshot_id': self.snapshot_id}]
        image = self.cloud.lab.glance.add_image('whole', block_device_mapping=mapping)['id']
        self.assertIn('gigabytes', self.boot(status=403, imageRef=image).fault)
        self.make_volume(status=413, size=None, imageRef=image)
        self.make_volume(size=10, imageRef=image)

    def test_volume_claims_size_of_the_snapshot_that_its_image_boots_from(self):
        body = {'snapshot': {'volume_id': self.volume(size=1)}}
        other = self.cloud.cinder.post('/snapshots', body)['snapshot']['id']
        mapping = [
            {'source_type': 'snapshot', 'destination_type': 'volume', 'snapshot_id': snapshot_id, 'boot_index': index}
            for index, snapshot_id in ((1, other), (0, self.snapshot_id))
        ]
        image = self.cloud.lab.glance.add_image('whole', block_device_mapping=mapping)['id']
        plain = self.cloud.lab.image['id']
        for given in (
            {'imageRef': image},
            {'imageRef': f'http://glance.test/v2/images/{image}'},
            {'imageRef': 'whole'},
            {'imageRef': plain, 'image_id': image},
        ):
            self.make_volume(status=413, size=None, **given)
        self.make_volume(size=5, imageRef=image)

    def test_volume_through_nova_claims_size_of_snapshot(self):
        body = {'volume': {'snapshot_id': self.snapshot_id}}
        answer = self.cloud.nova.post('/os-volumes', body)
        self.assertEqual(403, answer.status, answer.text)
        self.assertUsed(volumes=1, gigabytes=40)


class TestSizesOfSnapshotsInOnePod(TestSizesOfSnapshots):
    pods = 1


class TestVolumesOfImages(QuotaCase):
    """An image may define the volumes of a server, and the type of volumes."""

    limits = {'gigabytes': 50, 'volumes': 3, 'gigabytes_gold': 1}

    def setUp(self):
        super().setUp()
        answer = self.cloud.cinder.post('/types', {'volume_type': {'name': 'gold'}}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        answer = self.cloud.cinder.put(
            f'/os-quota-sets/{self.project}', {'quota_set': {'gigabytes_gold': 1}}, as_='admin'
        )
        self.assertEqual(200, answer.status, answer.text)

    def add_image(self, **given):
        return self.cloud.lab.glance.add_image('of volumes', **given)['id']

    def test_server_claims_volumes_that_its_image_defines(self):
        blank = {'source_type': 'blank', 'destination_type': 'volume', 'volume_size': 60, 'device_name': '/dev/vdb'}
        image = self.add_image(block_device_mapping=[blank], bdm_v2=True)
        self.assertIn('gigabytes', self.boot(status=403, imageRef=image).fault)
        local = {**blank, 'destination_type': 'local', 'volume_size': 1}
        self.boot(imageRef=image, block_device_mapping_v2=[local])
        three = self.add_image(block_device_mapping=[{**blank, 'volume_size': 1}] * 4, bdm_v2=True)
        self.assertIn('volumes', self.boot(status=403, imageRef=three).fault)

    def test_root_device_of_image_replaces_the_one_of_the_body(self):
        root = {'source_type': 'blank', 'destination_type': 'volume', 'volume_size': 60, 'boot_index': 0}
        image = self.add_image(block_device_mapping=[root], bdm_v2=True)
        device = {'source_type': 'image', 'destination_type': 'volume', 'volume_size': 1, 'boot_index': 0}
        given = {'imageRef': '', 'block_device_mapping_v2': [{**device, 'uuid': image}]}
        self.assertIn('gigabytes', self.boot(status=403, **given).fault)

    def test_volume_counts_for_the_type_that_its_image_names(self):
        image = self.add_image(cinder_img_volume_type='gold')
        self.make_volume(status=413, size=2, imageRef=image)
        device = {'source_type': 'image', 'destination_type': 'volume', 'uuid': image, 'boot_index': 0}
        answer = self.boot(status=403, imageRef='', block_device_mapping_v2=[{**device, 'volume_size': 2}])
        self.assertIn('gigabytes_gold', answer.fault)
        self.make_volume(size=2, imageRef=image, volume_type='__DEFAULT__')


class TestQueries(QuotaCase):
    def test_fragment_in_query_is_part_of_it(self):
        self.server()
        other = self.cloud.project_id('alt')
        self.assertEqual(403, self.cloud.nova.get(f'/limits?tenant_id={other}').status)
        self.assertEqual(403, self.cloud.nova.get(f'/limits?#&tenant_id={other}').status)

    def test_project_or_user_that_counts_in_the_pod_is_shown(self):
        self.server()
        self.volume()
        own, other = self.project, self.cloud.project_id('alt')
        for query, used in ((f'tenant_id={own}&tenant_id={other}', 0), (f'tenant_id={other}&tenant_id={own}', 1)):
            answer = self.cloud.nova.get(f'/limits?{query}', as_='admin')
            self.assertEqual(used, answer['limits']['absolute']['totalInstancesUsed'], query)
        for query, used in (
            (f'project_id={own}&project_id={other}', 0),
            (f'project_id={other}&project_id={own}', 1),
            (f'project_id={other}&tenant_id={own}', 0),
            (f'project_id=&tenant_id={own}', 0),
        ):
            answer = self.cloud.cinder.get(f'/limits?{query}', as_='admin', version='3.70')
            self.assertEqual(used, answer['limits']['absolute']['totalVolumesUsed'], query)
        user_id = self.cloud.lab.user_id('demo')
        path = f'/os-quota-sets/{own}/detail'
        for query, used in ((f'user_id={user_id}&user_id=x', 0), (f'user_id=x&user_id={user_id}', 1)):
            answer = self.cloud.nova.get(f'{path}?{query}', as_='admin')
            self.assertEqual(used, answer['quota_set']['instances']['in_use'], query)
