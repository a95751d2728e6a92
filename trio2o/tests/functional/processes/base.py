# SPDX-License-Identifier: Apache-2.0
"""An emulated cloud on ports, and Trio2o's commands in front of it."""

import os

import testtools

from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures import conf, launch

BACKEND = os.environ.get('TRIO2O_TEST_BACKEND', 'eventlet')


class CommandsTestCase(testtools.TestCase):
    """An emulated cloud on ports, and a configuration for commands before it."""

    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=2)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        self.ports = dict(zip(('api', 'cinder_apigw', 'nova_apigw'), launch.free_ports(3), strict=True))

    def configure(self, **overrides):
        """:returns: --config-file argument"""
        files = self.useFixture(
            conf.ConfFixture(
                self.cloud.keystone.url,
                concurrency_backend=BACKEND,
                **{
                    name: {'bind_host': '127.0.0.1', 'bind_port': port, **overrides.pop(name, {})}
                    for name, port in self.ports.items()
                },
                **overrides,
            )
        )
        return f'--config-file={files.path}'

    def start(self, name, argument, *services, new_program=False):
        ports = [self.ports[service] for service in services]
        return self.useFixture(launch.Process(name, argument, ports=ports, new_program=new_program))

    def request(self, service, method, path, json=None, user='admin', timeout=30):
        token = {'X-Auth-Token': self.cloud.token(user)}
        return launch.request(self.ports[service], method, path, json, token, timeout)

    def register(self, name='Pod1', zone='az1'):
        answer = self.request('api', 'POST', '/v1.0/pods', {'pod': {'pod_name': name, 'az_name': zone}})
        self.assertEqual(200, answer.status, answer.body)
        return answer.json['pod']['pod_id']

    def jobs(self, state):
        answer = self.request('api', 'GET', f'/v1.0/jobs?state={state}&type=sync_pod')
        return answer.json['jobs'] if answer is not None and answer.status == 200 else []
