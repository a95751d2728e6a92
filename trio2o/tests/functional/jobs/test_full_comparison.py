# SPDX-License-Identifier: Apache-2.0
"""Full comparisons of pods with many resources: in sections, and in several runs."""

import datetime
from urllib import parse

import fixtures

from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db import routings
from trio2o.lab.emulated.faults import Status
from trio2o.tests.functional.jobs.base import JobsCase

START = datetime.datetime(2026, 1, 1)
SERVERS = 40


class ComparisonCase(JobsCase):
    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('trio2o.xjob.full_comparison.SECTION', 10))
        self.nova('Pod1').settings.max_limit = 5
        self.cinder('Pod1').settings.max_limit = 5
        self.pod_id = self.cloud.pod_ids['Pod1']
        # Two servers of each second.
        self.servers = [
            server['id'] for server in self.cloud.lab.add_servers('Pod1', 'demo', SERVERS, spacing=0.5, start=START)
        ]
        self.assertEqual('success', self.compare().state)

    def compare(self):
        self.cloud.runtime.jobs.submit('reconcile_routings', self.pod_id, {'pod_id': self.pod_id, 'is_full': True})
        return [each for each in self.cloud.run_jobs() if each.type == 'reconcile_routings'][-1]

    def live(self):
        """Indexes of the servers with live routings."""
        found = routings.get_many(self.cloud.runtime.db, 'server', self.servers)
        return [index for index, top_id in enumerate(self.servers) if found[top_id].is_live]

    def lose(self, *indexes):
        return {index: self.nova('Pod1').servers.pop(self.servers[index]) for index in indexes}

    def markers(self):
        """The markers of the lists of servers that the pod was asked for, as indexes; None: the first page."""
        lists = [each for each in self.nova('Pod1').requests if each.path.endswith('/servers/detail')]
        found = [dict(parse.parse_qsl(each.query)).get('marker') for each in lists]
        return [marker if marker is None else self.servers.index(marker) for marker in found]


class TestSections(ComparisonCase):
    def test_missing_resources_of_all_sections_end(self):
        lost = (0, 9, 10, 19, 20, 21, 30, 39)
        self.lose(*lost)
        progress = self.compare().progress
        self.assertEqual((SERVERS - 8, 0, 8), tuple(progress[f'{n}servers'] for n in ('', 'new_', 'gone_')))
        self.assertEqual([index for index in range(SERVERS) if index not in lost], self.live())

    def test_resources_of_one_second_in_two_sections_stay(self):
        """The pod is asked for missing resources only, so no other request shows a resource of its list."""
        self.cloud.lab.clear_logs()
        self.compare()
        shown = [each for each in self.nova('Pod1').requests if each.path.rpartition('/')[2] in self.servers]
        self.assertEqual([], shown)
        self.assertEqual(list(range(SERVERS)), self.live())

    def test_routing_without_a_time_ends_and_others_stay(self):
        db = self.cloud.runtime.db
        for index in 3, 25:
            routings.update(db, routings.get(db, 'server', self.servers[index]).id, created_at=None)
        self.lose(3)
        self.compare()
        self.assertEqual([index for index in range(SERVERS) if index != 3], self.live())
        self.assertIsNotNone(routings.get(db, 'server', self.servers[25]).created_at)

    def test_pod_does_not_sort_and_its_list_is_one_section(self):
        servers = list(self.nova('Pod1').servers.values())
        for server, other in zip(servers, reversed(servers), strict=True):
            server['created_at'] = other['created_at'] if server is servers[7] else server['created_at']
        self.lose(12)
        self.assertEqual('success', self.compare().state)
        self.assertEqual([index for index in range(SERVERS) if index != 12], self.live())

    def test_too_many_of_a_section_are_missing_and_new_ones_are_recorded(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.routing.inventory._MAX_MISSING', 3))
        # The newest are listed first: the sections before the one that stops the comparison may end routings.
        self.lose(39, *range(10, 20))
        (new,) = self.cloud.lab.add_servers('Pod1', 'demo', start=START - datetime.timedelta(days=1))
        job = self.compare()
        self.assertEqual('fail', job.state)
        self.assertIn('servers are missing', job.error)
        self.assertEqual([index for index in range(SERVERS) if index != 39], self.live())
        self.assertTrue(routings.get(self.cloud.runtime.db, 'server', new['id']).is_live)
        self.assertNotIn('place', job.progress)

    def test_share_of_the_rest_of_the_list_is_missing_but_not_of_the_section_with_it(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.routing.inventory._MAX_MISSING', 0))
        self.useFixture(fixtures.MonkeyPatch('trio2o.xjob.full_comparison.SECTION', 15))
        # Of the oldest ten servers, which are no section of their own. The section with them has 26.
        self.lose(2, 3)
        self.assertEqual('success', self.compare().state)
        self.assertEqual([index for index in range(SERVERS) if index not in (2, 3)], self.live())

    def test_pod_lists_nothing_and_comparison_stops(self):
        self.lose(*range(SERVERS))
        self.assertIn(f'{SERVERS} of {SERVERS} servers are missing', self.compare().error)
        self.assertEqual(list(range(SERVERS)), self.live())

    def test_pod_lists_the_newest_only_and_comparison_stops(self):
        self.lose(*range(12))
        self.assertEqual('fail', self.compare().state)
        self.assertEqual(list(range(SERVERS)), self.live())


class TestSeveralRuns(ComparisonCase):
    def interrupt(self):
        """Compare, and let the pod fail after three sections.

        Two have ended, the second with the servers of the indexes 20 and 21.
        """
        self.nova('Pod1').faults.add(Status(503, path='/servers/detail', after=6))
        job = self.compare()
        self.nova('Pod1').faults.clear()
        self.assertEqual('fail', job.state)
        return job

    def redo(self, job):
        self.cloud.lab.clear_logs()
        db_jobs.redo(self.cloud.runtime.db, job.id)
        self.cloud.run_jobs()
        return db_jobs.get(self.cloud.runtime.db, job.id)

    def test_next_run_goes_on_after_the_last_section(self):
        job = self.interrupt()
        lost = (5, 15, 35)
        self.lose(*lost)
        job = self.redo(job)
        self.assertEqual('success', job.state, job.error)
        # Both are of one second, and listed in the order of their ids.
        self.assertIn(self.markers()[0], (20, 21))
        # The one of a section before was there when its section was read.
        self.assertEqual([index for index in range(SERVERS) if index not in (5, 15)], self.live())
        self.assertEqual(SERVERS - 2, job.progress['servers'])
        self.assertNotIn('place', job.progress)

    def test_pod_is_reconciled_until_the_time_at_which_the_first_run_began(self):
        job = self.interrupt()
        started = datetime.datetime.fromisoformat(job.progress['place']['started'])
        self.redo(job)
        self.assertEqual(started, db_pods.get(self.cloud.runtime.db, self.pod_id).reconciled_at)

    def test_types_that_are_compared_are_not_compared_again(self):
        self.cloud.lab.add_volumes('Pod1', 'demo', 20)
        self.cinder('Pod1').faults.add(Status(503, path='/volumes/detail'))
        job = self.compare()
        self.cinder('Pod1').faults.clear()
        self.assertEqual('success', self.redo(job).state)
        self.assertEqual([], self.markers())

    def test_marker_is_gone_and_comparison_begins_again(self):
        job = self.interrupt()
        self.nova('Pod1').faults.add(Status(400, path='/servers/detail', times=1))
        job = self.redo(job)
        self.assertEqual('success', job.state, job.error)
        self.assertIsNone(self.markers()[0])
        self.assertEqual(SERVERS, job.progress['servers'])

    def test_comparison_that_began_long_ago_begins_again(self):
        job = self.interrupt()
        self.useFixture(fixtures.MonkeyPatch('trio2o.xjob.full_comparison.MAX_AGE', datetime.timedelta(0)))
        self.assertEqual('success', self.redo(job).state)
        self.assertIsNone(self.markers()[0])
