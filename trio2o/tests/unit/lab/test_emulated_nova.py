# SPDX-License-Identifier: Apache-2.0
"""The emulated Nova: tokens, versions, projects and servers."""

import datetime

import testtools

from trio2o.lab.emulated import nova
from trio2o.lab.emulated.clock import SetClock
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.unit.lab.client import Client

NOWHERE = '11111111-2222-3333-4444-555555555555'


class Base(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = SetClock(datetime.datetime(2026, 1, 1))
        self.cloud = Cloud(pods=1, clock=self.clock)
        self.pod = self.cloud.pod('Pod1')
        self.client = Client(self.cloud)
        self.admin = Client(self.cloud, user='admin')

    def boot(self, version=None, **given):
        body = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.image['id'], **given}
        return self.client.nova('POST', '/servers', {'server': body}, version)


class TestVersions(Base):
    def test_version_documents_are_those_of_nova(self):
        root = self.client.follow('http://pod1.nova.test:8774/')
        self.assertEqual(['v2.0', 'v2.1'], [row['id'] for row in root.json['versions']])
        document = self.client.nova('GET', '').json['version']
        self.assertEqual('http://pod1.nova.test:8774/v2.1/', document['links'][0]['href'])
        self.assertEqual(('2.1', '2.104'), (document['min_version'], document['version']))
        self.assertEqual(300, self.client.follow('http://pod1.nova.test:8774/other').status)

    def test_version_header_is_negotiated(self):
        for header, status, echoed in (
            (None, 200, '2.1'),
            ('compute 2.79', 200, '2.79'),
            ('volume 3.60', 200, '2.1'),
            ('compute latest', 200, '2.104'),
            ('compute 2.999', 406, '2.999'),
            ('compute 2.5, compute 2.7', 200, '2.7'),
            ('volume 3.1, compute 2.9', 200, '2.9'),
        ):
            headers = {'OpenStack_API_Version': header} if header else {}
            answer = self.client.nova('GET', '/servers', **headers)
            self.assertEqual(
                (status, [f'compute {echoed}'], [echoed]),
                (
                    answer.status,
                    answer.headers['openstack-api-version'],
                    answer.headers['x-openstack-nova-api-version'],
                ),
                header,
            )
            self.assertEqual(2, len(answer.headers['vary']))

    def test_legacy_header_is_read_and_malformed_version_is_400(self):
        answer = self.client.nova('GET', '/servers', X_OpenStack_Nova_API_Version='2.10')
        self.assertEqual(['2.10'], answer.headers['x-openstack-nova-api-version'])
        self.assertEqual(400, self.client.nova('GET', '/servers', version='abc').status)

    def test_version_above_maximum_of_older_pod_is_406(self):
        cloud = Cloud(pods=1, nova=nova.Settings(max_minor=53))
        client = Client(cloud)
        answer = client.nova('GET', '/servers', version='2.60')
        self.assertEqual(406, answer.status)
        self.assertIn('maximum is 2.53', answer.message)
        latest = client.nova('GET', '/servers', version='latest')
        self.assertEqual(['compute 2.53'], latest.headers['openstack-api-version'])

    def test_method_of_later_version_is_404(self):
        server = self.cloud.add_servers('Pod1', 'demo')[0]['id']
        self.assertEqual(404, self.client.nova('GET', f'/servers/{server}/tags').status)
        self.assertEqual(200, self.client.nova('GET', f'/servers/{server}/tags', version='2.26').status)


class TestProjects(Base):
    def test_invalid_token_is_401(self):
        for token in ('', 'nonsense', self.cloud.token(expires_in=-1)):
            self.client.token = token
            answer = self.client.nova('GET', '/servers')
            self.assertEqual(401, answer.status)
            self.assertEqual({'error'}, set(answer.json))
            self.assertEqual(['Keystone uri="http://keystone.test:5000"'], answer.headers['www-authenticate'])

    def test_project_in_path_is_kept_in_links_and_other_is_400(self):
        mine = self.cloud.project_id('demo')
        self.cloud.add_servers('Pod1', 'demo')
        server = self.client.nova('GET', f'/{mine}/servers').json['servers'][0]
        self.assertTrue(server['links'][0]['href'].startswith(f'http://pod1.nova.test:8774/v2.1/{mine}/servers/'))
        self.assertTrue(server['links'][1]['href'].startswith(f'http://pod1.nova.test:8774/{mine}/servers/'))
        other = self.client.nova('GET', f'/{NOWHERE}/servers')
        self.assertEqual(400, other.status)
        self.assertIn('Malformed request URL', other.message)

    def test_links_have_host_of_request(self):
        self.cloud.add_servers('Pod1', 'demo')
        answer = self.client.nova('GET', '/servers?limit=1', Host='front.test').json
        self.assertTrue(answer['servers'][0]['links'][0]['href'].startswith('http://front.test/v2.1/servers/'))
        self.assertTrue(answer['servers_links'][0]['href'].startswith('http://front.test/v2.1/'))

    def test_server_of_another_project_is_404(self):
        server = self.cloud.add_servers('Pod1', 'alt')[0]['id']
        answer = self.client.nova('GET', f'/servers/{server}')
        self.assertEqual((404, f'Instance {server} could not be found.'), (answer.status, answer.message))
        self.assertEqual(200, self.admin.nova('GET', f'/servers/{server}').status)

    def test_unknown_path_gets_answer_of_webob(self):
        plain = self.client.nova('GET', '/nope')
        self.assertEqual(404, plain.status)
        self.assertIn(b'404 Not Found', plain.body)
        self.assertEqual(
            {'message', 'code', 'title'}, set(self.client.nova('GET', '/nope', Accept='application/json').json)
        )
        self.assertEqual(404, self.client.nova('PATCH', '/servers').status)

    def test_requests_are_recorded(self):
        self.boot()
        seen = self.pod.nova.requests[-1]
        self.assertEqual(('POST', '/v2.1/servers', 202), (seen.method, seen.path, seen.status))
        self.assertEqual('s', seen.json['server']['name'])
        self.assertEqual(self.client.token, seen.headers['x-auth-token'])


class TestServers(Base):
    def test_server_is_created_shown_and_deleted(self):
        answer = self.boot()
        self.assertEqual(202, answer.status)
        made = answer.json['server']
        self.assertEqual([made['links'][0]['href']], answer.headers['location'])
        self.assertEqual('ACTIVE', self.client.nova('GET', f'/servers/{made["id"]}').json['server']['status'])
        self.assertEqual(204, self.client.nova('DELETE', f'/servers/{made["id"]}').status)
        self.assertEqual(404, self.client.nova('GET', f'/servers/{made["id"]}').status)

    def test_server_changes_status_by_clock_of_pod(self):
        self.pod.nova.settings.build_seconds = 5
        self.pod.nova.settings.delete_seconds = None
        path = '/servers/' + self.boot().json['server']['id']
        self.assertEqual('BUILD', self.client.nova('GET', path).json['server']['status'])
        self.clock.advance(6)
        self.assertEqual('ACTIVE', self.client.nova('GET', path).json['server']['status'])
        self.client.nova('DELETE', path)
        shown = self.client.nova('GET', path).json['server']
        self.assertEqual('deleting', shown['OS-EXT-STS:task_state'])
        self.pod.nova.settle(everything=True)
        self.assertEqual(404, self.client.nova('GET', path).status)

    def test_invalid_server_is_refused(self):
        for given, version, status, text in (
            ({'flavorRef': 'x'}, '2.1', 400, 'Flavor x could not be found.'),
            ({'imageRef': NOWHERE}, '2.1', 400, 'Can not find requested image'),
            ({'key_name': 'x'}, '2.1', 400, 'Invalid key_name provided.'),
            ({'availability_zone': 'x'}, '2.1', 400, 'The requested availability zone is not available'),
            ({'name': ''}, '2.1', 400, 'name'),
            ({}, '2.37', 400, 'networks'),
            ({'min_count': 2, 'max_count': 1}, '2.1', 400, 'min_count must be <= max_count'),
            ({'surprise': 1}, '2.1', 400, 'surprise'),
        ):
            answer = self.boot(version, **given)
            self.assertEqual(status, answer.status, given)
            self.assertIn(text, answer.message)
        self.assertEqual({}, self.pod.nova.servers)

    def test_create_over_quota_is_403(self):
        self.pod.nova.quota_sets[self.cloud.project_id('demo')] = {'instances': 2}
        self.boot()
        answer = self.boot(min_count=2)
        self.assertEqual(403, answer.status)
        self.assertEqual(
            'Quota exceeded for instances: Requested 2, but already used 1 of 2 instances', answer.message
        )

    def test_reservation_has_all_servers(self):
        answer = self.boot(min_count=3, return_reservation_id=True)
        reservation = answer.json['reservation_id']
        self.assertNotIn('location', answer.headers)
        shown = self.client.nova('GET', f'/servers?reservation_id={reservation}').json['servers']
        self.assertEqual({'s-1', 's-2', 's-3'}, {row['name'] for row in shown})

    def test_actions_change_status_of_server(self):
        path = '/servers/' + self.boot().json['server']['id']
        for body, status, after in (
            ({'os-stop': None}, 202, 'SHUTOFF'),
            ({'os-stop': None}, 409, 'SHUTOFF'),
            ({'os-start': None}, 202, 'ACTIVE'),
            ({'pause': None}, 202, 'PAUSED'),
            ({'unpause': None}, 202, 'ACTIVE'),
            ({'resize': {'flavorRef': '2'}}, 202, 'VERIFY_RESIZE'),
            ({'confirmResize': None}, 204, 'ACTIVE'),
            ({'nope': None}, 400, 'ACTIVE'),
            ({'os-stop': None, 'os-start': None}, 400, 'ACTIVE'),
            ({'reboot': {'type': 'SOFT'}}, 202, 'ACTIVE'),
        ):
            self.assertEqual(status, self.client.nova('POST', path + '/action', body).status, body)
            self.assertEqual(after, self.client.nova('GET', path).json['server']['status'])
        self.assertEqual('2', self.client.nova('GET', path).json['server']['flavor']['id'])

    def test_instance_actions_have_request_ids(self):
        answer = self.boot()
        wanted = answer.headers['x-compute-request-id'][0]
        path = f'/servers/{answer.json["server"]["id"]}/os-instance-actions'
        self.assertEqual(200, self.client.nova('GET', f'{path}/{wanted}').status)
        self.client.nova('DELETE', path.rpartition('/')[0])
        self.assertEqual(404, self.client.nova('GET', path, version='2.20').status)
        listed = self.client.nova('GET', path, version='2.21').json['instanceActions']
        self.assertEqual(['delete', 'create'], [row['action'] for row in listed])

    def test_events_have_a_code_for_each_server(self):
        server = self.boot().json['server']['id']
        self.client.nova('GET', '/servers')
        events = [{'name': 'network-changed', 'server_uuid': one} for one in (server, NOWHERE)]
        answer = self.admin.nova('POST', '/os-server-external-events', {'events': events})
        self.assertEqual(207, answer.status)
        self.assertEqual([200, 404], [row['code'] for row in answer.json['events']])
        alone = self.admin.nova('POST', '/os-server-external-events', {'events': events[:1]})
        self.assertEqual(200, alone.status)
        self.assertEqual(403, self.client.nova('POST', '/os-server-external-events', {'events': events}).status)


class TestVolumesOfServers(Base):
    def setUp(self):
        super().setUp()
        self.path = '/servers/' + self.boot().json['server']['id']
        self.volume = self.cloud.add_volumes('Pod1', 'demo')[0]['id']
        self.client.nova('GET', '/servers')

    def attach(self, volume, version=None):
        return self.client.nova(
            'POST', self.path + '/os-volume_attachments', {'volumeAttachment': {'volumeId': volume}}, version
        )

    def test_volume_is_attached_and_detached(self):
        self.assertEqual(200, self.attach(self.volume).status)
        shown = self.client.cinder('GET', f'/volumes/{self.volume}').json['volume']
        self.assertEqual('in-use', shown['status'])
        self.assertEqual(self.path.rpartition('/')[2], shown['attachments'][0]['server_id'])
        attachment = shown['attachments'][0]['attachment_id']
        refused = self.client.cinder('DELETE', f'/attachments/{attachment}', version='3.27')
        self.assertEqual(409, refused.status)
        self.assertEqual(400, self.attach(self.volume).status)
        self.client.nova('DELETE', f'{self.path}/os-volume_attachments/{self.volume}')
        self.assertEqual('available', self.client.cinder('GET', f'/volumes/{self.volume}').json['volume']['status'])

    def test_from_2_101_attach_is_202_without_body(self):
        answer = self.attach(self.volume, '2.101')
        self.assertEqual((202, b''), (answer.status, answer.body))

    def test_volume_of_other_pod_is_404(self):
        cloud_volume = self.cloud.add_pod('Pod2') and self.cloud.add_volumes('Pod2', 'demo')[0]
        answer = self.attach(cloud_volume['id'])
        self.assertEqual((404, f'Volume {cloud_volume["id"]} could not be found.'), (answer.status, answer.message))

    def test_boot_volume_is_created_and_deleted_with_server(self):
        answer = self.boot(
            imageRef='',
            block_device_mapping_v2=[
                {
                    'boot_index': 0,
                    'source_type': 'image',
                    'destination_type': 'volume',
                    'uuid': self.cloud.image['id'],
                    'volume_size': 2,
                    'delete_on_termination': True,
                }
            ],
        )
        server = answer.json['server']['id']
        attached = self.client.nova('GET', f'/servers/{server}').json['server']
        volume = attached['os-extended-volumes:volumes_attached'][0]['id']
        self.assertIn(volume, self.pod.cinder.volumes)
        self.client.nova('DELETE', f'/servers/{server}')
        self.client.nova('GET', '/servers')
        self.assertNotIn(volume, self.pod.cinder.volumes)
