# SPDX-License-Identifier: Apache-2.0
"""Jobs reconcile routings with the resources of pods, and endpoints with Keystone and the pods."""

import datetime
import time
from unittest import mock

import fixtures

from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db import routings
from trio2o.db.records import NewRouting
from trio2o.lab.emulated.faults import DropAfter, EndlessPages, Hang, Refuse, Status
from trio2o.routing.inventory import Inventory
from trio2o.tests.functional.jobs.base import JobsCase
from trio2o.xjob.jobs import refresh_endpoints


class RoutingsCase(JobsCase):
    def reconcile(self, name='Pod1', state='success', **payload):
        payload = payload or {'is_full': True}
        pod_id = self.cloud.pod_ids[name]
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, **payload})
        job = [each for each in self.cloud.run_jobs() if each.type == 'reconcile_routings'][-1]
        self.assertEqual(state, job.state, job.error)
        return job.progress

    def get(self, kind, top_id):
        return routings.get(self.cloud.runtime.db, kind, top_id)


class TestRoutings(RoutingsCase):
    def test_servers_and_volumes_of_pod_are_recorded(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'alt')
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'demo')
        progress = self.reconcile()
        self.assertEqual(1, progress['new_servers'])
        found = self.get('server', server['id'])
        self.assertEqual(self.cloud.project_id('alt'), found.project_id)
        self.assertEqual(server['created_at'], found.created_at)
        self.assertEqual(self.cloud.project_id('demo'), self.get('volume', volume['id']).project_id)
        pod = db_pods.get(self.cloud.runtime.db, self.cloud.pod_ids['Pod1'])
        self.assertTrue(pod.is_reconciled)

    def test_resources_on_several_pages_are_recorded(self):
        self.nova('Pod1').settings.max_limit = 7
        self.cinder('Pod1').settings.max_limit = 7
        self.cloud.lab.add_servers('Pod1', 'demo', 30)
        self.cloud.lab.add_volumes('Pod1', 'demo', 21)
        progress = self.reconcile()
        self.assertEqual(
            (30, 30, 21, 21),
            tuple(progress[name] for name in ('servers', 'new_servers', 'volumes', 'new_volumes')),
        )

    def test_second_run_finds_nothing_new(self):
        self.cloud.lab.add_servers('Pod1', 'demo', 3)
        self.reconcile()
        progress = self.reconcile()
        self.assertEqual((3, 0, 0), tuple(progress[name] for name in ('servers', 'new_servers', 'gone_servers')))

    def test_routing_of_deleted_server_ends(self):
        kept, gone = self.cloud.lab.add_servers('Pod1', 'demo', 2)
        self.reconcile()
        self.nova('Pod1').servers.pop(gone['id'])
        self.assertEqual(1, self.reconcile()['gone_servers'])
        self.assertFalse(self.get('server', gone['id']).is_live)
        self.assertTrue(self.get('server', kept['id']).is_live)

    def test_server_missing_in_list_is_checked_by_id(self):
        """A routing ends only when the pod answers 404 for the server."""
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        empty = Status(
            200,
            path='/servers/detail',
            body=b'{"servers": []}',
            headers=(('Content-Type', 'application/json'),),
        )
        self.nova('Pod1').faults.add(empty)
        self.assertEqual(0, self.reconcile()['gone_servers'])
        self.assertTrue(self.get('server', server['id']).is_live)

    def test_routing_recorded_during_run_stays(self):
        routings.record(
            self.cloud.runtime.db,
            NewRouting(
                resource_type='server',
                top_id='new',
                pod_id=self.cloud.pod_ids['Pod1'],
                project_id='p',
                state='creating',
            ),
        )
        found = self.get('server', 'new')
        routings.update(
            self.cloud.runtime.db,
            found.id,
            recorded_at=found.recorded_at + datetime.timedelta(seconds=30),
        )
        self.reconcile()
        self.assertTrue(self.get('server', 'new').is_live)

    def test_routing_of_existing_server_becomes_live_again(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        routings.mark_deleted(self.cloud.runtime.db, 'server', server['id'])
        self.reconcile()
        self.assertTrue(self.get('server', server['id']).is_live)

    def test_volume_deleted_after_it_was_listed_stays_deleted(self):
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'demo', 1)
        self.reconcile(is_full=True)
        compare = Inventory.compare

        def delete_then_compare(inventory, items):
            items = list(items)
            if any(item['id'] == volume['id'] for item in items):
                self.cinder('Pod1').volumes.pop(volume['id'], None)
                routings.mark_deleted(self.cloud.runtime.db, 'volume', volume['id'])
            return compare(inventory, items)

        with mock.patch.object(Inventory, 'compare', delete_then_compare):
            self.reconcile(is_full=True)
        self.assertFalse(self.get('volume', volume['id']).is_live)

    def test_server_with_other_top_id_is_not_recorded_twice(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        routings.record(
            self.cloud.runtime.db,
            NewRouting(
                resource_type='server',
                top_id='top',
                bottom_id=server['id'],
                pod_id=self.cloud.pod_ids['Pod1'],
                project_id='p',
            ),
        )
        self.assertEqual(0, self.reconcile()['new_servers'])
        self.assertIsNone(self.get('server', server['id']))
        self.assertEqual(server['created_at'], self.get('server', 'top').created_at)

    def test_changed_project_of_volume_is_recorded(self):
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'demo')
        self.reconcile()
        volume['project_id'] = self.cloud.project_id('alt')
        self.reconcile()
        self.assertEqual(self.cloud.project_id('alt'), self.get('volume', volume['id']).project_id)

    def test_amounts_of_volume_are_recorded(self):
        self.cloud.lab.add_servers('Pod1', 'demo')
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'demo', size=7)
        self.reconcile()
        self.assertEqual(7, self.get('volume', volume['id']).deltas['gigabytes'])

    def test_malformed_list_fails_the_job(self):
        for body in (b'[1]', b'{}', b'{"servers": [1]}', b'{"servers": [{}]}', b'{"servers": [{"id": []}]}'):
            fault = Status(200, path='/servers/detail', body=body, headers=(('Content-Type', 'application/json'),))
            self.nova('Pod1').faults.add(fault)
            pod_id = self.cloud.pod_ids['Pod1']
            self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, 'is_full': True})
            (job,) = [each for each in self.cloud.run_jobs() if each.state == 'fail']
            self.assertIn('not a list of servers', job.error)
            self.nova('Pod1').faults.clear()

    def test_list_without_end_fails_the_job(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.routing.pod_lists._MAX_PAGES', 20))
        self.cloud.lab.add_servers('Pod1', 'demo')
        self.cloud.lab.add_volumes('Pod1', 'demo')
        for path in ('/servers', '/volumes', '/flavors'):
            for is_made_up in (False, True) if path != '/flavors' else (False,):
                for service in self.cloud.pod('Pod1').each():
                    service.faults.clear()
                    service.faults.add(EndlessPages(path=path, is_made_up=is_made_up))
                    service.requests.clear()
                kind = 'repair_replicas' if path == '/flavors' else 'reconcile_routings'
                pod_id = self.cloud.pod_ids['Pod1']
                self.cloud.runtime.jobs.submit(kind, pod_id, {'pod_id': pod_id, 'is_full': True})
                errors = [job.error for job in self.cloud.run_jobs() if job.type == kind and job.state == 'fail']
                self.assertEqual(1, len(errors), (path, is_made_up))
                self.assertIn('does not end', errors[0])

    def test_pod_is_unreachable_and_job_fails(self):
        self.nova('Pod1').faults.add(Refuse())
        pod_id = self.cloud.pod_ids['Pod1']
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id})
        ran = self.cloud.run_jobs()
        self.assertEqual('fail', ran[-1].state)
        self.assertIn('Pod1', ran[-1].error)


class TestChanges(RoutingsCase):
    """The job finds what changed since its last run without reading everything."""

    def follow(self, name='Pod1', **payload):
        return self.reconcile(name, looks=[], **payload)

    def long_ago(self, count):
        """Servers and volumes of last year, which the job has recorded and need not read again."""
        start = datetime.datetime(2025, 1, 1)
        self.cloud.lab.add_servers('Pod1', 'demo', count, start=start)
        self.cloud.lab.add_volumes('Pod1', 'demo', count, start=start)
        self.reconcile()
        self.cloud.lab.clear_logs()

    def test_only_new_resources_are_read(self):
        self.long_ago(250)
        (server,) = self.cloud.lab.add_servers('Pod1', 'alt')
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'alt')
        progress = self.follow()
        self.assertEqual(
            (1, 1, 1, 1), tuple(progress[name] for name in ('servers', 'new_servers', 'volumes', 'new_volumes'))
        )
        self.assertEqual(self.cloud.project_id('alt'), self.get('server', server['id']).project_id)
        self.assertTrue(self.get('volume', volume['id']).is_live)
        paths = [request.path for request in self.cinder('Pod1').requests]
        self.assertEqual(1, len([path for path in paths if path.endswith('/volumes/detail')]), paths)

    def test_new_volumes_on_several_pages_are_recorded(self):
        self.long_ago(150)
        self.cloud.lab.add_volumes('Pod1', 'demo', 230, spacing=0.01)
        self.assertEqual(230, self.follow()['new_volumes'])

    def test_routing_of_deleted_server_ends(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        self.cloud.direct('Pod1').delete(f'/servers/{server["id"]}', as_='demo')
        self.assertEqual(1, self.follow()['gone_servers'])
        self.assertFalse(self.get('server', server['id']).is_live)

    def test_full_comparison_runs_after_its_interval(self):
        (volume,) = self.cloud.lab.add_volumes('Pod1', 'demo')
        self.reconcile()
        self.cinder('Pod1').volumes.pop(volume['id'])
        self.follow()
        self.assertTrue(self.get('volume', volume['id']).is_live, 'the pod does not tell of it')
        old = datetime.datetime.now() - datetime.timedelta(hours=7)
        db_pods.set_reconciled(self.cloud.runtime.db, self.cloud.pod_ids['Pod1'], old)
        self.assertEqual('the beginning', self.follow()['since'])
        self.assertFalse(self.get('volume', volume['id']).is_live)

    def test_job_runs_again_for_each_look(self):
        """The resource of an unanswered request may appear after the first run."""
        pod_id = self.cloud.pod_ids['Pod1']
        payload = {'pod_id': pod_id, 'looks': [0, 0]}
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, payload, request_id='req-1')
        ran = self.cloud.run_jobs()
        self.assertEqual([[0, 0], [0], []], [job.payload['looks'] for job in ran])
        self.assertEqual({'req-1'}, {job.request_id for job in ran})

    def test_server_of_unanswered_create_is_recorded(self):
        self.nova('Pod1').faults.add(DropAfter(method='POST', path='/servers'))
        flavor = self.make_flavor(id='f1')
        body = {'name': 's', 'flavorRef': flavor['id'], 'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}
        answer = self.cloud.nova.post('/servers', {'server': body | {'availability_zone': 'az1'}}, version='2.90')
        self.assertEqual(504, answer.status, answer.text)
        (job,) = [job for job in self.cloud.run_jobs() if job.type == 'reconcile_routings']
        self.assertNotEqual('the beginning', job.progress['since'])
        self.assertEqual(1, job.progress['new_servers'])
        (waiting,) = db_jobs.list_(
            self.cloud.runtime.db, filters={'state': 'new', 'type': 'reconcile_routings', 'request_id': job.request_id}
        )
        self.assertGreater(waiting.run_after, datetime.datetime.now(datetime.UTC).replace(tzinfo=None))

    def test_server_moved_to_other_pod_is_recorded_there(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        self.nova('Pod2').servers[server['id']] = self.nova('Pod1').servers.pop(server['id'])
        self.assertEqual(1, self.follow('Pod2')['moved_servers'])
        self.assertEqual(self.cloud.pod_ids['Pod2'], self.get('server', server['id']).pod_id)

    def test_server_in_two_pods_is_a_conflict(self):
        """Trio2o cannot know which pod is right: the routing stays, and the log names both."""
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        self.nova('Pod2').servers[server['id']] = server
        self.assertEqual(1, self.follow('Pod2')['conflicts_servers'])
        self.assertEqual(self.cloud.pod_ids['Pod1'], self.get('server', server['id']).pod_id)

    def test_server_whose_pod_is_unreachable_is_a_conflict(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.reconcile()
        self.nova('Pod2').servers[server['id']] = self.nova('Pod1').servers.pop(server['id'])
        self.nova('Pod1').faults.add(Refuse())
        self.assertEqual(1, self.follow('Pod2')['conflicts_servers'])
        self.assertEqual(self.cloud.pod_ids['Pod1'], self.get('server', server['id']).pod_id)


class TestEndpoints(JobsCase):
    def refresh(self):
        self.cloud.runtime.jobs.submit('refresh_endpoints', 'all')
        self.assertRan('success', 'refresh_endpoints')
        return {pod.name: pod.endpoints for pod in self.cloud.runtime.registry.refresh().pods}

    def test_new_maximum_version_of_pod_is_recorded(self):
        self.nova('Pod1').settings.max_minor = 90
        found = self.refresh()
        self.assertEqual('2.90', found['Pod1']['compute'].max_version)
        self.assertEqual('2.104', found['Pod2']['compute'].max_version)

    def test_catalog_is_read_once_for_all_pods(self):
        keystone = self.cloud.lab.keystone
        keystone.requests.clear()
        self.assertEqual(2, len(self.refresh()))
        self.assertEqual(1, [seen.path for seen in keystone.requests].count('/v3/auth/catalog'))

    def test_pod_is_unreachable_and_known_endpoints_stay(self):
        before = self.refresh()
        self.nova('Pod1').faults.add(Refuse())
        self.assertEqual(before, self.refresh())

    def test_new_url_of_pod_is_recorded(self):
        self.cloud.lab.move_endpoints({'http://pod2.nova.test:8774': 'http://elsewhere:1'})
        self.assertEqual('http://elsewhere:1/v2.1', self.refresh()['Pod2']['compute'].url)


class TestEndpointsOfHungPods(JobsCase):
    pods = 4

    def gateway(self, **options):
        return super().gateway(**{'pods.read_timeout': 3}, **options)

    def test_pods_that_hang_leave_time_for_the_others(self):
        """The job ends soon, and reads the versions of the pods that are called after those that hang."""
        self.useFixture(fixtures.MonkeyPatch(f'{refresh_endpoints.__name__}.SECONDS_FOR_PART', 0.2))
        self.useFixture(fixtures.MonkeyPatch(f'{refresh_endpoints.__name__}.PODS_IN_PART', 2))
        self.cloud.identity_adapter.transport.real_time = True
        for name in ('Pod1', 'Pod2'):
            self.nova(name).faults.add(Hang())
        self.nova('Pod4').settings.max_minor = 90
        self.cloud.runtime.jobs.submit('refresh_endpoints', 'all')
        started = time.monotonic()
        self.assertRan('success', 'refresh_endpoints')
        self.assertLess(time.monotonic() - started, 2.0)
        (last,) = (pod for pod in self.cloud.runtime.registry.refresh().pods if pod.name == 'Pod4')
        self.assertEqual('2.90', last.endpoints['compute'].max_version)
