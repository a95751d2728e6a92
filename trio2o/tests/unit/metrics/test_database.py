# SPDX-License-Identifier: Apache-2.0
"""Metrics read from the database: periodically, in a thread that scrapes do not wait for."""

import sqlite3
import time

import testtools
from sqlalchemy import event

from trio2o import metrics
from trio2o.db import jobs as db_jobs
from trio2o.db import move_groups
from trio2o.db import pod_usages as db_usages
from trio2o.db import pods as db_pods
from trio2o.db import quotas as db_quotas
from trio2o.db import replicas as db_replicas
from trio2o.db.database import Database, utcnow
from trio2o.db.records import MOVE_ACTIVE_STATUSES
from trio2o.metrics.database import DatabaseMetrics
from trio2o.pods.registry import Registry
from trio2o.pods.usage import Amount, Usage
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.metrics import samples
from trio2o.tests.fixtures.moves import insert_move, new_group, new_job, new_move
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.fixtures.wsgi import get


class DatabaseMetricsTestCase(testtools.TestCase):
    #: Seconds between two reads.
    seconds = 10

    def setUp(self):
        super().setUp()
        self.files = self.useFixture(ConfFixture(metrics={'database_seconds': self.seconds}))
        self.conf = self.files.conf
        self.db = Database(self.conf)
        self.addCleanup(self.db.dispose)

    def collector(self, db=None, **kwargs):
        db = db or self.db
        return DatabaseMetrics(self.conf, db, Registry(self.conf, db), **kwargs)

    def scrape(self, collector):
        answer = get(metrics.application(collector, collector.is_called), '/metrics')
        self.assertEqual(200, answer.status)
        return samples(answer.text)


class TestDatabaseMetrics(DatabaseMetricsTestCase):
    def test_metrics_show_jobs_claims_replicas_and_usage(self):
        pod = db_pods.create(self.db, pod_name='Pod1', az_name='az1')
        db_replicas.upsert_object(self.db, 'flavor', '1', {})
        db_jobs.submit(self.db, 'sync_pod', 'Pod1')
        job = db_jobs.submit(self.db, 'sync_pod', 'Pod2')
        db_jobs.claim_id(self.db, job.id, 'me', 60)
        usage = Usage(None, {'VCPU': Amount(8, 3, 5, 5), 'ENDLESS': Amount(None, 2, None, None)})
        db_usages.set_(self.db, pod.pod_id, 'compute', usage.to_json())
        found = self.scrape(self.collector())
        where = (('pod', 'Pod1'), ('zone', 'az1'))
        self.assertEqual(1, found['trio2o_database_up', ()])
        self.assertEqual(1, found['trio2o_jobs', (('state', 'new'),)])
        self.assertEqual(1, found['trio2o_jobs', (('state', 'running'),)])
        self.assertEqual(0, found['trio2o_jobs', (('state', 'fail'),)])
        self.assertGreaterEqual(found['trio2o_jobs_waiting_seconds', ()], 0)
        self.assertEqual(0, found['trio2o_quota_claims', (('state', 'open'),)])
        self.assertEqual(1, found['trio2o_pod_replicas_out_of_sync', where])
        self.assertEqual(1, found['trio2o_pod_state', (where[0], ('state', 'enabled'), where[1])])
        self.assertAlmostEqual(
            time.time(),
            found['trio2o_pod_usage_timestamp_seconds', (where[0], ('service', 'compute'), where[1])],
            delta=60,
        )
        resource = (where[0], ('resource', 'VCPU'), ('service', 'compute'), where[1])
        self.assertEqual((8, 3), (found['trio2o_pod_capacity', resource], found['trio2o_pod_used', resource]))
        endless = (where[0], ('resource', 'ENDLESS'), ('service', 'compute'), where[1])
        self.assertEqual(2, found['trio2o_pod_used', endless])
        self.assertNotIn(('trio2o_pod_capacity', endless), found)

    def test_metrics_count_active_moves_by_status(self):
        for number, fields in enumerate(({'hold': 'stuck'}, {'is_forward': False}, {}, {'state': 'confirmed'})):
            insert_move(self.db, new_move(f'm{number}', **fields))
        found = self.scrape(self.collector())
        shown = {labels[0][1]: value for (name, labels), value in found.items() if name == 'trio2o_moves'}
        self.assertEqual({'stuck': 1, 'cancelling': 1, 'planned': 1}, {key: n for key, n in shown.items() if n})
        # Alerts need the 0 of a status that no move has.
        self.assertEqual(set(MOVE_ACTIVE_STATUSES), set(shown))

    def test_metrics_count_active_move_groups_by_status(self):
        for number, fields in enumerate(({'hold': 'paused'}, {}, {'state': 'completed', 'ended_at': utcnow()})):
            move_groups.create(self.db, new_group(f'g{number}', **fields), [], new_job(f'g{number}'))
        found = self.scrape(self.collector())
        shown = {labels[0][1]: value for (name, labels), value in found.items() if name == 'trio2o_move_groups'}
        self.assertEqual({'running': 1, 'paused': 1, 'cancelling': 0, 'reverting': 0}, shown)

    def test_labels_are_escaped(self):
        db_pods.create(self.db, pod_name='a"b\\c\nd', az_name='ä')
        found = self.scrape(self.collector())
        self.assertIn(('trio2o_pod_replicas_out_of_sync', (('pod', 'a"b\\c\nd'), ('zone', 'ä'))), found)

    def test_pods_in_maintenance_and_unknown_ones_are_not_called(self):
        collector = self.collector()
        self.assertTrue(collector.is_called('Pod1'))
        pod = db_pods.create(self.db, pod_name='Pod1', az_name='az1')
        self.scrape(collector)
        self.assertTrue(collector.is_called('Pod1'))
        self.assertFalse(collector.is_called('Pod2'))
        db_pods.update(self.db, pod.pod_id, state='maintenance')
        other = self.collector()
        self.scrape(other)
        self.assertFalse(other.is_called('Pod1'))


class TestConcurrentScrapes(DatabaseMetricsTestCase):
    def test_scrapes_within_interval_read_once(self):
        statements = []
        event.listen(self.db.engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
        collector = self.collector()
        self.scrape(collector)
        once = len(statements)
        self.assertGreater(once, 0)
        for _again in range(50):
            self.scrape(collector)
        self.assertEqual(once, len(statements))


class TestInterval(DatabaseMetricsTestCase):
    seconds = 0.1

    def test_values_are_read_again_after_interval(self):
        collector = self.collector()
        self.scrape(collector)
        db_jobs.submit(self.db, 'sync_pod', 'Pod1')
        time.sleep(0.15)  # the interval passes
        self.assertEqual(1, self.scrape(collector)['trio2o_jobs', (('state', 'new'),)])


class TestUnreachableDatabase(DatabaseMetricsTestCase):
    seconds = 0.1

    def away(self):
        """A database at port 1, which is closed."""
        conf = self.useFixture(
            ConfFixture(connection='mysql+pymysql://x:y@127.0.0.1:1/z', database={'max_retries': 0})
        )
        db = Database(conf.conf)
        self.addCleanup(db.dispose)
        return db

    def test_unreachable_database_has_no_values(self):
        found = self.scrape(self.collector(self.away()))
        self.assertEqual(0, found['trio2o_database_up', ()])
        self.assertNotIn(('trio2o_jobs', (('state', 'new'),)), found)

    def test_values_of_last_read_are_kept_for_some_time(self):
        collector = self.collector()
        self.assertEqual(1, self.scrape(collector)['trio2o_database_up', ()])
        with sqlite3.connect(self.db.url.database) as connection:
            connection.execute('DROP TABLE job_history')
            connection.execute('DROP TABLE jobs')
        time.sleep(0.15)  # the interval passes
        found = self.scrape(collector)
        self.assertEqual(0, found['trio2o_database_up', ()])
        # The values of the last read are exported for some time, and then no longer.
        self.assertIn(('trio2o_jobs', (('state', 'new'),)), found)
        collector._max_wait = 0
        series = ('trio2o_jobs', (('state', 'new'),))
        wait_until(lambda: series not in self.scrape(collector), 20, 'the values are kept for too long')

    def test_scrape_does_not_wait_for_read(self):
        collector = self.collector(max_wait=0)
        started = time.monotonic()
        self.assertEqual(0, self.scrape(collector)['trio2o_database_up', ()])
        self.assertLess(time.monotonic() - started, 1)
        wait_until(lambda: self.scrape(collector)['trio2o_database_up', ()], 20, 'the values are not read', 0.01)


class TestQueries(DatabaseMetricsTestCase):
    def test_queries_on_empty_tables_return_nothing(self):
        self.assertIsNone(db_jobs.longest_due(self.db))
        self.assertEqual({}, db_quotas.count_claims_by_state(self.db))

    def test_longest_due_returns_first_due_time(self):
        first = db_jobs.submit(self.db, 'sync_pod', 'Pod1')
        db_jobs.submit(self.db, 'sync_pod', 'Pod2')
        self.assertEqual(first.run_after, db_jobs.longest_due(self.db))
