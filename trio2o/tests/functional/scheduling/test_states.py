# SPDX-License-Identifier: Apache-2.0
"""The effects of each state of a pod: the table in doc/source/admin/scheduling.rst."""

import sqlalchemy

from trio2o.db import jobs
from trio2o.db.records import POD_STATES, Job, JobEvent
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.scheduling.base import SchedulingTest
from trio2o.xjob.periodic import Periodic

#: States in which a pod gets requests.
ASKED = {'enabled', 'disabled', 'draining'}


class StatesTest(SchedulingTest):
    """Pod1 has a server and a volume of the project, and gets each state in turn."""

    pods = {'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2'}
    options = {'xjob': {'usage_interval': 1}}

    def setUp(self):
        super().setUp()
        made = self.boot()
        self.assertEqual('Pod1', self.pod_of(made))
        self.server = made['server']['id']
        self.disk = self.volume()['volume']['id']
        pod = self.cloud.pod('Pod1')
        pod.nova.settle(everything=True)
        pod.cinder.settle(everything=True)
        self.cloud.run_jobs()

    def each(self):
        for state in POD_STATES:
            self.cloud.set_pod('Pod1', state=state, reason=f'{state} now')
            yield state
            self.cloud.set_pod('Pod1', state='enabled', reason='back')
            self.cloud.run_jobs()

    def requests(self, since=0):
        pod = self.cloud.pod('Pod1')
        return [request for service in pod.each() for request in service.requests]


class TestStates(StatesTest):
    def test_only_enabled_pod_gets_creates(self):
        for state in self.each():
            pod = self.pod_of(self.boot())
            self.assertEqual('Pod1' if state == 'enabled' else 'Pod2', pod, state)
            if state != 'enabled':  # the binding moved: move it back for the next state
                (binding,) = self.api.get('/bindings')['pod_bindings']
                self.cloud.set_pod('Pod1', state='enabled')
                moved = {'pod_binding': {'pod_id': self.cloud.pod_ids['Pod1']}}
                self.assertEqual(200, self.api.patch(f'/bindings/{binding["id"]}', moved).status)

    def test_boot_from_volume_needs_enabled_pod_of_volume(self):
        device = {'source_type': 'volume', 'destination_type': 'volume', 'boot_index': 0, 'uuid': self.disk}
        for state in self.each():
            body = {'name': 'x', 'flavorRef': '1', 'block_device_mapping_v2': [device]}
            answer = self.nova.post('/servers', {'server': body})
            self.assertEqual(state == 'enabled', answer.status == 202, (state, answer.text))
            if state == 'enabled':
                self.cloud.pod('Pod1').cinder.volumes[self.disk]['status'] = 'available'
            else:
                self.assertEqual(503, answer.status, state)
                self.assertIn('az1', answer.fault)

    def test_snapshot_is_created_unless_pod_is_in_maintenance(self):
        for state in self.each():
            answer = self.cinder.post('/snapshots', {'snapshot': {'volume_id': self.disk, 'force': True}})
            self.assertEqual(202 if state in ASKED else 503, answer.status, (state, answer.text))

    def test_list_has_server_unless_pod_is_in_maintenance(self):
        for state in self.each():
            for version in ('2.1', '2.69'):
                answer = self.nova.get('/servers/detail', version=version)
                if state not in ASKED and version == '2.1':
                    self.assertEqual(503, answer.status)
                    continue
                found = {each['id']: each for each in answer['servers']}
                self.assertEqual([self.server], list(found), (state, version))
            if state not in ASKED:
                self.assertEqual('UNKNOWN', found[self.server]['status'])

    def test_server_is_read_and_changed_unless_pod_is_in_maintenance(self):
        for state in self.each():
            shown = self.nova.get(f'/servers/{self.server}')
            written = self.nova.post(f'/servers/{self.server}/action', {'lock': None})
            self.assertEqual((200, 202) if state in ASKED else (503, 503), (shown.status, written.status), state)
            if state not in ASKED:
                self.assertIn('under maintenance', written.fault)
                self.assertNotIn('Pod1', written.text)

    def test_flavor_is_replicated_to_pod_in_maintenance_afterwards(self):
        for number, state in enumerate(self.each()):
            body = {'flavor': {'name': state, 'id': f'{number + 90}', 'ram': 64, 'vcpus': 1, 'disk': 1}}
            self.assertEqual(200, self.nova.post('/flavors', body, as_='admin').status)
            there = f'{number + 90}' in self.cloud.pod('Pod1').nova.flavors
            self.assertEqual(state in ASKED, there, state)
        # A job repeats the missed write when maintenance ends.
        self.assertIn('93', self.cloud.pod('Pod1').nova.flavors)

    def test_breaker_opens_unless_pod_is_in_maintenance(self):
        pod = self.cloud.pod('Pod1')
        for state in self.each():
            pod.nova.faults.add(Refuse())
            for _call in range(self.cloud.conf.pods.breaker_failures):
                self.nova.get(f'/servers/{self.server}')
            breakers = self.cloud.runtime.client.breakers
            key = (self.cloud.pod_ids['Pod1'], 'compute')
            self.assertEqual(state in ASKED, breakers.is_open(key), state)
            pod.nova.faults.clear()
            breakers.succeeded(key)

    def test_periodic_jobs_run_unless_pod_is_in_maintenance(self):
        for state in self.each():
            with self.cloud.runtime.db.writer() as connection:
                connection.execute(sqlalchemy.delete(JobEvent.__table__))
                connection.execute(sqlalchemy.delete(Job.__table__))
            self.cloud.lab.clear_logs()
            Periodic(self.cloud.conf, self.cloud.runtime).tick()
            keys = {job.resource_key for job in jobs.list_(self.cloud.runtime.db)}
            self.assertEqual(state in ASKED, self.cloud.pod_ids['Pod1'] in keys, state)
            self.cloud.run_jobs()
            self.assertEqual(state in ASKED, bool(self.requests()), state)

    def test_zone_is_available_if_it_has_an_enabled_pod(self):
        # Its other pod is disabled, so the zone has the state of its first pod.
        self.cloud.set_pod('Pod2', state='disabled')
        for state in self.each():
            (zone,) = [
                each
                for each in self.nova.get('/os-availability-zone')['availabilityZoneInfo']
                if each['zoneName'] == 'az1'
            ]
            self.assertEqual(state == 'enabled', zone['zoneState']['available'], state)
            answer = self.boot()
            self.assertEqual(202 if state == 'enabled' else 503, answer.status)

    def test_state_changes_are_recorded_with_reason(self):
        for _state in self.each():
            pass
        changes = self.api.get(f'/pods/{self.cloud.pod_ids["Pod1"]}')['pod']['state_changes']
        seen = [(each['to_state'], each['reason']) for each in reversed(changes)]
        self.assertEqual(
            [
                pair
                for state in ('disabled', 'draining', 'maintenance')
                for pair in ((state, f'{state} now'), ('enabled', 'back'))
            ],
            seen,
        )
