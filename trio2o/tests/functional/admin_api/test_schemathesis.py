# SPDX-License-Identifier: Apache-2.0
"""Schemathesis sends requests to the Admin API and compares the answers with the OpenAPI document.

A launched ``trio2o-api`` on SQLite; what is sent follows from a seed and is the same every time.
"""

import os
import pathlib
import subprocess

import testtools

from trio2o.lab.emulated.server import CloudServer
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures import conf, launch

BACKEND = os.environ.get('TRIO2O_TEST_BACKEND', 'eventlet')
CONFIG = pathlib.Path(__file__).with_name('schemathesis.toml')
HOOKS = pathlib.Path(__file__).with_name('schemathesis_hooks.py')
SEED = '20261121'
EXAMPLES = '6'
MOST_SECONDS = 1200


class TestSchemathesis(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=3)
        server = CloudServer(self.cloud).start()
        self.addCleanup(server.stop)
        (self.port,) = launch.free_ports(1)
        files = self.useFixture(
            conf.ConfFixture(
                self.cloud.keystone.url,
                concurrency_backend=BACKEND,
                api={'bind_host': '127.0.0.1', 'bind_port': self.port},
            )
        )
        self.folder = files.directory
        self.process = self.useFixture(launch.Process('trio2o-api', f'--config-file={files.path}', ports=[self.port]))
        self.token = self.cloud.token('admin')

    def ask(self, method, path, json=None):
        answer = launch.request(self.port, method, f'/v1.0{path}', json, {'X-Auth-Token': self.token})
        self.assertLess(answer.status, 300, answer.body)
        return answer.json

    def fill(self):
        """Create a resource of each kind, so that Schemathesis has ids to use."""
        for number in (1, 2):
            body = {'pod': {'pod_name': f'Pod{number}', 'az_name': f'az{number}'}}
            pod_id = self.ask('POST', '/pods', body)['pod']['pod_id']
            self.ask('POST', '/bindings', {'pod_binding': {'tenant_id': 'p1', 'pod_id': pod_id}})
            routing = {'top_id': f's{number}', 'pod_id': pod_id, 'project_id': 'p1', 'resource_type': 'server'}
            self.ask('POST', '/routings', {'routing': routing})

    def test_answers_conform_to_openapi_document(self):
        self.fill()
        answer = subprocess.run(
            launch.command(
                'schemathesis',
                f'--config-file={CONFIG}',
                'run',
                f'http://127.0.0.1:{self.port}/v1.0/openapi.json',
                f'--header=X-Auth-Token:{self.token}',
                '--checks=all',
                '--phases=coverage,fuzzing,stateful',
                f'--seed={SEED}',
                f'--max-examples={EXAMPLES}',
                '--continue-on-failure',
                '--no-color',
                '--no-shrink',
            ),
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            cwd=self.folder,
            env={**os.environ, 'COLUMNS': '150', 'SCHEMATHESIS_HOOKS': str(HOOKS)},
        )
        self.assertEqual(0, answer.returncode, f'{answer.stdout[-20000:]}\n{answer.stderr[-2000:]}')
        self.assertNotIn('Traceback', self.process.log)
