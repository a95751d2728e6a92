# SPDX-License-Identifier: Apache-2.0
"""Decisions of the scheduler in the log, ``POST /pods/select``, ``GET /usages`` and the history of bindings."""

import datetime

import fixtures

from trio2o.db import pod_usages
from trio2o.db.database import utcnow
from trio2o.tests.functional.scheduling.base import SchedulingTest


class TestSelect(SchedulingTest):
    def select(self, status=200, as_='admin', **wanted):
        body = {'selection': {'project_id': self.cloud.project_id(), **wanted}}
        answer = self.api.post('/pods/select', body, as_=as_)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def names(self, selection, key='pods'):
        return [each['pod_name'] for each in selection[key]]

    def test_selection_names_pods_and_reasons_for_dropped_ones(self):
        self.capacity('Pod1', 0)
        self.collect()
        self.cloud.set_pod('Pod3', state='draining', reason='old')
        selection = self.select(az_name='az1', flavor='1')['selection']
        self.assertEqual(['Pod2'], self.names(selection))
        dropped = {each['pod_name']: (each['filter'], each['reason']) for each in selection['dropped']}
        self.assertEqual(('state', 'draining'), dropped['Pod3'])
        self.assertEqual(('capacity', 'VCPU: 1 requested, 0 free, of which 0 is headroom'), dropped['Pod1'])
        self.assertEqual('availability_zone', dropped['Pod4'][0])
        self.assertEqual({'VCPU': 1, 'MEMORY_MB': 512, 'DISK_GB': 1}, selection['resources'])

    def test_selection_makes_no_binding_and_no_requests(self):
        self.cloud.lab.clear_logs()
        self.select(az_name='az1', flavor='1')
        self.assertEqual([], self.bindings(history=True))
        self.assertEqual([], list(self.cloud.pod('Pod1').nova.requests))

    def test_selection_shows_binding_and_weights(self):
        self.boot('az2')
        first, *others = self.select(flavor='1')['selection']['pods']
        self.assertEqual(('Pod4', True, 1000.0), (first['pod_name'], first['is_bound'], first['weights']['binding']))
        self.assertEqual(sum(first['weights'].values()), first['weight'])
        self.assertEqual(['Pod1', 'Pod2', 'Pod3'], [each['pod_name'] for each in others])

    def test_selection_for_volume_type_respects_extra_specs(self):
        self.type('gold', tier='gold')
        self.cloud.set_pod('Pod2', resource_affinity_tag={'tier': 'gold'})
        wanted = {'volume_type': 'gold', 'resources': {'gigabytes': 10}}
        self.assertEqual(['Pod2'], self.names(self.select(**wanted)['selection']))
        by_specs = self.select(service='volume', extra_specs={'trio2o:tier': 'gold'})['selection']
        self.assertEqual(['Pod2'], self.names(by_specs))

    def test_invalid_selection_is_refused_and_error_names_field(self):
        for wanted, field in (
            ({'az_name': 'nowhere'}, 'az_name'),
            ({'flavor': 'nope'}, 'flavor'),
            ({'volume_type': 'nope'}, 'volume_type'),
            ({'flavor': '1', 'service': 'volume'}, 'flavor'),
            ({'service': 'dns'}, 'service'),
            ({'resources': {'vcpus': 1}}, 'resources'),
            ({'count': 0}, 'count'),
            ({'project_id': ''}, 'project_id'),
        ):
            self.assertIn(field, self.select(422, **wanted).fault)
        self.assertEqual(403, self.api.post('/pods/select', {'selection': {'project_id': 'x'}}, as_='demo').status)
        self.assertEqual(400, self.api.post('/pods/select', {'pod': {}}).status)


class TestLog(SchedulingTest):
    def test_decision_is_logged_in_one_line(self):
        log = self.useFixture(fixtures.FakeLogger('trio2o.scheduler.manager', level=20))
        self.cloud.set_pod('Pod3', state='disabled')
        self.boot()
        (line,) = [line for line in log.output.splitlines() if 'a new server' in line]
        self.assertIn('state dropped Pod3 (disabled); Pod1 1', line)
        self.assertNotIn('Pod4', line)  # of another zone
        self.assertIn('(binding 0, creation_time 1)', line)
        self.assertIn('Pod2 0', line)


class TestUsages(SchedulingTest):
    def get(self, **query):
        answer = self.api.get('/usages', query=query)
        self.assertEqual(200, answer.status, answer.text)
        return answer.json

    def setUp(self):
        super().setUp()
        self.capacity('Pod1', 8)
        self.capacity('Pod2', 4)
        self.cloud.lab.add_servers('Pod1', 'demo', 3)
        self.cloud.set_pod('Pod1', headroom={'vcpu': '25%'})
        self.collect()

    def test_usage_of_pod_shows_capacity_headroom_and_age(self):
        (usage,) = self.get(pod_name='Pod1', service='compute')['usages']
        self.assertEqual(
            {'capacity': 8, 'used': 3, 'free': 5, 'headroom': 2.0, 'room': 3.0}, usage['resources']['VCPU']
        )
        self.assertEqual(('az1', False), (usage['az_name'], usage['is_stale']))
        self.assertTrue(0 <= usage['age_seconds'] < 60)

    def test_sums_cover_all_pages_of_usages(self):
        everything = self.get(az_name='az1', limit=1)
        self.assertEqual(1, len(everything['usages']))
        self.assertIn('usages_links', everything)
        compute, volume = everything['sums']
        self.assertEqual(('compute', 3), (compute['service'], compute['pods']))
        self.assertEqual(8 + 4 + 4000, compute['resources']['VCPU']['capacity'])
        self.assertEqual(3, compute['resources']['VCPU']['used'])
        self.assertEqual(3000, volume['resources']['gigabytes']['capacity'])
        (one,) = self.get(pod_name='Pod2', service='compute')['sums']
        self.assertEqual(4, one['resources']['VCPU']['free'])

    def recorded(self, pod_id):
        rows = pod_usages.list_all(self.cloud.runtime.db)
        return next((row for row in rows if (row.pod_id, row.service) == (pod_id, 'compute')), None)

    def test_usage_older_than_limit_is_stale(self):
        pod_id = self.cloud.pod_ids['Pod1']
        row = self.recorded(pod_id)
        then = utcnow() - datetime.timedelta(hours=1)
        pod_usages.set_(self.cloud.runtime.db, pod_id, 'compute', row.data, then)
        (usage,) = self.get(pod_name='Pod1', service='compute')['usages']
        self.assertTrue(usage['is_stale'])
        self.assertTrue(3590 < usage['age_seconds'] < 3700)

    def test_disabled_hosts_have_no_capacity(self):
        self.cloud.pod('Pod2').nova.disabled['pod2-compute-1'] = 'broken'
        self.collect()
        (usage,) = self.get(pod_name='Pod2', service='compute')['usages']
        self.assertEqual(0, usage['resources']['VCPU']['capacity'])

    def test_pod_without_placement_endpoint_keeps_last_usage(self):
        keystone = self.cloud.lab.keystone
        keystone.endpoints = [
            row for row in keystone.endpoints if not (row.region == 'Pod3' and 'placement' in row.url)
        ]
        pod_id = self.cloud.pod_ids['Pod3']
        self.cloud.runtime.jobs.submit('refresh_endpoints', 'all', None)
        self.cloud.run_jobs()
        before = self.recorded(pod_id)
        jobs = self.cloud.lab.pod('Pod3').placement.requests
        jobs.clear()
        self.collect()
        self.assertEqual([], list(jobs))
        self.assertEqual(before, self.recorded(pod_id))

    def test_usages_are_refused_to_members_and_unknown_query_with_400(self):
        self.assertEqual(403, self.api.get('/usages', as_='demo').status)
        self.assertEqual(400, self.api.get('/usages?color=red').status)


class TestHistory(SchedulingTest):
    def test_history_shows_start_and_end_of_bindings(self):
        self.boot()
        self.cloud.set_pod('Pod1', state='draining')
        self.boot()
        old, new = self.api.get('/bindings?history=true')['pod_bindings']
        self.assertTrue(old['started_at'] <= old['ended_at'] <= new['started_at'])
        self.assertIsNone(new['ended_at'])
        self.assertEqual([(False, False)] * 2, [(each['is_pinned'], each['is_exclusive']) for each in (old, new)])

    def test_state_changes_show_user_and_reason(self):
        self.cloud.set_pod('Pod1', state='maintenance', reason='new disks')
        self.cloud.set_pod('Pod1', state='enabled', reason='done')
        changes = self.api.get(f'/pods/{self.cloud.pod_ids["Pod1"]}')['pod']['state_changes']
        self.assertEqual(
            [('maintenance', 'enabled', 'done'), ('enabled', 'maintenance', 'new disks')],
            [(each['from_state'], each['to_state'], each['reason']) for each in changes],
        )
        self.assertEqual({self.cloud.lab.user_id('admin')}, {each['user_id'] for each in changes})
