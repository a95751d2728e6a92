# SPDX-License-Identifier: Apache-2.0
"""Metrics of the real commands, each in processes of their own."""

import os
import re
import signal
import socket

from trio2o.tests.fixtures import launch
from trio2o.tests.fixtures.metrics import samples
from trio2o.tests.fixtures.samples import ETC, program
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.processes.base import CommandsTestCase

UWSGI = ETC / 'uwsgi' / 'trio2o-api.ini'


def value(port, name, **labels):
    text = launch.request(port, 'GET', '/metrics').body.decode()
    return samples(text).get((name, tuple(sorted(labels.items()))), 0)


class TestApiWorkers(CommandsTestCase):
    def count(self, status='200'):
        name, labels = 'trio2o_http_requests_total', {'service': 'api', 'operation': 'pods.list', 'status': status}
        return value(self.ports['api'], name, **labels)

    def directories(self, process):
        with open(f'/proc/{process.popen.pid}/environ', 'rb') as environ:
            start = dict(item.partition(b'=')[::2] for item in environ.read().split(b'\0'))
        self.assertNotIn(b'PROMETHEUS_MULTIPROC_DIR', start)
        return {name for name in os.listdir(self.temporary) if name.startswith('trio2o-metrics-')}

    def test_each_worker_reports_sum_over_workers(self):
        self.temporary = self.useFixture(launch.fixtures.TempDir()).path
        argument = self.configure(api={'workers': 3})
        process = self.useFixture(
            launch.Process('trio2o-api', argument, ports=[self.ports['api']], env={'TMPDIR': self.temporary})
        )
        wait_until(lambda: len(process.children()) == 3, 20, lambda: process.log)
        for _again in range(30):
            self.assertEqual(200, self.request('api', 'GET', '/v1.0/pods').status)
        for _again in range(10):
            self.assertEqual(30, self.count())
        self.assertEqual(1, len(self.directories(process)))
        # The counts of killed workers are kept.
        for worker in process.children():
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(process.children()) == 3, 20, lambda: process.log)
        wait_until(
            lambda: launch.request(self.ports['api'], 'GET', '/healthcheck') is not None, 20, lambda: process.log
        )
        self.assertEqual(30, self.count())
        self.request('api', 'GET', '/v1.0/pods')
        self.assertEqual(31, self.count())
        status, _seconds = process.terminate()
        self.assertEqual(0, status, process.log)
        self.assertEqual([], os.listdir(self.temporary), process.log)

    def test_configured_directory_is_kept(self):
        directory = os.path.join(self.useFixture(launch.fixtures.TempDir()).path, 'metrics')
        process = self.useFixture(
            launch.Process(
                'trio2o-api',
                self.configure(api={'workers': 2}),
                ports=[self.ports['api']],
                env={'PROMETHEUS_MULTIPROC_DIR': directory},
            )
        )
        self.request('api', 'GET', '/v1.0/pods')
        self.assertEqual(1, self.count())
        process.terminate()
        self.assertTrue(os.listdir(directory))


class TestXjob(CommandsTestCase):
    def start_xjob(self, **options):
        (port,) = launch.free_ports(1)
        options = {'metrics_host': '127.0.0.1', 'metrics_port': port, 'scan_interval': 0.2, **options}
        argument = self.configure(xjob=options)
        self.start('trio2o-api', argument, 'api')
        return port, self.useFixture(launch.Process('trio2o-xjob', argument, ports=[port]))

    def runs(self, port):
        return value(port, 'trio2o_job_runs_total', type='sync_pod', outcome='success')

    def test_worker_reports_job_runs_on_its_port(self):
        port, process = self.start_xjob(workers=2)
        for name, zone in (('Pod1', 'az1'), ('Pod2', 'az2')):
            self.register(name, zone)
        wait_until(lambda: self.runs(port) == 2, 60, lambda: process.log)
        for _again in range(6):
            self.assertEqual(2, self.runs(port))
        self.assertEqual(1, value(port, 'trio2o_database_up'))
        self.assertEqual(404, launch.request(port, 'GET', '/v1.0/pods').status)
        status, _seconds = process.terminate()
        self.assertEqual(0, status, process.log)

    def test_used_port_is_refused_and_error_names_it(self):
        taken = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        result = launch.run('trio2o-xjob', self.configure(xjob={'metrics_host': '127.0.0.1', 'metrics_port': port}))
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertIn(f'[xjob] cannot listen on 127.0.0.1:{port}', result.stderr)

    def test_metrics_port_is_off_by_default(self):
        process = self.useFixture(launch.Process('trio2o-xjob', self.configure()))
        wait_until(lambda: 'started with' in process.log, 30, lambda: process.log)
        self.assertNotIn('listens on', process.log)


class TestAllInOne(CommandsTestCase):
    def test_each_port_reports_metrics_of_all_services(self):
        process = self.start('trio2o-all', self.configure(xjob={'scan_interval': 0.2}), *self.ports)
        self.register()
        port = self.ports['cinder_apigw']
        wait_until(
            lambda: value(port, 'trio2o_job_runs_total', type='sync_pod', outcome='success') == 1,
            60,
            lambda: process.log,
        )
        name = 'trio2o_http_requests_total'
        self.assertEqual(1, value(port, name, service='api', operation='pods.create', status='200'))


class TestUwsgi(CommandsTestCase):
    def serve(self, directory):
        """Run uWSGI with the sample file, whose lines about metrics are uncommented."""
        text = UWSGI.read_text()
        for pattern, replacement, times in (
            ('^http-socket = .*$', f'http-socket = 127.0.0.1:{self.ports["api"]}', 1),
            ('^; ((?:exec-asap|env) = .*)/run/trio2o/api-metrics$', rf'\g<1>{directory}', 2),
        ):
            text, changed = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            self.assertEqual(times, changed, pattern)
        ini = os.path.join(self.useFixture(launch.fixtures.TempDir()).path, 'api.ini')
        with open(ini, 'w') as file:
            file.write(text)
        files = self.configure().partition('=')[2]
        environment = {
            **os.environ,
            'OS_TRIO2O_CONFIG_FILES': files,
            # In pyuwsgi, Python reads its environment before uWSGI reads the file.
            'PROMETHEUS_MULTIPROC_DIR': directory,
        }
        process = launch.subprocess.Popen(
            [program(self, 'uwsgi'), '--ini', ini],
            env=environment,
            stdout=launch.subprocess.DEVNULL,
            stderr=launch.subprocess.DEVNULL,
            start_new_session=True,
        )
        self.addCleanup(process.wait, 60)
        self.addCleanup(os.killpg, process.pid, signal.SIGKILL)
        wait_until(
            lambda: launch.request(self.ports['api'], 'GET', '/healthcheck') is not None, 60, 'uWSGI does not serve'
        )
        return process

    def test_each_process_reports_sum_over_processes(self):
        directory = os.path.join(self.useFixture(launch.fixtures.TempDir()).path, 'metrics')
        os.makedirs(directory)
        with open(os.path.join(directory, 'counter_1.db'), 'wb'):
            pass  # of an earlier start
        self.serve(directory)
        self.assertNotIn('counter_1.db', os.listdir(directory))
        for _again in range(20):
            self.assertEqual(200, self.request('api', 'GET', '/v1.0/pods').status)
        labels = {'service': 'api', 'operation': 'pods.list', 'status': '200'}
        for _again in range(10):
            self.assertEqual(20, value(self.ports['api'], 'trio2o_http_requests_total', **labels))
