# SPDX-License-Identifier: Apache-2.0
"""The stock ``openstack`` shell in this process, before the Admin API of an emulated cloud."""

import contextlib
import io
import json
import logging
import os
import shlex
import threading

import fixtures
import testtools
from openstackclient import shell
from osc_lib import clientmanager

from trio2o.lab.emulated.topology import PASSWORD
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.waiting import wait_until


class Shell(shell.OpenStackShell):
    """``openstack``; the network is the emulated cloud."""

    def __init__(self, adapter):
        super().__init__()
        self._adapter = adapter

    def initialize_app(self, argv):
        super().initialize_app(argv)
        manager = getattr(self, 'client_manager', None)
        if manager is not None:
            set_up = manager.setup_auth
            manager.setup_auth = lambda: (set_up(), self._connect(manager.session))

    def _connect(self, session):
        # The manager caches clients for the life of the process, which usually runs one command.
        for value in vars(clientmanager.ClientManager).values():
            if isinstance(value, clientmanager.ClientCache):
                value._handle = None
        for scheme in ('http://', 'https://'):
            session.session.mount(scheme, self._adapter)


class Printed:
    """The result of a command: its exit status ``code``, and its output ``out`` and ``err``."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self):
        return json.loads(self.out) if self.out.strip() else None


class CommandTestCase(testtools.TestCase):
    """``self.run_command('pod list')`` runs ``openstack trio2o pod list``."""

    registers = True
    pods = 2

    def setUp(self):
        super().setUp()
        for name in [name for name in os.environ if name.startswith('OS_')]:
            self.useFixture(fixtures.EnvironmentVariable(name))
        # The clouds.yaml of the user who runs the tests is not read.
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.clouds = os.path.join(self.folder, 'clouds.yaml')
        self.cloud = self.useFixture(GatewayFixture(pods=self.pods, register=self.registers))
        self.api = self.cloud.api
        self.db = self.cloud.runtime.db
        self.user = 'admin'

    def credentials(self):
        return {
            'OS_CLIENT_CONFIG_FILE': self.clouds,
            'OS_AUTH_URL': self.cloud.lab.keystone.url + '/v3',
            'OS_USERNAME': self.user,
            'OS_PASSWORD': PASSWORD,
            'OS_PROJECT_NAME': 'demo' if self.user != 'admin' else 'admin',
            'OS_USER_DOMAIN_NAME': 'Default',
            'OS_PROJECT_DOMAIN_NAME': 'Default',
            'OS_REGION_NAME': 'RegionOne',
            'OS_IDENTITY_API_VERSION': '3',
        }

    def openstack(self, line, **environment):
        """Run a whole line after ``openstack``."""
        out, err = io.StringIO(), io.StringIO()
        for name, value in {**self.credentials(), **environment}.items():
            os.environ[name] = value
        self.addCleanup(lambda: [os.environ.pop(name, None) for name in {**self.credentials(), **environment}])
        adapter = self.cloud.lab.adapter()
        root = logging.getLogger('')
        handlers, level = root.handlers[:], root.level
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = Shell(adapter).run(shlex.split(line))
        except SystemExit as end:
            code = end.code
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
            for name in environment:
                os.environ.pop(name, None)
        return Printed(code, out.getvalue(), err.getvalue())

    def start_worker(self, type_):
        """Run jobs in a thread, as trio2o-xjob does, until one of a type has run."""
        worker = threading.Thread(target=self._work, args=[type_])
        worker.start()
        self.addCleanup(worker.join)
        return worker

    def _work(self, type_):
        def has_run():
            return any(job.type == type_ for job in self.cloud.run_jobs())

        wait_until(has_run, 60, f'no job of type {type_} ran', 0.05)

    @contextlib.contextmanager
    def jobs_running(self):
        """Run jobs in a thread until the end of the block, as trio2o-xjob does."""
        is_over = threading.Event()

        def work():
            while not is_over.wait(0.02):
                self.cloud.run_jobs(1000)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            is_over.set()
            worker.join()

    def run_command(self, line, **environment):
        """Run a command that succeeds."""
        printed = self.openstack(f'trio2o {line}', **environment)
        self.assertEqual(0, printed.code, f'{line}: {printed.out}{printed.err}')
        return printed

    def read(self, line):
        """Run a command and take its output as JSON."""
        return self.run_command(f'{line} -f json').json

    def refused(self, words, line, **environment):
        """Run a command that fails with an error that contains the words."""
        printed = self.openstack(f'trio2o {line}', **environment)
        self.assertNotEqual(0, printed.code, f'{line}: {printed.out}')
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, ' '.join(printed.err.split()))
        self.assertNotIn('Traceback', printed.err)
        return printed

    def names(self, line, column='Name'):
        return [row[column] for row in self.read(line)]


class MovesTestCase(CommandTestCase):
    """Trio2o may move what belongs to the project demo, and does so without pauses."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        self.cloud.conf.set_override('poll_seconds', 0.02, 'moves')
        self.cloud.lab.keystone.users['trio2o'].roles['demo'] = ('admin',)

    def volume(self, name='data'):
        """Create a volume in Pod1. :returns: its id"""
        body = {'volume': {'size': 1, 'name': name, 'availability_zone': 'az1'}}
        return self.cloud.cinder.post('/volumes', body)['volume']['id']
