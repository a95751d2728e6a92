# SPDX-License-Identifier: Apache-2.0
"""Run the commands of the install guide: a second Trio2o with the running pods, as a new top region."""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import sqlalchemy

from trio2o.lab.real import seed
from trio2o.tests.fixtures.pages import DOCS, Terminal, missing, steps
from trio2o.tests.fixtures.real import BIN, answers, real_lab
from trio2o.tests.fixtures.waiting import wait_until

PAGE = DOCS / 'install' / 'index.rst'
REGION = 'TopRegion'
SECONDS = 120


class InstallTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.lab = real_lab()
        self.lab.start()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        kept = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
        credentials = self.lab.credentials('admin', 'Pod1')
        del credentials['OS_REGION_NAME']
        path = f'{BIN}:{os.environ["PATH"]}'
        self.terminal = Terminal({**kept, **credentials, 'PATH': path, 'PYTHONWARNINGS': 'ignore'}, self.folder)
        self.addCleanup(self.terminal.close)
        self.words = self._words()
        self.services = []
        self.addCleanup(self._stop)
        # The lab has a service for the Admin API; the page creates one.
        self.addCleanup(seed.seed_keystone, self.lab.topology)
        self.addCleanup(self._forget_region)
        self._admin('openstack service delete trio2o')
        self._admin(f'openstack region create {REGION}')

    def _words(self):
        """{value in the page: value in this test}."""
        topology = self.lab.topology
        gateway, ours = topology.gateway, self.lab.service_auth()
        database = f'sqlite:///{self.folder}/trio2o.sqlite'
        server = os.environ.get('TRIO2O_TEST_MYSQL')
        if server:
            url = sqlalchemy.make_url(server)
            engine = sqlalchemy.create_engine(url)
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text('DROP DATABASE IF EXISTS install_guide'))
                connection.execute(sqlalchemy.text('CREATE DATABASE install_guide'))
            engine.dispose()
            database = url.set(database='install_guide').render_as_string(hide_password=False)
        return {
            'http://gateway.example.org:19996': f'http://127.0.0.1:{gateway.admin_port}',
            'http://gateway.example.org:19997': f'http://127.0.0.1:{gateway.volume_port}',
            'http://gateway.example.org:19998': f'http://127.0.0.1:{gateway.compute_port}',
            'https://keystone.example.org/v3': topology.auth_url,
            'https://glance.example.org': topology.service('glance').url,
            'https://neutron.example.org': topology.service('neutron').url,
            'mysql+pymysql://trio2o:SECRET@database.example.org/trio2o': database,
            'rabbit://trio2o:SECRET@broker.example.org:5672/': os.environ.get('TRIO2O_TEST_RABBITMQ', 'fake://'),
            'SECRET': ours['password'],
            '/etc/trio2o': str(self.folder),
            'RegionOne': REGION,
        }

    def _here(self, text):
        for words, ours in self.words.items():
            text = text.replace(words, ours)
        return text

    def _admin(self, command):
        status, printed = self.terminal.type(command)
        self.assertEqual(0, status, printed)
        return printed

    def _forget_region(self):
        self.terminal.type('unset OS_REGION_NAME')
        ids = self._admin(f'openstack endpoint list --region {REGION} -f value -c ID').split()
        if ids:
            self._admin(f'openstack endpoint delete {" ".join(ids)}')
        self._admin(f'openstack region delete {REGION}')
        self._admin('openstack service delete trio2o')

    def _stop(self):
        for service in self.services:
            service.send_signal(signal.SIGTERM)
        for service in self.services:
            try:
                service.wait(60)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()

    def _start(self, command):
        log = open(pathlib.Path(self.lab.state_dir) / 'log' / f'install.{command.split()[0]}.log', 'w')
        self.addCleanup(log.close)
        self.services.append(self.terminal.start(command, log))

    def _write(self, name, lines):
        gateway = self.lab.topology.gateway
        ports = {
            'api': gateway.admin_port,
            'cinder_apigw': gateway.volume_port,
            'nova_apigw': gateway.compute_port,
        }
        text = '\n'.join(lines) + '\n'
        # Use the ports of the lab, and only the loopback address.
        for group, port in ports.items():
            text += f'\n[{group}]\nbind_host = 127.0.0.1\nbind_port = {port}\n'
        pathlib.Path(self._here(name)).write_text(self._here(text))

    def test_commands_of_install_guide_succeed(self):
        typed = 0
        for step in steps(PAGE.read_text()):
            if step.kind == 'file':
                self._write(step.words, step.shown)
                continue
            if 'not-here' in step.marks:
                continue
            command = self._here(step.words)
            typed += 1
            if 'background' in step.marks:
                self._start(command)
                continue
            if self.services and not all(self._is_up()):
                wait_until(lambda: all(self._is_up()), SECONDS, 'the services do not answer')
            status, printed = self.terminal.type(command)
            reported = f'{command}\n{printed}'
            self.assertEqual(0, status, reported)
            self.assertIsNone(missing([self._here(line) for line in step.shown], printed), reported)
        self.assertGreater(typed, 25)

    def _is_up(self):
        gateway = self.lab.topology.gateway
        return [answers(port) for port in (gateway.admin_port, gateway.volume_port, gateway.compute_port)]
