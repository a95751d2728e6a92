# SPDX-License-Identifier: Apache-2.0
"""How the commands find the Admin API, and their errors when it is missing."""

from trio2o.lab.emulated import faults
from trio2o.lab.emulated.topology import PASSWORD
from trio2o.tests.fixtures.cloud import GATEWAY
from trio2o.tests.functional.osc.base import CommandTestCase

URL = f'http://{GATEWAY}:19996'


class TestEndpoint(CommandTestCase):
    def without_catalog(self, *names):
        keystone = self.cloud.lab.keystone
        keystone.endpoints = [row for row in keystone.endpoints if row.service_type != 'trio2o']
        for name in names:
            keystone.add_endpoint('RegionOne', name, f'{URL}/v1.0')

    def test_no_endpoint_in_catalog_is_refused_and_option_overrides_it(self):
        self.without_catalog()
        self.refused(["'trio2o' in region RegionOne", '--os-trio2o-endpoint'], 'pod list')
        for endpoint in (URL, f'{URL}/', f'{URL}/v1.0', f'{URL}/v1.0/'):
            printed = self.openstack(f'--os-trio2o-endpoint {endpoint} trio2o pod list -f value -c Name')
            self.assertEqual('Pod1\nPod2\n', printed.out)
        self.run_command('pod list', OS_TRIO2O_ENDPOINT=URL)

    def test_endpoint_named_cascading_is_found(self):
        self.without_catalog('Cascading')
        self.assertEqual(['Pod1', 'Pod2'], self.names('pod list'))

    def test_clouds_yaml_gives_credentials_and_endpoint(self):
        with open(self.clouds, 'w') as file:
            file.write(
                'clouds:\n  top:\n    region_name: RegionOne\n    identity_api_version: 3\n    auth:\n'
                f'      auth_url: {self.cloud.lab.keystone.url}/v3\n      username: admin\n'
                f'      password: {PASSWORD}\n      project_name: admin\n'
                '      user_domain_name: Default\n      project_domain_name: Default\n'
            )
        self.credentials = lambda: {'OS_CLIENT_CONFIG_FILE': self.clouds}
        printed = self.openstack('--os-cloud top trio2o pod list -f value -c Name')
        self.assertEqual((0, 'Pod1\nPod2\n'), (printed.code, printed.out), printed.err)
        self.without_catalog()
        with open(self.clouds, 'a') as file:
            file.write(f'    trio2o_endpoint_override: {URL}\n')
        self.assertEqual(0, self.openstack('--os-cloud top trio2o pod list').code)

    def test_unreachable_api_is_refused_and_error_names_url(self):
        self.refused(
            ['does not answer at http://nowhere.test:19996/v1.0', 'trio2o-api'],
            'pod list',
            OS_TRIO2O_ENDPOINT='http://nowhere.test:19996',
        )

    def test_other_service_at_endpoint_is_refused(self):
        self.refused(['Is that its address?'], 'pod list', OS_TRIO2O_ENDPOINT=self.cloud.lab.keystone.url)

    def test_keystone_is_unreachable_and_command_fails(self):
        self.cloud.lab.keystone.faults.add(faults.Refuse())
        self.assertNotEqual(0, self.openstack('trio2o pod list').code)
