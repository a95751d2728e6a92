# SPDX-License-Identifier: Apache-2.0
"""A thousand jobs on a real MariaDB and RabbitMQ, while workers are killed and the broker restarts.

The workers are the real command. What they do is a job type of an operator's own, found by its entry point: two
steps, each of which looks whether its effect is there, and makes it if it is not. The table of effects takes any row,
as a cloud takes any server: done twice would show.
"""

import contextlib
import os
import pathlib
import textwrap
import threading
import time

import fixtures
import pymysql
import sqlalchemy
import testtools

from trio2o import rpc
from trio2o.db import jobs as db_jobs
from trio2o.db import migration
from trio2o.db.database import Database
from trio2o.jobqueue import JobQueue
from trio2o.lab import servers
from trio2o.tests.fixtures import launch
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.waiting import wait_until

JOBS = 1000
STEPS = 2
WORKERS = 2
KILLS = 3
BACKEND = os.environ.get('TRIO2O_TEST_BACKEND', 'eventlet')

#: Takes most of a minute on an idle machine.
PATIENCE = 900

PLUGIN = textwrap.dedent(f"""
    import contextlib, os, time
    import pymysql

    PLACE = dict(host='127.0.0.1', port=int(os.environ['EFFECTS_PORT']), user='trio2o', password='trio2o',
                 database='effects', autocommit=True, ssl_disabled=True)

    class Effect:
        max_seconds = 120.0

        def run(self, task):
            number = task.job.payload['number']
            done = (task.job.progress or {{}}).get('done', 0)
            with contextlib.closing(pymysql.connect(**PLACE)) as there:
                for step in range(done, {STEPS}):
                    task.check()
                    with there.cursor() as cursor:
                        cursor.execute('SELECT 1 FROM effects WHERE number = %s AND step = %s', (number, step))
                        is_there = cursor.fetchone()
                        time.sleep(0.02)  # another worker would find the same
                        task.check()
                        if not is_there:
                            cursor.execute('INSERT INTO effects VALUES (%s, %s, %s)', (number, step, os.getpid()))
                    task.progress(done=step + 1)
""")


class TestThousandJobs(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.url = self.enter(servers.mariadb())
        self.broker = contextlib.ExitStack()
        self.addCleanup(lambda: self.broker.close())
        transport_url = self.broker.enter_context(servers.rabbitmq())
        self.broker_port = int(transport_url.rstrip('/').rpartition(':')[2])
        self.port = sqlalchemy.make_url(self.url).port
        self.execute('CREATE DATABASE effects')
        self.execute('CREATE TABLE effects.effects (number INT, step INT, pid INT, INDEX (number, step))')
        xjob = {'concurrency': 4, 'lease_seconds': 30, 'scan_interval': 2, 'retry_seconds': 0.2, 'max_attempts': 30}
        files = self.useFixture(
            ConfFixture(
                transport_url=transport_url,
                concurrency_backend=BACKEND,
                database={'connection': self.url},
                xjob=xjob | {'endpoint_interval': 0},
            )
        )
        self.conf = files.conf
        self.argument = f'--config-file={files.path}'
        self.db = Database(self.conf)
        self.addCleanup(self.db.dispose)
        migration.upgrade(self.db)
        self.plugin = self.make_plugin()

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def execute(self, statement, *args):
        connection = pymysql.connect(
            host='127.0.0.1', port=self.port, user='trio2o', password='trio2o', autocommit=True, ssl_disabled=True
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement, args)
            return cursor.fetchall()

    def make_plugin(self):
        """Write a distribution with one job type. :returns: its path"""
        place = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (place / 'effects.py').write_text(PLUGIN)
        about = place / 'effects-1.0.dist-info'
        about.mkdir()
        (about / 'METADATA').write_text('Metadata-Version: 2.1\nName: effects\nVersion: 1.0\n')
        (about / 'entry_points.txt').write_text('[trio2o.jobs]\neffect = effects:Effect\n')
        return str(place)

    def worker(self):
        paths = [self.plugin, os.environ.get('PYTHONPATH', '')]
        env = {'PYTHONPATH': os.pathsep.join(filter(None, paths)), 'EFFECTS_PORT': str(self.port)}
        return self.useFixture(launch.Process('trio2o-xjob', self.argument, env=env))

    def submit_all(self):
        queue = JobQueue(self.conf, self.db, rpc.Notifier(self.conf).notify)
        for number in range(JOBS):
            queue.submit('effect', str(number), {'number': number}, request_id='req-thousand')

    def ended(self):
        statement = 'SELECT COUNT(*) FROM trio2o.jobs WHERE type = %s AND state = %s'
        return self.execute(statement, 'effect', 'success')[0][0]

    def restart_broker(self):
        """Restart the broker, which loses its messages."""
        self.broker.close()
        time.sleep(1)  # workers meet a closed port
        self.broker.enter_context(servers.rabbitmq(self.broker_port))

    def test_each_job_is_done_once_though_workers_and_broker_are_killed(self):
        workers = [self.worker() for _ in range(WORKERS)]
        submitting = threading.Thread(target=self.submit_all)
        submitting.start()
        deadline = time.monotonic() + PATIENCE
        killed_at_work = 0
        for turn in range(KILLS):
            # The kills are spread over the whole run.
            enough = (turn + 1) * JOBS // (KILLS + 1)
            left = max(1, deadline - time.monotonic())
            wait_until(lambda enough=enough: self.ended() >= enough, left, self.reported, 0.5)
            victim = workers[turn % WORKERS]
            victim.kill()
            killed_at_work += self.execute(
                'SELECT COUNT(*) FROM trio2o.jobs WHERE state = %s AND lease_owner LIKE %s',
                'running',
                f'%:{victim.popen.pid}:%',
            )[0][0]
            victim.start()
            if turn == 1:
                self.restart_broker()
        submitting.join()
        wait_until(lambda: self.ended() >= JOBS, max(1, deadline - time.monotonic()), self.reported)
        self.assertGreater(killed_at_work, 0, 'no worker was killed while it ran a job')
        found = self.execute('SELECT number, step, COUNT(*) FROM effects.effects GROUP BY number, step')
        self.assertEqual(JOBS * STEPS, len(found))
        self.assertEqual([], [row for row in found if row[2] != 1])
        taken_over = self.execute('SELECT COUNT(*) FROM trio2o.jobs WHERE type = %s AND attempts > 1', 'effect')[0][0]
        self.assertGreaterEqual(taken_over, 1)

    def reported(self):
        return f'{db_jobs.count_by_state(self.db)}'
