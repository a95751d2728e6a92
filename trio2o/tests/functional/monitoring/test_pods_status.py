# SPDX-License-Identifier: Apache-2.0
"""``trio2o-status pods``, run as an operator runs it."""

import json
from datetime import timedelta

from trio2o.lab.emulated import faults
from trio2o.lab.emulated.clock import Clock
from trio2o.tests.fixtures import launch
from trio2o.tests.functional.processes.base import CommandsTestCase


class Fast(Clock):
    def now(self):
        return super().now() + timedelta(seconds=40)


class TestPodsStatus(CommandsTestCase):
    """``trio2o-status pods`` and its exit status."""

    def setUp(self):
        super().setUp()
        self.argument = self.configure()
        process = self.start('trio2o-api', self.argument, 'api')
        self.register('Pod1', 'az1')
        self.register('Pod2', 'az2')
        process.kill()

    def status(self, *args, new_program=False):
        result = launch.run('trio2o-status', self.argument, 'pods', *args, new_program=new_program)
        self.assertNotIn('Traceback', result.stderr)
        return result

    def found(self, *args):
        result = self.status('--format', 'json', *args)
        document = json.loads(result.stdout)
        self.assertEqual(['ok', 'warning', 'critical', 'unknown'][result.returncode], document['level'])
        return result.returncode, {pod['pod_name']: pod for pod in document['pods']}

    def test_reachable_pods_are_ok_and_status_is_0(self):
        result = self.status(new_program=True)
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)
        self.assertRegex(
            result.stdout, r'(?m)^Pod1 +az1 +enabled +compute +2\.1-2\.\d+ +\d+ ms +closed +[+]0\.0 s +0 +- +ok$'
        )
        self.assertRegex(result.stdout, r'(?m)^ +volume +3\.0-3\.\d+ +\d+ ms +closed')
        code, pods = self.found()
        self.assertEqual((0, {'Pod1', 'Pod2'}), (code, set(pods)))
        compute, volume = pods['Pod1']['services']
        self.assertEqual(('compute', 200, 'closed'), (compute['service'], compute['status'], compute['breaker']))
        self.assertEqual(compute['known_versions'], compute['versions'])
        self.assertLess(volume['latency_seconds'], 5)

    def test_unreachable_pod_is_critical_and_status_is_2(self):
        for service in self.cloud.pod('Pod2').each():
            service.faults.add(faults.Refuse())
        result = self.status()
        self.assertEqual(2, result.returncode)
        self.assertIn('Pod2: critical: compute not reached', result.stdout)
        code, pods = self.found()
        self.assertEqual((2, 'ok', 'critical'), (code, pods['Pod1']['level'], pods['Pod2']['level']))
        self.assertEqual(['open', 'open'], [service['breaker'] for service in pods['Pod2']['services']])

    def test_pod_without_answer_is_critical_after_timeout(self):
        self.cloud.pod('Pod2').nova.faults.add(faults.Hang())
        code, pods = self.found('--timeout', '0.5')
        self.assertEqual((2, 'critical'), (code, pods['Pod2']['level']))

    def test_slow_pod_is_warning_and_status_is_1(self):
        self.cloud.pod('Pod2').cinder.faults.add(faults.Slow(0.4))
        code, pods = self.found('--max-latency', '0.3')
        self.assertEqual((1, 'warning', 'ok'), (code, pods['Pod2']['level'], pods['Pod1']['level']))
        self.assertIn('volume took', pods['Pod2']['reasons'][0])

    def test_clock_skew_is_warning(self):
        self.cloud.pod('Pod2').cinder.clock = Fast()
        code, pods = self.found()
        self.assertEqual((1, 'warning'), (code, pods['Pod2']['level']))
        self.assertAlmostEqual(40, pods['Pod2']['services'][1]['clock_skew_seconds'], delta=3)

    def test_keystone_is_unavailable_and_status_is_3(self):
        self.cloud.keystone.faults.add(faults.Status(503))
        result = self.status()
        self.assertEqual(3, result.returncode)
        self.assertIn('Keystone gave no token', result.stdout)
        self.assertEqual(3, self.found()[0])

    def test_unreachable_database_is_status_3(self):
        argument = self.configure(database={'connection': 'mysql+pymysql://x:y@127.0.0.1:1/z', 'max_retries': 0})
        result = launch.run('trio2o-status', argument, 'pods')
        self.assertEqual(3, result.returncode, result.stdout + result.stderr)
        self.assertIn('The database cannot be read', result.stdout)

    def test_invalid_option_is_status_3(self):
        for args in (['--timeout', '-1'], ['--timeout', 'x'], ['--format', 'xml'], ['--nonsense']):
            result = self.status(*args)
            self.assertEqual(3, result.returncode, args)
            self.assertRegex(result.stderr, 'trio2o-status.*: error: ')
        result = launch.run('trio2o-status', '--config-file=/nowhere', 'pods')
        self.assertEqual(3, result.returncode)
        self.assertIn('/nowhere', result.stderr)

    def test_upgrade_check_succeeds(self):
        result = launch.run('trio2o-status', self.argument, 'upgrade', 'check')
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)
        self.assertIn('Check: Endpoints of pods', result.stdout)
