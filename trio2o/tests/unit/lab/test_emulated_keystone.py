# SPDX-License-Identifier: Apache-2.0
"""The emulated Keystone with the clients of Keystone."""

import datetime

import testtools
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from trio2o.lab.emulated.clock import SetClock
from trio2o.lab.emulated.topology import PASSWORD, Cloud

URL = 'http://keystone.test:5000/v3'


class TestKeystone(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.clock = SetClock(datetime.datetime(2026, 1, 1))
        self.cloud = Cloud(pods=2, clock=self.clock)
        self.transport = self.cloud.transport()

    def session(self, user='demo', project='demo', password=PASSWORD):
        auth = v3.Password(
            URL,
            username=user,
            password=password,
            project_name=project,
            user_domain_id='default',
            project_domain_id='default',
        )
        made = session.Session(auth=auth)
        made.mount('http://', self.cloud.adapter())
        return made

    def validate(self, token):
        return self.transport.request(
            'GET', URL + '/auth/tokens', {'X-Auth-Token': self.cloud.token('admin'), 'X-Subject-Token': token}
        )

    def test_password_gives_token_with_catalog(self):
        made = self.session()
        self.assertEqual(self.cloud.project_id('demo'), made.get_project_id())
        for region, expected in (
            ('RegionOne', 'http://gateway.test:19998/v2.1'),
            ('Pod1', 'http://pod1.nova.test:8774/v2.1'),
            ('Pod2', 'http://pod2.nova.test:8774/v2.1'),
        ):
            self.assertEqual(
                expected, made.auth.get_endpoint(made, service_type='compute', region_name=region, skip_discovery=True)
            )

    def test_discovery_finds_maximum_version_of_pod(self):
        found = self.session().get_endpoint_data(service_type='compute', region_name='Pod1')
        self.assertEqual((2, 104), found.max_microversion)

    def test_wrong_password_or_project_is_401(self):
        for options in ({'password': 'x'}, {'project': 'alt'}, {'user': 'nobody'}):
            self.assertRaises(exceptions.Unauthorized, self.session(**options).get_token)

    def test_valid_token_is_accepted_and_others_are_404(self):
        token = self.cloud.token('demo', expires_in=60)
        status, headers, _ = self.validate(token)
        self.assertEqual(200, status)
        self.assertIn(('X-Subject-Token', token), headers)
        self.clock.advance(61)
        self.assertEqual(404, self.validate(token)[0])
        self.assertEqual(404, self.validate('nonsense')[0])
        other = self.cloud.token('demo')
        self.cloud.keystone.revoke(other)
        self.assertEqual(404, self.validate(other)[0])

    def test_roles_imply_lower_roles(self):
        admin = self.cloud.keystone.find(self.cloud.token('admin'))
        self.assertEqual(('admin', 'manager', 'member', 'reader'), admin.roles)
        self.assertEqual(('reader',), self.cloud.keystone.find(self.cloud.token('reader')).roles)

    def test_endpoints_are_listed_by_region(self):
        made = self.session('admin', 'admin')
        rows = made.get(URL + '/endpoints?region_id=Pod2&interface=public').json()['endpoints']
        self.assertEqual(
            {
                'http://pod2.nova.test:8774/v2.1',
                'http://pod2.cinder.test:8776/v3',
                'http://pod2.placement.test:8778',
                'http://keystone.test:5000/v3',
                'http://glance.test:9292',
                'http://neutron.test:9696',
            },
            {row['url'] for row in rows},
        )
        regions = made.get(URL + '/regions').json()['regions']
        self.assertEqual(['RegionOne', 'Pod1', 'Pod2'], [row['id'] for row in regions])

    def test_changed_token_is_unknown(self):
        token = self.cloud.token('demo')
        forged = token[:-1] + ('0' if token[-1] != '0' else '1')
        self.assertIsNone(self.cloud.keystone.find(forged))
