# SPDX-License-Identifier: Apache-2.0
"""The option that is read before other modules are imported."""

import os
import subprocess
import sys

import fixtures
import testtools

from trio2o import concurrency
from trio2o.cmd import early
from trio2o.wsgi import load


class TestBackendName(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.EnvironmentVariable(early.ENVIRONMENT))

    def file(self, content, name='trio2o.conf'):
        path = os.path.join(self.directory, name)
        with open(path, 'w') as file:
            file.write(content)
        return path

    def name(self, *argv):
        return early.backend_name('trio2o-api', argv)

    def test_default_backend_is_used_without_option(self):
        path = self.file('[DEFAULT]\ndebug = true\n')
        self.assertEqual(concurrency.DEFAULT_BACKEND, self.name('--config-file', path))

    def test_config_file_is_read_in_both_forms(self):
        path = self.file('[DEFAULT]\nconcurrency_backend = threading\n')
        self.assertEqual('threading', self.name('--debug', '--config-file', path))
        self.assertEqual('threading', self.name(f'--config-file={path}', '--log-file', 'x'))

    def test_last_file_takes_precedence(self):
        one = self.file('[DEFAULT]\nconcurrency_backend = eventlet\n', 'one')
        two = self.file('[DEFAULT]\nconcurrency_backend = threading\n', 'two')
        self.assertEqual('threading', self.name('--config-file', one, '--config-file', two))
        self.assertEqual('eventlet', self.name('--config-file', two, '--config-file', one))

    def test_files_of_config_dir_are_read(self):
        self.file('[DEFAULT]\nconcurrency_backend = eventlet\n', '1.conf')
        self.file('[DEFAULT]\nconcurrency_backend = threading\n', '2.conf')
        self.file('[DEFAULT]\nconcurrency_backend = eventlet\n', '3.txt')
        self.assertEqual('threading', self.name('--config-dir', self.directory))

    def test_other_sections_are_ignored(self):
        path = self.file('[api]\nconcurrency_backend = threading\n')
        self.assertEqual(concurrency.DEFAULT_BACKEND, self.name('--config-file', path))

    def test_environment_takes_precedence_over_files(self):
        path = self.file('[DEFAULT]\nconcurrency_backend = eventlet\n')
        self.useFixture(fixtures.EnvironmentVariable(early.ENVIRONMENT, 'threading'))
        self.assertEqual('threading', self.name('--config-file', path))

    def test_unreadable_file_gives_default_backend(self):
        bad = self.file('no section\n  what is this\n[')
        self.assertEqual(concurrency.DEFAULT_BACKEND, self.name('--config-file', bad))
        self.assertEqual(concurrency.DEFAULT_BACKEND, self.name('--config-file', '/nowhere'))

    def test_ssl_is_not_imported_before_patching(self):
        """Modules that import ssl before eventlet patches it fail later in ways that are hard to understand."""
        code = (
            'import sys, trio2o.cmd.api, trio2o.cmd.all_in_one;'
            'print([name for name in ("ssl", "urllib3", "requests", "sqlalchemy", "oslo_messaging", '
            '"oslo_service", "eventlet") if name in sys.modules])'
        )
        result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
        self.assertEqual('[]', result.stdout.strip())


class TestWsgiArguments(testtools.TestCase):
    def test_environment_names_files_and_directory(self):
        environ = {load.FILES: '/a.conf; /b.conf;', load.DIRECTORY: '/d'}
        self.assertEqual(
            ['--config-file=/a.conf', '--config-file=/b.conf', '--config-dir=/d'], load.arguments(environ)
        )
        self.assertEqual([], load.arguments({}))


class TestSharedMetrics(testtools.TestCase):
    """Several workers need a shared directory before prometheus_client is imported."""

    def run_with(self, content, group='api', **environ):
        directory = self.useFixture(fixtures.TempDir()).path
        path = os.path.join(directory, 'trio2o.conf')
        with open(path, 'w') as file:
            file.write(content)
        code = (
            'import os, sys; from trio2o.cmd import early;'
            f'early.init_backend("trio2o-api", ["--config-file", "{path}"], "{group}");'
            'print("prometheus_client" in sys.modules, os.environ.get(early.METRICS_DIRECTORY, ""));'
            'from trio2o import metrics; metrics.remove_directory();'
            'print(os.path.isdir(os.environ.get(early.METRICS_DIRECTORY, "")))'
        )
        environ = {'TMPDIR': directory, **environ}
        done = subprocess.run(
            [sys.executable, '-c', code], env={**os.environ, **environ}, capture_output=True, text=True, check=False
        )
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.split('\n')[:2], directory

    def test_one_worker_has_no_directory(self):
        for content in ('', '[api]\nworkers = 1\n', '[nova_apigw]\nworkers = 4\n'):
            self.assertEqual((['False ', 'False']), self.run_with(content)[0], content)
        self.assertEqual((['False ', 'False']), self.run_with('[api]\nworkers = 4\n', group='')[0])

    def test_several_workers_get_directory_that_is_removed(self):
        (found, is_left), directory = self.run_with('[api]\nworkers = 4\n')
        self.assertTrue(found.startswith(f'False {directory}/trio2o-metrics-'), found)
        self.assertEqual('False', is_left)

    def test_configured_directory_is_kept(self):
        own = self.useFixture(fixtures.TempDir()).path
        found, _directory = self.run_with('[api]\nworkers = 4\n', PROMETHEUS_MULTIPROC_DIR=own)
        self.assertEqual([f'False {own}', 'True'], found)
