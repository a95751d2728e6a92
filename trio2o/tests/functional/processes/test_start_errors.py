# SPDX-License-Identifier: Apache-2.0
"""Commands refuse options and files that they cannot use, with one line and without a traceback."""

from trio2o.lab.emulated import faults
from trio2o.tests.fixtures import launch
from trio2o.tests.functional.processes.base import CommandsTestCase


class TestStartErrors(CommandsTestCase):
    def test_missing_configuration_file_is_refused(self):
        result = launch.run('trio2o-api', '--config-file=/nowhere/trio2o.conf', new_program=True)
        self.assertEqual(1, result.returncode)
        self.assertEqual(1, len(result.stderr.strip().splitlines()), result.stderr)
        self.assertIn('/nowhere/trio2o.conf', result.stderr)

    def test_missing_cafile_is_refused_at_start(self):
        """The command fails at start, not at its first request with another error."""
        for group in ('pods', 'service_auth', 'keystone_authtoken'):
            argument = self.configure(**{group: {'cafile': '/nowhere/ca.pem'}})
            for command in (['trio2o-nova-apigw', argument], ['trio2o-status', argument, 'pods']):
                done = launch.run(*command)
                self.assertNotEqual(0, done.returncode)
                reported = done.stdout + done.stderr
                self.assertIn(f'{command[0]}: [{group}] cafile /nowhere/ca.pem: No such file or directory', reported)
                self.assertNotIn('Traceback', reported)
            done = launch.run('trio2o-status', argument, 'upgrade', 'check')
            self.assertEqual(2, done.returncode, done.stdout)
            self.assertIn('/nowhere/ca.pem', done.stdout)
            self.assertNotIn('Traceback', done.stdout + done.stderr)

    def test_missing_credentials_are_refused_at_start(self):
        for group in ('keystone_authtoken', 'service_auth'):
            argument = self.configure(**{group: {'auth_type': ''}})
            done = launch.run('trio2o-api', argument)
            self.assertEqual(1, done.returncode)
            self.assertIn(f'trio2o-api: [{group}] auth_type is not set', done.stderr)
            self.assertEqual(1, len(done.stderr.strip().splitlines()), done.stderr)
            done = launch.run('trio2o-status', argument, 'upgrade', 'check')
            self.assertEqual(2, done.returncode, done.stdout)
            self.assertIn(f'[{group}] auth_type', done.stdout)

    def test_unknown_backend_is_refused(self):
        environment = {'OS_DEFAULT__CONCURRENCY_BACKEND': 'x'}
        result = launch.run('trio2o-api', self.configure(), env=environment, new_program=True)
        self.assertEqual(1, result.returncode)
        self.assertIn('concurrency_backend', result.stderr)
        self.assertNotIn('Traceback', result.stderr)

    def test_driver_that_would_stop_green_threads_is_refused(self):
        url = 'mysql+mysqldb://trio2o:secret@127.0.0.1:9/trio2o'
        argument = self.configure(DEFAULT={'concurrency_backend': 'eventlet'}, database={'connection': url})
        result = launch.run('trio2o-api', argument, new_program=True)
        self.assertEqual(1, result.returncode)
        self.assertIn('[database] connection: mysqlclient', result.stderr)
        self.assertNotIn('secret', result.stderr)

    def test_upgrade_check_fails_while_keystone_is_unavailable(self):
        argument = self.configure()
        result = launch.run('trio2o-status', argument, 'upgrade', 'check', new_program=True)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)
        self.cloud.keystone.faults.add(faults.Status(503))
        result = launch.run('trio2o-status', argument, 'upgrade', 'check')
        self.assertEqual(2, result.returncode, result.stdout + result.stderr)
        self.assertIn('Keystone', result.stdout)
