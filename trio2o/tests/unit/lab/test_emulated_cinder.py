# SPDX-License-Identifier: Apache-2.0
"""The emulated Cinder, as far as it differs from Nova: versions, metadata, types, quota."""

import datetime

import testtools

from trio2o.lab.emulated.clock import SetClock
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.unit.lab.client import Client

HERE = 'http://pod1.cinder.test:8776'


class Base(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=2, clock=SetClock(datetime.datetime(2026, 1, 1)))
        self.pod = self.cloud.pod('Pod1')
        self.client = Client(self.cloud)
        self.admin = Client(self.cloud, user='admin')


class TestVersions(Base):
    def test_version_documents_are_those_of_cinder(self):
        self.assertEqual(300, self.client.follow(HERE + '/').status)
        self.assertEqual(302, self.client.follow(HERE + '/v3').status)
        document = self.client.follow(HERE + '/v3/').json['versions'][0]
        self.assertEqual(('3.0', '3.71'), (document['min_version'], document['version']))
        self.client.token = ''
        self.assertEqual(401, self.client.follow(HERE + '/v3/').status)

    def test_version_header_is_negotiated(self):
        for header, status, echoed in (
            ('volume 3.60', 200, '3.60'),
            ('volumev3 3.60', 200, '3.60'),
            ('volume latest', 200, '3.71'),
            ('volume 3.999', 406, '3.999'),
            ('compute 2.79, volume 3.5', 200, '3.5'),
        ):
            answer = self.client.cinder('GET', '/volumes', OpenStack_API_Version=header)
            self.assertEqual(
                (status, [f'volume {echoed}']), (answer.status, answer.headers['openstack-api-version']), header
            )
            self.assertEqual(['OpenStack-API-Version'], answer.headers['vary'])

    def test_version_header_of_other_service_is_400(self):
        for header in ('compute 2.79', 'block-storage 3.60'):
            answer = self.client.cinder('GET', '/volumes', OpenStack_API_Version=header)
            self.assertEqual(400, answer.status)
            self.assertEqual({'badRequest'}, set(answer.json))

    def test_json_suffix_is_accepted(self):
        self.assertEqual(200, self.client.cinder('GET', '/volumes.json').status)


class TestVolumes(Base):
    def create(self, **given):
        return self.client.cinder('POST', '/volumes', {'volume': {'size': 1, **given}})

    def test_volume_is_created_shown_and_deleted(self):
        answer = self.create(name='v')
        self.assertEqual((202, 'creating'), (answer.status, answer.json['volume']['status']))
        path = f'/volumes/{answer.json["volume"]["id"]}'
        shown = self.client.cinder('GET', path).json['volume']
        self.assertEqual('available', shown['status'])
        self.assertEqual('2026-01-01T00:00:00.000000', shown['created_at'])
        self.assertEqual(202, self.client.cinder('DELETE', path).status)
        self.assertEqual(404, self.client.cinder('GET', path).status)

    def test_quota_is_413_with_retry_after(self):
        self.pod.cinder.quota_sets[self.cloud.project_id('demo')] = {'volumes': 1}
        self.create()
        answer = self.create()
        self.assertEqual((413, ['0']), (answer.status, answer.headers['retry-after']))
        self.assertEqual({'overLimit'}, set(answer.json))
        self.assertEqual('0', answer.json['overLimit']['retryAfter'])

    def test_invalid_volume_is_refused(self):
        for given, status in (
            ({'size': 0}, 400),
            ({'volume_type': 'nope'}, 404),
            ({'availability_zone': 'nope'}, 400),
            ({'snapshot_id': 'x'}, 404),
            ({'source_volid': 'x'}, 404),
            ({'surprise': 1}, 400),
        ):
            self.assertEqual(status, self.create(**given).status, given)

    def test_etag_of_metadata_is_checked(self):
        volume = self.cloud.add_volumes('Pod1', 'demo')[0]['id']
        path = f'/volumes/{volume}/metadata'
        etag = self.client.cinder('GET', path, version='3.15').headers['etag'][0]
        self.assertNotIn('etag', self.client.cinder('GET', path).headers)
        body = {'metadata': {'a': 'b'}}
        self.assertEqual(412, self.client.cinder('PUT', path, body, '3.15', If_Match='other').status)
        self.assertEqual(200, self.client.cinder('PUT', path, body, '3.15', If_Match=f'"{etag}"').status)
        answer = self.client.cinder('DELETE', path + '/a')
        self.assertEqual((200, b''), (answer.status, answer.body))

    def test_forwarded_host_is_in_links(self):
        volume = self.cloud.add_volumes('Pod1', 'demo')[0]['id']
        shown = self.client.cinder('GET', f'/volumes/{volume}', X_Forwarded_Host='front.test')
        self.assertEqual(f'http://front.test/v3/volumes/{volume}', shown.json['volume']['links'][0]['href'])

    def test_actions_change_volume_and_check_its_state(self):
        volume = self.create().json['volume']['id']
        path = f'/volumes/{volume}/action'
        self.client.cinder('GET', '/volumes')
        for body, status in (
            ({'os-extend': {'new_size': 3}}, 202),
            ({'os-extend': {'new_size': 2}}, 400),
            ({'os-reserve': {}}, 202),
            ({'os-reserve': {}}, 400),
            ({'os-unreserve': {}}, 202),
            ({'os-reset_status': {'status': 'error'}}, 403),
            ({'os-set_bootable': {'bootable': True}}, 200),
            ({'nope': {}}, 400),
        ):
            self.assertEqual(status, self.client.cinder('POST', path, body).status, body)
        shown = self.client.cinder('GET', f'/volumes/{volume}').json['volume']
        self.assertEqual((3, 'true'), (shown['size'], shown['bootable']))


class TestTypes(Base):
    def test_ids_of_types_differ_by_pod(self):
        first, second = (next(iter(self.cloud.pod(name).cinder.types.values())) for name in ('Pod1', 'Pod2'))
        self.assertEqual('__DEFAULT__', first['name'])
        self.assertEqual(first['name'], second['name'])
        self.assertNotEqual(first['id'], second['id'])
        chosen = self.admin.cinder('POST', '/types', {'volume_type': {'name': 'x', 'id': 'mine'}})
        self.assertEqual(400, chosen.status)

    def test_private_type_is_hidden_without_access(self):
        kind = self.admin.cinder(
            'POST', '/types', {'volume_type': {'name': 'gold', 'os-volume-type-access:is_public': False}}
        ).json['volume_type']['id']
        self.assertEqual(404, self.client.cinder('GET', f'/types/{kind}').status)
        self.admin.cinder(
            'POST', f'/types/{kind}/action', {'addProjectAccess': {'project': self.cloud.project_id('demo')}}
        )
        self.assertEqual(200, self.client.cinder('GET', f'/types/{kind}').status)
        names = {row['name'] for row in self.client.cinder('GET', '/types').json['volume_types']}
        self.assertEqual({'gold', '__DEFAULT__'}, names)

    def test_used_type_is_not_deleted(self):
        kind = self.admin.cinder('POST', '/types', {'volume_type': {'name': 'gold'}}).json['volume_type']['id']
        self.client.cinder('POST', '/volumes', {'volume': {'size': 1, 'volume_type': 'gold'}})
        self.assertEqual(400, self.admin.cinder('DELETE', f'/types/{kind}').status)
