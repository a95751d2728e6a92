# SPDX-License-Identifier: Apache-2.0
"""A pod is registered while tenants send requests, and no request fails."""

import threading
import time

from trio2o.db import replicas
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.operations.base import ConversationTest, ids

VERSION = '3.70'


class Traffic:
    """Tenants that send requests all the time, one a thread, and keep unexpected answers.

    :param steps: functions that are called one after another, over and over
    """

    def __init__(self, *steps):
        self._steps = steps
        self._rounds = [0] * len(steps)
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(len(steps))]
        self.surprises = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, rounds=3, seconds=60):
        """Wait until each thread has called its step ``rounds`` more times."""
        wanted = [done + rounds for done in self._rounds]

        def have_gone_on():
            return self.surprises or all(done >= least for done, least in zip(self._rounds, wanted, strict=True))

        wait_until(have_gone_on, seconds, 'the tenants do not send requests any more', 0.005)

    def _run(self, number):
        while not self._is_over.is_set():
            try:
                self._steps[number](self._rounds[number])
            except Exception as error:
                self.surprises.append(f'{type(error).__name__}: {error}')
                return
            self._rounds[number] += 1
            # Green threads take turns only where one waits.
            time.sleep(0.005)


class TestJoiningPod(ConversationTest):
    """The third pod in a zone of its own."""

    zone = 'az3'
    run_jobs = True

    def setUp(self):
        super().setUp()
        # A client is built at its first use, which is not safe in threads.
        self.clients = {name: self.cloud.cinder for name in ('demo', 'alt', 'admin')}
        for name in self.clients:
            self.cloud.token(name)
        self.type_id = self.make('/types', 'volume_type', name='fast')
        self.qos_id = self.make('/qos-specs', 'qos_specs', name='gold', consumer='both', total_iops_sec='5')
        self.ask('GET', f'/qos-specs/{self.qos_id}/associate?vol_type_id={self.type_id}', status=202, as_='admin')
        self.group_type_id = self.make('/group_types', 'group_type', 202, name='safe', group_specs={'a': 'b'})
        self.kept = [
            self.create('demo', availability_zone=zone, volume_type='fast')
            for zone in ('az1', 'az2')
            if self.has(zone)
        ]
        # Within one second their ids decide on the order.
        self.kept = ids(self.ask('GET', '/volumes')['volumes'])[::-1]

    def has(self, zone):
        return zone in self.pods.values()

    def ask(self, method, path, json=None, status=200, as_='demo'):
        answer = self.cinder.request(method, path, json, as_=as_, version=VERSION)
        self.assertEqual(status, answer.status, f'{method} {path}: {answer.text}')
        return answer

    def make(self, path, member, status=200, **fields):
        return self.ask('POST', path, {member: fields}, status, as_='admin')[member]['id']

    def create(self, who, **fields):
        return self.ask('POST', '/volumes', {'volume': {'size': 1, **fields}}, 202, as_=who)['volume']['id']

    # -- what tenants do all the time --

    def live(self, round_):
        """Create, show, list and delete a volume, without a zone and in each zone."""
        zones = [{}, *({'availability_zone': zone} for zone in sorted({'az1', *self.pods.values()}))]
        volume_type = (self.type_id, 'fast')[round_ % 2]
        volume_id = self.create('alt', volume_type=volume_type, **zones[round_ % len(zones)])
        shown = self.ask('GET', f'/volumes/{volume_id}', as_='alt')['volume']
        self.assertEqual(('fast', self.type_id), (shown['volume_type'], shown['volume_type_id']))
        self.assertEqual([volume_id], ids(self.ask('GET', '/volumes', as_='alt')['volumes']))
        self.ask('DELETE', f'/volumes/{volume_id}', status=202, as_='alt')
        self.assertEqual([], self.ask('GET', '/volumes', as_='alt')['volumes'])

    def look(self, round_):
        """Compare lists, pages, counts and sums."""
        found = self.ask('GET', '/volumes/detail?with_count=true')
        self.assertEqual((self.kept[::-1], len(self.kept)), (ids(found['volumes']), found['count']))
        self.assertEqual(self.kept[-1:], ids(self.ask('GET', '/volumes?limit=1')['volumes']))
        self.assertEqual(self.kept[::-1][1:], ids(self.ask('GET', f'/volumes?marker={self.kept[-1]}')['volumes']))
        self.assertEqual(len(self.kept), self.ask('GET', '/volumes/summary')['volume-summary']['total_count'])
        self.assertIn('maxTotalVolumes', self.ask('GET', '/limits')['limits']['absolute'])

    def administer(self, round_):
        """Read and change replicated objects."""
        names = [row['name'] for row in self.ask('GET', '/types', as_='admin')['volume_types']]
        self.assertEqual(sorted(set(names)), sorted(names))
        self.assertIn('fast', names)
        row = self.ask('GET', f'/qos-specs/{self.qos_id}', as_='admin')['qos_specs']
        self.assertEqual('5', row['specs']['total_iops_sec'])
        type_id = self.make('/types', 'volume_type', name=f'passing-{round_}')
        specs = {'extra_specs': {'a': str(round_)}}
        self.ask('POST', f'/types/{type_id}/extra_specs', specs, as_='admin')
        self.ask('DELETE', f'/types/{type_id}', status=202, as_='admin')

    # -- the tests --

    def test_pod_joins_under_traffic_without_errors(self):
        with Traffic(self.live, self.look, self.administer) as traffic:
            traffic.go_on()
            pod = self.cloud.lab.add_pod('Pod3')
            self.cloud.register_pod('Pod3', self.zone)
            # Before any job ran, creates may already go to the new pod.
            traffic.go_on()
            self.cloud.run_jobs()
            traffic.go_on()
        self.assertEqual('', '\n'.join(traffic.surprises))
        self.cloud.run_jobs()
        self.assertEqual({0}, set(replicas.count_out_of_sync(self.cloud.runtime.db).values()))
        there = next(row for row in pod.cinder.types.values() if row['name'] == 'fast')
        gold = next(row for row in pod.cinder.qos_specs.values() if row['name'] == 'gold')
        self.assertEqual(gold['id'], there['qos_specs_id'])
        self.assertIn('safe', [row['name'] for row in pod.cinder.group_types.values()])
        self.assertEqual([], [row['name'] for row in pod.cinder.types.values() if row['name'].startswith('passing')])

    def test_create_of_volume_before_any_job_ran_succeeds(self):
        for number, volume_type in enumerate(('fast', self.type_id)):
            name = f'Pod{number + 3}'
            self.cloud.lab.add_pod(name)
            self.cloud.register_pod(name, f'az{number + 3}')
            volume_id = self.create('demo', volume_type=volume_type, availability_zone=f'az{number + 3}')
            shown = self.ask('GET', f'/volumes/{volume_id}')['volume']
            self.assertEqual(('fast', self.type_id), (shown['volume_type'], shown['volume_type_id']))
            self.assertEqual(name, self.pod_of('volume', volume_id))


class TestJoiningPodInAZone(TestJoiningPod):
    """The third pod in the zone of the others, so that creates without a zone may go there at once."""

    pods = {'Pod1': 'az1', 'Pod2': 'az1'}
    zone = 'az1'
