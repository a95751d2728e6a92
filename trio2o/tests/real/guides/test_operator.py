# SPDX-License-Identifier: Apache-2.0
"""Run the commands of doc/source/admin/day.rst with the stock client and real pods."""

import json
import os
import pathlib
import re
import tempfile
import unittest

import yaml

from trio2o.tests.fixtures.pages import DOCS, Terminal, missing, steps
from trio2o.tests.fixtures.real import BIN, Client, RealGateway, real_lab
from trio2o.tests.fixtures.waiting import wait_until

DAY = DOCS / 'admin' / 'day.rst'
ONE_TRY = '[xjob]\nmax_attempts = 1\nscan_interval = 1\n[pods]\nbreaker_seconds = 1\nrefresh_seconds = 1\n'


class OperatorDayTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = real_lab()
        cls.lab.start()
        cls.gateway = RealGateway(cls.lab, register=False, more=ONE_TRY)
        cls.gateway.setUp()
        cls.addClassCleanup(cls.gateway.cleanUp)
        cls.addClassCleanup(cls.lab.start)
        cls.admin = Client(cls.lab, 'admin')
        cls.home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.home.cleanup)
        cls.terminal = Terminal(cls.environment())
        cls.addClassCleanup(cls.terminal.close)
        # The state of the cloud at the beginning of the page.
        cls.admin.do('trio2o', 'pod', 'create', 'RegionOne')
        cls.admin.do('trio2o', 'pod', 'create', 'Pod1', '--zone', 'az1', '--pod-zone', 'nova', '--wait')
        if 'day.tiny' not in [row['Name'] for row in cls.admin.openstack('flavor', 'list', '--all')]:
            cls.admin.do('flavor', 'create', 'day.tiny', '--ram', '128', '--disk', '1', '--vcpus', '1')

    @classmethod
    def environment(cls):
        """The environment with a clouds.yaml, and without OS_ variables."""
        clouds = {}
        for cloud, user in (('operator', 'admin'), ('tenant', 'demo')):
            found = {name.removeprefix('OS_').lower(): value for name, value in cls.lab.credentials(user).items()}
            auth = {
                name: found.pop(name)
                for name in list(found)
                if re.fullmatch(r'auth_url|username|password|project_.*|user_domain_.*', name)
            }
            clouds[cloud] = {**found, 'auth': auth}
        folder = pathlib.Path(cls.home.name, '.config', 'openstack')
        folder.mkdir(parents=True)
        folder.joinpath('clouds.yaml').write_text(yaml.safe_dump({'clouds': clouds}))
        kept = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
        return {
            **kept,
            'HOME': cls.home.name,
            'PATH': f'{BIN}:{os.environ["PATH"]}',
            'PYTHONWARNINGS': 'ignore',
            'no_proxy': '127.0.0.1,localhost',
        }

    def read(self, *command):
        return self.admin.openstack('trio2o', *command)

    def test_commands_of_operator_page_succeed(self):
        typed = []
        for step in steps(DAY.read_text()):
            if step.kind == 'meanwhile':
                self.meanwhile(*step.words.split())
                continue
            status, printed = self.terminal.type(step.words)
            self.assertEqual(0, status, f'{step.words}\n{printed}')
            self.assertIsNone(missing(step.shown, printed), f'{step.words}\n{printed}')
            typed.append(step.words)
            self.look(step.words, printed, typed.count(step.words))
        self.assertGreater(len(typed), 25)

    def meanwhile(self, verb, name):
        """Do what the page describes besides the commands."""
        if verb == 'until-failed':
            wait_until(lambda: self.read('job', 'list', '--type', name, '--state', 'fail'), 60, f'{name} did not fail')
        else:
            getattr(self.lab, verb)([name])

    def look(self, command, out, times):
        """Check the output of a command against the page.

        :param times: how often this command has run
        """
        expected = {
            'pod create Pod2': 'Pod2 is in sync',
            'pod list --zone az1': r'(?s)Pod1.*enabled.*Pod2.*enabled',
            'adopt Pod2 --dry-run': r'(?s)servers +\d.*conflicts',
            'tenant server show day-1': r'pod_name +\| Pod2',
            'tenant server show day-2': r'pod_name +\| Pod1',
            'pod show Pod2 -c state': r'(?s)maintenance.*new switches',
            'job redo --wait $(': 'success',
            'job show $job -c type': r'(?s)Pod2.*state=fail.*adopt_pod',
            'job show $job -f value': 'success',
            'pod drain Pod2 --list': r'server .*Pod1',
            'binding list --project demo --history': 'Pod2',
        }
        for words, pattern in expected.items():
            if words in command:
                self.assertRegex(out, pattern, command)
        # The second time, Pod2 is unreachable, or the job has failed.
        if 'replica list --pod Pod2' in command:
            self.assertEqual(times == 2, 'flavor' in out, out)
        if command.endswith('job list --state fail'):
            self.assertEqual(times == 2, 'adopt_pod' in out, out)
        if 'pod select' in command and times > 1:
            self.assertEqual({2: 'Pod2', 3: 'Pod1', 4: 'Pod2'}[times], self.first(out), out)

    @staticmethod
    def first(table):
        """Name of the pod in the first row of a table."""
        rows = [line for line in table.splitlines() if re.match(r'\| Pod\d', line)]
        return rows[0].split()[1]

    def test_pod_is_shown_by_id_and_in_each_format(self):
        """Show a pod by id, and lists in each format."""
        (pod,) = (row for row in self.read('pod', 'list') if row['Name'] == 'Pod1')
        self.assertEqual('Pod1', self.read('pod', 'show', pod['ID'])['pod_name'])
        for form, word in (('csv', '"Pod1"'), ('yaml', 'Name: Pod1'), ('value', 'Pod1 az1'), ('table', '| Pod1')):
            self.assertIn(word, self.admin.run('openstack', 'trio2o', 'pod', 'list', '-f', form))
        self.assertEqual(
            'Pod1', json.loads(self.admin.run('openstack', 'trio2o', 'pod', 'show', 'Pod1', '-f', 'json'))['pod_name']
        )

    def test_unknown_pod_wrong_endpoint_and_member_are_refused(self):
        tenant = Client(self.lab, 'demo')
        self.assertIn('403', tenant.fails('trio2o', 'pod', 'list'))
        self.assertIn("'Pod9'", self.admin.fails('trio2o', 'pod', 'show', 'Pod9'))
        elsewhere = Client(self.lab, 'admin', OS_TRIO2O_ENDPOINT='http://127.0.0.1:9/v1.0')
        self.assertIn('does not answer', elsewhere.fails('trio2o', 'pod', 'list'))
        self.assertIn('--os-trio2o-endpoint', Client(self.lab, 'admin', 'Pod1').fails('trio2o', 'pod', 'list'))
