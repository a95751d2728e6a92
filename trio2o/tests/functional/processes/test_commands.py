# SPDX-License-Identifier: Apache-2.0
"""The real commands, each in processes of its own, on the backend TRIO2O_TEST_BACKEND names."""

import concurrent.futures
import http.client
import os
import signal
import socket

from trio2o.lab import servers
from trio2o.lab.emulated import faults
from trio2o.tests.fixtures import launch
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.processes.base import CommandsTestCase

BACKEND = os.environ.get('TRIO2O_TEST_BACKEND', 'eventlet')


class TestAllInOne(CommandsTestCase):
    def start_all(self, **overrides):
        return self.start('trio2o-all', self.configure(**overrides), *self.ports)

    def test_all_in_one_serves_apis_and_runs_jobs(self):
        process = self.start('trio2o-all', self.configure(), *self.ports, new_program=True)
        self.cloud.add_servers('Pod1', 'demo', 2)
        self.register('Pod1', 'az1')
        self.register('Pod2', 'az2')
        wait_until(lambda: len(self.jobs('success')) == 2, 30, lambda: process.log)
        answer = self.request('nova_apigw', 'GET', '/v2.1/servers/detail', user='demo')
        self.assertEqual(['az1', 'az1'], [s['OS-EXT-AZ:availability_zone'] for s in answer.json['servers']])
        self.assertEqual(200, self.request('cinder_apigw', 'GET', '/v3/volumes', user='demo').status)
        self.assertIn(f'started with {BACKEND}', process.log)

    def test_sigterm_stops_all_services_within_seconds(self):
        process = self.start_all()
        for port in self.ports.values():
            # An idle connection must not delay the exit.
            idle = http.client.HTTPConnection('127.0.0.1', port)
            self.addCleanup(idle.close)
            idle.request('GET', '/healthcheck')
            idle.getresponse().read()
        status, seconds = process.terminate()
        self.assertEqual(0, status, process.log)
        self.assertLess(seconds, 5)
        for port in self.ports.values():
            self.assertIsNone(launch.request(port, 'GET', '/healthcheck'))

    def test_sigterm_waits_for_running_request(self):
        process = self.start_all()
        self.register()
        nova = self.cloud.pod('Pod1').nova
        nova.faults.add(faults.Slow(2.0, path='/servers/detail'))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.request, 'nova_apigw', 'GET', '/v2.1/servers/detail', user='demo')
            wait_until(
                lambda: any('/servers/detail' in seen.path for seen in list(nova.requests)),
                20,
                'nova was not asked',
            )
            status, _seconds = process.terminate()
            self.assertEqual(200, answer.result().status)
        self.assertEqual(0, status)

    def test_restarted_process_keeps_pods_and_jobs(self):
        # A running job is taken over after its lease.
        process = self.start_all(xjob={'lease_seconds': 2, 'scan_interval': 0.5})
        pod_id = self.register()
        process.kill()
        self.assertIsNone(self.request('api', 'GET', '/v1.0/pods'))
        process.start()
        answer = self.request('api', 'GET', f'/v1.0/pods/{pod_id}')
        self.assertEqual('Pod1', answer.json['pod']['pod_name'])
        wait_until(lambda: self.jobs('success'), 90, lambda: process.log)

    def test_chunked_body_is_read(self):
        self.start_all()
        connection = http.client.HTTPConnection('127.0.0.1', self.ports['api'], timeout=20)
        self.addCleanup(connection.close)
        headers = {'X-Auth-Token': self.cloud.token('admin'), 'Content-Type': 'application/json'}
        for _again in range(2):
            connection.request('POST', '/v1.0/pods', iter([b'{"pod": ', b'{}}']), headers, encode_chunked=True)
            response = connection.getresponse()
            self.assertIn(b'pod_name', response.read())
            self.assertEqual(422, response.status)

    def test_sighup_reloads_configuration(self):
        process = self.start_all()
        process.popen.send_signal(signal.SIGHUP)
        wait_until(lambda: 'SIGHUP' in process.log, 20, lambda: process.log)
        self.assertEqual(200, launch.request(self.ports['api'], 'GET', '/healthcheck').status)

    def test_metrics_are_served_at_one_path_only(self):
        """A proxy that denies /metrics must not let the metrics through under another spelling."""
        self.start('trio2o-api', self.configure(), 'api')
        port = self.ports['api']
        for path in ('/metrics', '/metrics?x=1'):
            self.assertIn(b'trio2o_', launch.request(port, 'GET', path).body)
        for path in ('/%6detrics', '/%6Detric%73', '/metrics/', '/x/../metrics', '/METRICS'):
            answer = launch.request(port, 'GET', path)
            self.assertNotIn(b'trio2o_', answer.body, path)

    def test_access_log_masks_query_and_leaves_out_healthchecks(self):
        process = self.start_all()
        self.request('api', 'GET', '/v1.0/pods?limit=3&my_token=abc%0adef')
        wait_until(lambda: '/v1.0/pods' in process.log, 20, lambda: process.log)
        (line,) = (line for line in process.log.splitlines() if '"GET /v1.0/pods' in line)
        self.assertRegex(line, r'"GET /v1.0/pods\?limit=3&my_token=\*\*\*" status: 400 len: \d+ time: [\d.]+ req-')
        self.assertNotIn(self.cloud.token('admin'), process.log)
        # Load balancers request it all the time.
        self.assertNotIn('/healthcheck', process.log)


class TestStart(CommandsTestCase):
    def test_used_port_is_refused_and_error_names_it(self):
        taken = socket.create_server(('127.0.0.1', self.ports['api']))
        self.addCleanup(taken.close)
        argument = self.configure()
        for name in ('trio2o-api', 'trio2o-all'):
            result = launch.run(name, argument, new_program=True)
            self.assertEqual(1, result.returncode, result.stderr)
            last = result.stderr.strip().splitlines()[-1]
            self.assertEqual(
                f'{name}: [api] cannot listen on 127.0.0.1:{self.ports["api"]}: Address already in use', last
            )
            self.assertNotIn('Traceback', result.stderr)

    def test_killed_worker_is_started_again(self):
        process = self.start('trio2o-api', self.configure(api={'workers': 2}), 'api')
        first = wait_until(lambda: len(process.children()) == 2 and process.children(), 20, lambda: process.log)
        os.kill(first[0], signal.SIGKILL)
        wait_until(
            lambda: len(process.children()) == 2 and set(process.children()) != set(first), 20, lambda: process.log
        )
        for _ in range(10):
            self.assertEqual(200, self.request('api', 'GET', '/v1.0/pods').status)
        workers = process.children()
        status, seconds = process.terminate()
        self.assertEqual(0, status, process.log)
        self.assertLess(seconds, 10)
        for worker in workers:
            self.assertRaises(ProcessLookupError, os.kill, worker, 0)


class TestWsgiModules(CommandsTestCase):
    def test_applications_run_on_native_threads(self):
        argument = self.configure()
        # One process for all, because each would load the same modules.
        code = (
            'import importlib, socket, sys; from trio2o import concurrency\n'
            'for name in sys.argv[1:]:\n'
            '    status = []\n'
            '    module = importlib.import_module(f"trio2o.wsgi.{name}")\n'
            '    module.application({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "",'
            '"SERVER_NAME": "h", "SERVER_PORT": "80", "wsgi.url_scheme": "http"},'
            'lambda *args: status.append(args[0]))\n'
            '    print(name, status[0], concurrency.backend(), socket.socket.__module__)'
        )
        result = launch.subprocess.run(
            [launch.sys.executable, '-c', code, *self.ports],
            env={**os.environ, 'OS_TRIO2O_CONFIG_FILES': argument.partition('=')[2]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for name in self.ports:
            # The version document is 200 in Nova and 300 in Cinder.
            self.assertRegex(
                result.stdout, f'(?m)^{name} (200 OK|300 Multiple Choices) threading socket$', result.stderr
            )


class TestOverBroker(CommandsTestCase):
    """Four programs that share a MariaDB and a RabbitMQ, and nothing else."""

    def test_separate_processes_share_database_and_broker(self):
        url = self.enter(servers.mariadb())
        transport_url = self.enter(servers.rabbitmq())
        # Only a message can start the job before the timeout.
        argument = self.configure(
            transport_url=transport_url, database={'connection': url}, xjob={'scan_interval': 600}
        )
        result = launch.run('trio2o-db-manage', argument, 'db_sync', new_program=True)
        self.assertEqual(0, result.returncode, result.stderr)
        api = self.start('trio2o-api', argument, 'api', new_program=True)
        self.start('trio2o-nova-apigw', argument, 'nova_apigw', new_program=True)
        self.start('trio2o-cinder-apigw', argument, 'cinder_apigw', new_program=True)
        xjob = self.start('trio2o-xjob', argument, new_program=True)
        self.cloud.add_servers('Pod1', 'demo', 1)
        self.register()
        wait_until(lambda: self.jobs('success'), 60, lambda: api.log + xjob.log)
        self.check_message_starts_job(lambda: api.log + xjob.log)
        answer = wait_until(
            lambda: self.request('nova_apigw', 'GET', '/v2.1/servers', user='demo').json['servers'],
            20,
            'the server is not listed',
        )
        self.assertEqual(['server-0'], [server['name'] for server in answer])
        self.assertEqual(200, self.request('cinder_apigw', 'GET', '/v3/volumes', user='demo').status)
        status, seconds = xjob.terminate()
        self.assertEqual(0, status, xjob.log)
        self.assertLess(seconds, 25)

    def check_message_starts_job(self, log):
        """The first scan may have found the jobs so far. A job after them is found by its message."""

        def is_idle():
            paths = [f'/v1.0/jobs?state={state}' for state in ('new', 'running')]
            return not any(self.request('api', 'GET', path).json['jobs'] for path in paths)

        wait_until(is_idle, 60, log)
        (job,) = self.jobs('success')

        def is_done_again():
            (now,) = self.jobs('success') or [job]
            if now['finished_at'] != job['finished_at']:
                return True
            # The worker may have connected after the last message.
            self.assertEqual(202, self.request('api', 'POST', f'/v1.0/jobs/{job["id"]}/redo').status)
            return False

        wait_until(is_done_again, 60, log, 2.0)

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value
