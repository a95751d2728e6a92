# SPDX-License-Identifier: Apache-2.0
"""Real commands adopt pods and change their states; processes are killed, or read the changes of others."""

from trio2o.lab.emulated import faults
from trio2o.tests.fixtures import launch
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.processes.base import CommandsTestCase

MANY = 200


class TestKilledAdoption(CommandsTestCase):
    def test_adoption_continues_after_each_kill(self):
        pod = self.cloud.pod('Pod2')
        for service in (pod.nova, pod.cinder):
            service.settings.max_limit = 20
            service.faults.add(faults.Slow(0.1, path='/detail', times=None))
        servers = self.cloud.add_servers('Pod2', 'demo', MANY)
        volumes = self.cloud.add_volumes('Pod2', 'demo', MANY)
        process = self.start(
            'trio2o-all', self.configure(xjob={'lease_seconds': 4, 'scan_interval': 0.2}), *self.ports
        )
        body = {'pod': {'pod_name': 'Pod2', 'az_name': 'az2', 'state': 'maintenance'}}
        pod_id = self.request('api', 'POST', '/v1.0/pods', body).json['pod']['pod_id']
        job = self.request('api', 'POST', f'/v1.0/pods/{pod_id}/adopt', {'dry_run': False}).json['job']

        def show():
            answer = self.request('api', 'GET', f'/v1.0/jobs/{job["id"]}')
            return answer.json['job'] if answer is not None and answer.status == 200 else {}

        def taken(kind):
            report = (show().get('progress') or {}).get('report', {})
            return report.get('resources', {}).get(kind, {}).get('total', 0)

        for kind in ('servers', 'volumes'):
            wait_until(lambda kind=kind: taken(kind) >= 60, 60, lambda: process.log)
            self.assertEqual('running', show()['state'])
            process.kill()
            process.start()
        wait_until(lambda: show().get('state') not in (None, 'new', 'running'), 90, lambda: process.log)
        ended = show()
        self.assertEqual('success', ended['state'], ended['error'])
        self.assertGreaterEqual(ended['attempts'], 3)
        for kind in ('servers', 'volumes'):
            self.assertEqual(MANY, ended['result']['resources'][kind]['total'])
        # Each page was read once, except one at each kill.
        asked = [each.path for each in pod.nova.requests if each.path.endswith('/servers/detail')]
        self.assertLessEqual(len(asked), MANY // 20 + 3)
        self.request('api', 'PATCH', f'/v1.0/pods/{pod_id}', {'pod': {'state': 'enabled'}})
        for service, path, made in (
            ('nova_apigw', '/v2.1/servers?limit=1000', servers),
            ('cinder_apigw', '/v3/volumes?limit=1000', volumes),
        ):
            seen, url = set(), path
            while url:
                answer = self.request(service, 'GET', url, user='demo').json
                kind = 'servers' if 'servers' in answer else 'volumes'
                seen |= {each['id'] for each in answer[kind]}
                links = answer.get(f'{kind}_links', [])
                url = '/' + links[0]['href'].split('/', 3)[3] if links else None
            self.assertEqual({each['id'] for each in made}, seen)


class TestTwoProcesses(CommandsTestCase):
    """Each process reads a change of state within seconds, without a restart."""

    def test_state_change_reaches_both_processes(self):
        argument = self.configure(pods={'refresh_seconds': 2})
        self.ports['other'] = launch.free_ports(1)[0]
        self.start('trio2o-all', argument, 'api', 'nova_apigw')
        env = {'OS_NOVA_APIGW__BIND_PORT': str(self.ports['other'])}
        self.useFixture(launch.Process('trio2o-nova-apigw', argument, ports=[self.ports['other']], env=env))
        (server,) = self.cloud.add_servers('Pod1', 'demo')
        pod_id = self.register()
        gateways = ('nova_apigw', 'other')

        def statuses():
            path = f'/v2.1/servers/{server["id"]}'
            return {self.request(each, 'GET', path, user='demo').status for each in gateways}

        wait_until(lambda: statuses() == {200}, 30, lambda: f'{statuses()}')
        for state, status in (('maintenance', 503), ('draining', 200), ('maintenance', 503), ('enabled', 200)):
            self.request('api', 'PATCH', f'/v1.0/pods/{pod_id}', {'pod': {'state': state, 'reason': 'a test'}})
            wait_until(lambda status=status: statuses() == {status}, 10, f'not all read {state}')
