# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o pod``, ``replica`` and ``usage``."""

import json
import threading
import time

import fixtures

from trio2o.db import jobs, replicas, routings
from trio2o.db.records import NewRouting
from trio2o.osc.v1 import waiting
from trio2o.osc.v1.report import shown
from trio2o.tests.functional.osc.base import CommandTestCase


class TestPods(CommandTestCase):
    def test_list_is_filtered_sorted_and_limited(self):
        rows = self.read('pod list')
        self.assertEqual(['Pod1', 'Pod2'], [row['Name'] for row in rows])
        self.assertEqual({'ID', 'Name', 'Zone', 'State', 'Reason'}, set(rows[0]))
        self.assertIn('Number', self.read('pod list --long')[0])
        self.cloud.set_pod('Pod2', state='disabled', dc_name='dc2')
        self.assertEqual(['Pod2'], self.names('pod list --state disabled'))
        self.assertEqual(['Pod1'], self.names('pod list --zone az1'))
        self.assertEqual(['Pod2'], self.names('pod list --datacenter dc2'))
        self.assertEqual(['Pod2', 'Pod1'], self.names('pod list --sort pod_name:desc'))
        self.assertEqual(['Pod2'], self.names('pod list --limit 1 --sort pod_name:desc'))
        self.assertEqual(['Pod2'], self.names(f'pod list --marker {self.cloud.pod_ids["Pod1"]}'))
        self.refused("'sort'", 'pod list --sort colour')
        self.refused('whole number', 'pod list --limit -1')

    def test_output_formats_show_pods(self):
        self.assertIn('| Pod1 ', self.run_command('pod list').out)
        self.assertIn('"Pod1"', self.run_command('pod list -f csv').out)
        self.assertIn('Name: Pod1', self.run_command('pod list -f yaml').out)
        self.assertEqual('Pod1\nPod2\n', self.run_command('pod list -f value -c Name').out)
        self.assertIn("compute.url='http", self.run_command('pod show Pod1').out.replace('{', ''))

    def test_pod_is_shown_by_name_or_id(self):
        for name in ('Pod1', self.cloud.pod_ids['Pod1']):
            pod = self.read(f'pod show {name}')
            self.assertEqual(('Pod1', 'az1'), (pod['pod_name'], pod['az_name']))
        self.cloud.set_pod('Pod1', state='maintenance', reason='new switches')
        self.assertIn('to_state=maintenance', self.run_command('pod show Pod1').out)
        self.refused(["'Pod9'", 'openstack trio2o pod list'], 'pod show Pod9')
        self.refused("'a/b?c'", "pod show 'a/b?c'")

    def test_create_names_zones_that_tenants_cannot_use(self):
        self.run_command('pod delete Pod2 --force')
        result = self.run_command('pod create Pod2 --zone az2 --pod-zone nova --pod-volume-zone az2')
        self.assertIn('Tenants name the zone az2. A create in zone nova is refused.', result.err)

    def test_set_changes_fields_and_merges_headroom(self):
        pod = self.read(
            'pod set Pod2 --state maintenance --reason "new switches" --headroom VCPU=8 --affinity gpu=yes'
        )
        self.assertEqual(('maintenance', 'new switches'), (pod['state'], pod['state_reason']))
        self.assertEqual(({'VCPU': 8}, {'gpu': 'yes'}), (pod['headroom'], pod['resource_affinity_tag']))
        pod = self.read('pod set Pod2 --headroom MEMORY_MB=10% --datacenter dc --pod-zone nova --pod-volume-zone v')
        self.assertEqual({'VCPU': 8, 'MEMORY_MB': '10%'}, pod['headroom'])
        self.assertEqual(('maintenance', 'dc'), (pod['state'], pod['dc_name']))
        self.assertEqual(('nova', 'v'), (pod['pod_az_name'], pod['pod_volume_az_name']))
        self.refused('Nothing to change', 'pod set Pod2')
        self.refused("'pod.headroom.VCPU'", 'pod set Pod2 --headroom VCPU=lots')
        self.refused('<key>=<value>', 'pod set Pod2 --headroom VCPU')
        self.refused('invalid choice', 'pod set Pod2 --state asleep')

    def test_unset_removes_fields(self):
        self.read(
            'pod set Pod2 --headroom VCPU=8 --headroom DISK_GB=1 --affinity gpu=yes --datacenter dc --pod-zone x '
            '--pod-volume-zone y'
        )
        pod = self.read(
            'pod unset Pod2 --headroom VCPU --affinity gpu --datacenter --pod-zone --pod-volume-zone --reason'
        )
        self.assertEqual(({'DISK_GB': 1}, None), (pod['headroom'], pod['resource_affinity_tag']))
        self.assertEqual(('', '', None), (pod['dc_name'], pod['pod_az_name'], pod['pod_volume_az_name']))
        self.refused('Pod2 has no headroom VCPU', 'pod unset Pod2 --headroom VCPU')
        self.refused('Nothing to unset', 'pod unset Pod2')

    def test_pods_are_deleted_and_pod_with_resources_needs_force(self):
        routings.record(
            self.db, NewRouting(resource_type='server', top_id='s1', pod_id=self.cloud.pod_ids['Pod1'], project_id='p')
        )
        self.cloud.conf.set_override('refresh_seconds', 0.0, 'pods')
        for pod in ('Pod1', 'Pod2'):
            self.cloud.set_pod(pod, state='draining')
        self.refused(['1 of 3 done', 'Pod1: ', '(409)', 'Pod9: '], 'pod delete Pod1 Pod2 Pod9')
        self.assertEqual(['Pod1'], self.names('pod list'))
        self.assertEqual('', self.run_command('pod delete --force Pod1').out)
        self.assertEqual([], self.names('pod list'))

    def test_member_is_refused_and_error_names_roles(self):
        self.user = 'demo'
        self.refused(['403', "'admin'", 'reader'], 'pod list')

    def test_replicas_are_listed_and_counted_by_pod(self):
        flavor = replicas.upsert_object(self.db, 'flavor', 'f1', {'ram': 1}, 'f1')
        pod1, pod2 = self.cloud.pod_ids['Pod1'], self.cloud.pod_ids['Pod2']
        replicas.set_replica(self.db, flavor.id, pod1, bottom_id='f1', generation=1, state='in_sync')
        replicas.set_replica(self.db, flavor.id, pod2, generation=0, state='failed', error='no room')
        (row,) = self.read('replica list')
        self.assertEqual(('Pod2', 'flavor', 'no room'), (row['Pod'], row['Kind'], row['Error']))
        self.assertEqual([], self.read('replica list --pod Pod1'))
        self.assertEqual([], self.read('replica list --state out_of_sync'))
        self.assertEqual([], self.read('replica list --kind keypair'))
        self.assertEqual(
            [{'Pod': 'Pod1', 'Out Of Sync': 0}, {'Pod': 'Pod2', 'Out Of Sync': 1}], self.read('replica list --summary')
        )
        self.assertIn('Desired Generation', self.read('replica list --long')[0])

    def test_usages_are_listed_shown_and_summed(self):
        self.refused('has not been read yet', 'usage show Pod2')
        jobs.submit(self.db, 'collect_usage', 'all', {})
        self.cloud.run_jobs()
        rows = self.read('usage list')
        self.assertEqual(
            {('Pod1', 'VCPU'), ('Pod2', 'gigabytes')},
            {(row['Pod'], row['Resource']) for row in rows} & {('Pod1', 'VCPU'), ('Pod2', 'gigabytes')},
        )
        self.assertEqual({'volume'}, set(self.names('usage list --service volume', 'Service')))
        self.assertEqual({'Pod2'}, set(self.names('usage list --zone az2', 'Pod')))
        (one,) = (row for row in self.read('usage show Pod1') if row['Resource'] == 'VCPU')
        (both,) = (row for row in self.read('usage list --sum') if row['Resource'] == 'VCPU')
        self.assertEqual((2, 2 * one['Capacity']), (both['Pods'], both['Capacity']))

    def test_select_shows_chosen_pods_and_reasons_for_others(self):
        rows = self.read('pod select --project demo --zone az1')
        self.assertEqual([('Pod1', 1), ('Pod2', None)], [(row['Pod'], row['Place']) for row in rows])
        self.assertEqual('availability_zone', rows[1]['Why Not'])
        self.cloud.set_pod('Pod1', state='disabled')
        printed = self.run_command('pod select --project demo --zone az1 --resource VCPU=2 --property a=b --count 2')
        self.assertIn('No pod can take it now.', printed.err)
        self.assertIn('state: ', printed.out)
        self.refused("there is no flavor 'nope'", 'pod select --project demo --flavor nope')
        self.refused("'selection.az_name'", 'pod select --project demo --zone az9')
        self.refused("'selection.resources.VCPU'", 'pod select --project demo --resource VCPU=some')
        self.refused('--project', 'pod select --zone az1')

    def test_drain_lists_remaining_resources_and_waits_for_empty_pod(self):
        server = self.cloud.lab.add_servers('Pod1', 'demo')[0]
        self.cloud.nova.get(f'/servers/{server["id"]}')
        (row,) = self.read('pod drain Pod1 --list')
        self.assertEqual(('server', server['id'], []), (row['Type'], row['Resource'], row['Could Go To']))
        self.assertTrue(row['Why Not'])
        self.assertEqual('enabled', self.read('pod show Pod1')['state'])
        printed = self.run_command('pod drain Pod1 --reason "lease ends"')
        self.assertIn('Pod1 (draining) holds 1 server, of one project.', printed.err)
        pod = self.read('pod show Pod1')
        self.assertEqual(('draining', 'lease ends'), (pod['state'], pod['state_reason']))
        self.assertEqual([], self.read('pod drain Pod1 --type volume'))
        self.assertEqual([], self.read('pod drain Pod1 --list --project-id nobody'))
        self.assertEqual(1, self.run_command('pod drain Pod2 --wait').err.count('Pod2 (draining) is empty.'))
        self.assertIn('holds 1 server', self.run_command('pod drain Pod1 --wait --timeout 0').err)
        self.refused("'Pod9'", 'pod drain Pod9')

    def test_adopt_waits_and_reports_resources(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        self.cloud.run_jobs()
        self.cloud.lab.add_servers('Pod1', 'demo', 3)
        for options, is_dry_run in (('--dry-run', True), ('--wait', False)):
            worker = self.start_worker('adopt_pod')
            printed = self.run_command(f'pod adopt Pod1 {options} --timeout 60 -f json')
            worker.join()
            self.assertIn('(adopt_pod): success', printed.err)
            report = printed.json
            self.assertEqual(('Pod1', is_dry_run), (report['pod_name'], report['dry_run']))
            self.assertEqual(3, report['resources']['servers']['new'])
            self.assertEqual([], report['conflicts'])
        job = self.read('pod adopt Pod1')
        self.assertEqual(('adopt_pod', 'new'), (job['type'], job['state']))
        self.cloud.run_jobs()
        table = self.run_command(f'job show {job["id"]}').out
        self.assertIn('success', table)

    def test_reconcile_shows_job_of_pod(self):
        pod_id = self.read('pod show Pod1')['pod_id']
        for options, key in (('', pod_id), ('--end-missing', f'{pod_id}:end-missing')):
            job = self.read(f'pod reconcile Pod1 {options}')
            self.assertEqual(('reconcile_routings', key, 'new'), (job['type'], job['resource_key'], job['state']))
            self.assertEqual(bool(options), job['payload']['end_missing'])

    def test_adoption_report_is_printed_as_tables(self):
        report = {
            'resources': {'servers': {'total': 2, 'new': 1}, 'volumes': {'total': 0, 'new': 0}},
            'conflicts': [{'kind': 'flavor', 'id': '7', 'name': 'big', 'text': 'ram is 1 there'}],
            'ownerless': {},
            'unknown_projects': {'p': {'servers': 2}},
        }
        names, values = shown(report)
        reported = dict(zip(names, (value.human_readable().splitlines() for value in values), strict=True))
        self.assertEqual(['         total  new', 'servers  2      1', 'volumes  0      0'], reported['resources'])
        self.assertEqual(['kind    id  name  text', 'flavor  7   big   ram is 1 there'], reported['conflicts'])
        self.assertEqual(['-'], reported['ownerless'])
        self.assertEqual(report['conflicts'], dict(zip(names, values, strict=True))['conflicts'].machine_readable())

    def test_empty_project_is_refused_for_existing_project(self):
        self.refused(['(409)', 'Keystone still has'], f'project empty {self.cloud.project_id("demo")}')
        job = self.read('project empty f00d')
        self.assertEqual(('empty_project', 'new'), (job['type'], job['state']))
        self.cloud.run_jobs()
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        self.start_worker('empty_project')
        report = self.read('project empty --dry-run --timeout 60 f00d')
        self.assertIn('job_id', report)


class TestCreate(CommandTestCase):
    registers = False

    def test_pod_is_created_and_invalid_one_refused(self):
        pod = self.read('pod create Pod1 --zone az1 --datacenter dc1 --state disabled --reason "burning in"')
        self.assertEqual(
            ('Pod1', 'az1', 'disabled', 'burning in'),
            tuple(pod[name] for name in ('pod_name', 'az_name', 'state', 'state_reason')),
        )
        self.refused('(409)', 'pod create Pod1 --zone az1')
        self.refused('az_name', 'pod create Pod7')
        self.refused("'pod.pod_name'", 'pod create Nowhere --zone az1')
        self.assertEqual('', self.read('pod create RegionOne')['az_name'])

    def test_create_waits_until_pod_is_in_sync(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        self.start_worker('sync_pod')
        printed = self.run_command('pod create Pod1 --zone az1 --wait --timeout 60 -f json')
        self.assertIn('(sync_pod): success', printed.err)
        self.assertIn('Pod1 is in sync', printed.err)
        self.assertEqual('Pod1', json.loads(printed.out)['pod_name'])

    def test_create_stops_waiting_after_timeout(self):
        printed = self.refused(
            ['still new', 'openstack trio2o job show'], 'pod create Pod1 --zone az1 --wait --timeout 0'
        )
        self.assertEqual(['Pod1'], self.names('pod list'), printed.err)

    def test_wait_for_job_and_replicas_within_one_timeout(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        watched = []
        watch = waiting.watch
        timer = threading.Timer(1, self.start_worker, ['sync_pod'])
        self.addCleanup(timer.join)

        def record(*arguments):
            watched.append((time.monotonic(), arguments[-1]))
            if len(watched) == 1:
                timer.start()
            return watch(*arguments)

        for module in ('waiting', 'pod'):
            self.useFixture(fixtures.MonkeyPatch(f'trio2o.osc.v1.{module}.watch', record))
        self.run_command('pod create Pod1 --zone az1 --wait --timeout 60')
        (job_began, job_timeout), (replicas_began, replicas_timeout) = watched
        self.assertEqual(60, job_timeout)
        self.assertAlmostEqual(60 - (replicas_began - job_began), replicas_timeout, delta=0.5)
        self.assertLessEqual(replicas_timeout, 59)

    def test_wait_ends_at_once_when_replica_conflicts(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.osc.v1.waiting.PAUSE_SECONDS', 0.05))
        flavor = {'id': 'f1', 'name': 'small', 'vcpus': 1, 'disk': 1, 'ram': 128}
        for name, ram in (('Pod1', 128), ('Pod2', 512)):
            body = {'flavor': {**flavor, 'ram': ram}}
            self.assertEqual(200, self.cloud.direct(name, 'nova').post('/flavors', body, as_='admin').status)
        self.start_worker('sync_pod')
        self.read('pod create Pod1 --zone az1 --wait --timeout 60')
        self.start_worker('sync_pod')
        printed = self.refused(
            ['is registered', 'no retry will follow', 'openstack trio2o replica list --pod Pod2'],
            'pod create Pod2 --zone az2 --wait --timeout 600',
        )
        self.assertIn('Pod2: replicas out of sync: 1', printed.err)
