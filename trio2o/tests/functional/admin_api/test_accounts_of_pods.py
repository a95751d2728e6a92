# SPDX-License-Identifier: Apache-2.0
"""A pod with an account of its own never gets the token of another account."""

import testtools
from oslo_upgradecheck.upgradecheck import Code

from trio2o.cmd.checks import Checks
from trio2o.conf import files
from trio2o.lab.emulated.faults import Status
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures.cloud import GATEWAY, GatewayFixture
from trio2o.tests.fixtures.conf import PASSWORD, sections

OWN = 'trio2o-pod2'
ROLE = 'trio2o_pod2'


class TestAccountsOfPods(testtools.TestCase):
    """Pod2 has an account, whose role only Pod2 takes for an administrator's."""

    def gateway(self, roles=(ROLE, 'service'), password=PASSWORD, section='service_auth:Pod2', **overrides):
        lab = Cloud(2, gateway=GATEWAY)
        lab.keystone.add_user(OWN, PASSWORD, {'pod2': roles})
        for service in lab.pod('Pod2').each():
            service.admin_role = ROLE
        own = {
            **sections('')['service_auth'],
            'username': OWN,
            'password': password,
            'project_name': 'pod2',
        }
        overrides = {section: own, 'pods.breaker_failures': 1000, **overrides}
        return self.useFixture(GatewayFixture(lab, register=False, **overrides))

    def users(self, pod):
        """The users whose tokens the services of a pod got, as token and as service token."""
        find = pod.nova.keystone.find
        seen = [each.headers for service in pod.each() for each in service.requests]
        tokens = [headers.get(name) for headers in seen for name in ('x-auth-token', 'x-service-token')]
        return {find(token).user for token in tokens if token}

    def register(self, cloud, name='Pod2', zone='az2'):
        return cloud.api.post('/pods', {'pod': {'pod_name': name, 'az_name': zone}})

    def check(self, cloud):
        return Checks(cloud.conf, cloud.lab.adapter())._accounts()

    def test_each_pod_gets_tokens_of_its_own_account_only(self):
        cloud = self.gateway()
        cloud.register_pod('Pod1', 'az1')
        cloud.register_pod('Pod2', 'az2')
        cloud.run_jobs()
        own, other = cloud.lab.pod('Pod2'), cloud.lab.pod('Pod1')
        self.assertEqual(({OWN}, {'trio2o'}), (self.users(own), self.users(other)))
        # Objects that requests write are brought to the other pods.
        flavor = {'name': 'f', 'id': 'f', 'ram': 64, 'vcpus': 1, 'disk': 1}
        self.assertEqual(200, cloud.nova.post('/flavors', {'flavor': flavor}, as_='admin').status)
        self.assertIn('f', own.nova.flavors)
        self.assertEqual(({OWN}, {'trio2o', 'admin'}), (self.users(own), self.users(other)))

    def test_token_of_one_pod_gives_no_rights_in_another(self):
        cloud = self.gateway()
        cloud.register_pod('Pod2', 'az2')
        token = cloud.lab.pod('Pod2').nova.requests[-1].headers['x-auth-token']
        for name, status in (('Pod1', 403), ('Pod2', 200)):
            pod = cloud.lab.pod(name)
            answer = cloud.transport.request('GET', f'{pod.nova_url}/os-services', {'X-Auth-Token': token}, None)
            self.assertEqual(status, answer[0])

    def test_service_token_of_reads_is_that_of_the_pod(self):
        cloud = self.gateway()
        for name, zone in (('Pod1', 'az1'), ('Pod2', 'az2')):
            cloud.lab.add_servers(name, 'demo')
            cloud.register_pod(name, zone)
        cloud.run_jobs()
        rules = ({'method': 'GET', 'path': '/v2.1/servers', 'service': 'compute'},)
        token = cloud.lab.keystone.issue_token('demo', 'demo', access_rules=rules)
        cloud.lab.clear_logs()
        answer = cloud.nova.get('/servers', as_=None, headers={'X-Auth-Token': token})
        self.assertEqual((200, 2), (answer.status, len(answer['servers'])))
        self.assertEqual({'demo', OWN}, self.users(cloud.lab.pod('Pod2')))
        self.assertEqual({'demo', 'trio2o'}, self.users(cloud.lab.pod('Pod1')))

    def test_revoked_token_of_a_pod_is_replaced(self):
        cloud = self.gateway()
        cloud.register_pod('Pod2', 'az2')
        cloud.lab.keystone.revoke(cloud.runtime.identity.account_of('Pod2').token())
        self.assertEqual({'success'}, {job.state for job in cloud.run_jobs()})

    def test_pod_whose_account_does_not_work_is_not_registered(self):
        for options, text in (
            ({'password': 'wrong'}, 'Keystone gave no token: Unauthorized Look at [service_auth:Pod2].'),
            ({'roles': ('member',)}, 'compute does not take the user of [service_auth:Pod2] for an administrator.'),
        ):
            cloud = self.gateway(**options)
            answer = self.register(cloud)
            self.assertEqual(422, answer.status)
            self.assertIn(text, answer.fault)
            self.assertNotIn('trio2o', self.users(cloud.lab.pod('Pod2')))
            self.assertEqual(200, self.register(cloud, 'Pod1', 'az1').status)

    def test_incomplete_section_is_no_reason_to_use_the_common_account(self):
        cloud = self.gateway(**{'service_auth:Pod2': {'timeout': 5}})
        answer = self.register(cloud)
        self.assertEqual(422, answer.status)
        self.assertIn('[service_auth:Pod2]', answer.fault)
        self.assertEqual(set(), self.users(cloud.lab.pod('Pod2')))

    def test_missing_cafile_of_one_account_is_found_at_start(self):
        cloud = self.gateway(**{'service_auth:Pod2.cafile': '/nowhere/ca.pem'})
        error = self.assertRaises(files.FileNotReadable, files.check, cloud.conf)
        self.assertIn('[service_auth:pod2] cafile /nowhere/ca.pem', str(error))

    def test_pod_that_does_not_answer_is_registered(self):
        cloud = self.gateway()
        cloud.lab.pod('Pod2').nova.faults.add(Status(503))
        self.assertEqual(200, self.register(cloud).status)

    def test_status_check_finds_account_that_does_not_work(self):
        cloud = self.gateway()
        cloud.register_pod('Pod2', 'az2')
        self.assertEqual(Code.SUCCESS, self.check(cloud).code)
        cloud.lab.pod('Pod2').cinder.admin_role = 'admin'
        result = self.check(cloud)
        self.assertEqual(Code.FAILURE, result.code)
        text = 'Pod Pod2: volume does not take the user of [service_auth:Pod2] for an administrator.'
        self.assertEqual(text, result.details)

    def test_status_check_warns_of_section_without_pod(self):
        cloud = self.gateway(section='service_auth:Pod3')
        result = self.check(cloud)
        self.assertEqual(Code.WARNING, result.code)
        self.assertIn('pod3', result.details)
