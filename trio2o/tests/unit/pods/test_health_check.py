# SPDX-License-Identifier: Apache-2.0
"""The evaluation of the answers of pods."""

import dataclasses
from datetime import datetime, timedelta
from email.utils import formatdate

import hypothesis
import testtools
from hypothesis import strategies as st

from trio2o import exception
from trio2o.conf import new_config
from trio2o.db.records import Pod
from trio2o.pods import health_check
from trio2o.pods.endpoints import PodEndpoint
from trio2o.pods.health_check import HealthCache, Level, Probe, Thresholds, evaluate
from trio2o.pods.registry import PodView
from trio2o.pods.usage import Usage
from trio2o.web.call import Answer, dump_json

NOW = datetime(2026, 11, 21, 12, 0)
ENDPOINT = PodEndpoint('http://pod1/v2.1', ('http://pod1',), '2.1', '2.96')
LIMITS = Thresholds(latency=1.0, skew=5.0, usage_age=900.0)


def pod(state='enabled', out_of_sync=0, endpoints=('compute', 'volume'), ages=(0,), made=NOW, read=NOW):
    fields = {field.name: None for field in dataclasses.fields(Pod)}
    record = Pod(
        **{
            **fields,
            'pod_id': 'id',
            'pod_name': 'Pod1',
            'az_name': 'az1',
            'state': state,
            'created_at': made,
            'followed_at': read,
        }
    )
    usages = {str(age): Usage(NOW - timedelta(seconds=age)) for age in ages}
    return PodView(record, dict.fromkeys(endpoints, ENDPOINT), out_of_sync=out_of_sync, usages=usages)


def good(**changed):
    return Probe(**{'service': 'compute', 'endpoint': ENDPOINT, 'status': 200, 'seconds': 0.1, **changed})


class TestEvaluation(testtools.TestCase):
    def check(self, level, words, view=None, *probes, limits=LIMITS):
        health = evaluate(view or pod(), probes or (good(),), limits, now=NOW)
        self.assertEqual(level, health.level, health.reasons)
        self.assertIn(words, ' '.join(text for _level, text in health.reasons))
        return health

    def test_good_pod_is_ok_without_reasons(self):
        health = self.check(Level.OK, '')
        self.assertEqual((), health.reasons)

    def test_level_depends_on_status_of_services(self):
        for status, level in (
            (500, Level.CRITICAL),
            (503, Level.CRITICAL),
            (404, Level.CRITICAL),
            (401, Level.WARNING),
        ):
            self.check(level, f'answers {status}', None, good(), good(status=status, error=f'answers {status}'))
        self.check(Level.CRITICAL, 'not reached', None, good(status=None, error='not reached'))
        self.check(Level.CRITICAL, 'no endpoint is known', pod(endpoints=()))
        self.check(Level.OK, '', pod(endpoints=('compute',)))

    def test_slow_answer_clock_skew_and_other_versions_are_warnings(self):
        self.check(Level.WARNING, 'took 1.5 seconds', None, good(seconds=1.5))
        self.check(Level.WARNING, '-7 seconds off', None, good(skew=-7.2))
        self.check(Level.OK, '', None, good(skew=4.0))
        self.check(Level.WARNING, 'has 2.1-2.95, known is 2.1-2.96', None, good(versions=('2.1', '2.95')))
        self.check(Level.OK, '', None, good(versions=('2.1', '2.96')))

    def test_out_of_sync_replicas_and_old_usage_are_warnings(self):
        self.check(Level.WARNING, '3 replicated objects are out of sync', pod(out_of_sync=3))
        self.check(Level.WARNING, 'usage was read 1000 seconds ago', pod(ages=(5, 1000)))
        self.check(Level.OK, '', pod(ages=(800,)))
        self.check(Level.WARNING, 'usage was never read', pod(ages=(), made=NOW - timedelta(hours=1)))
        self.check(Level.OK, '', pod(ages=(), made=NOW - timedelta(seconds=5)))
        self.check(Level.OK, '', pod(ages=(9999,)), limits=Thresholds(usage_age=0))

    def test_changes_not_read_for_long_are_a_warning(self):
        self.check(
            Level.WARNING, 'changes were read up to a time 20 minutes ago', pod(read=NOW - timedelta(minutes=20))
        )
        self.check(Level.OK, '', pod(read=NOW - timedelta(minutes=14)))
        self.check(Level.OK, '', pod(read=NOW - timedelta(days=9)), limits=Thresholds(changes_age=0))
        self.check(Level.OK, '', pod(read=None))

    def test_limit_for_changes_depends_on_the_interval(self):
        conf = new_config([], files=[])
        for interval, seconds in ((40, 900.0), (600, 3000.0), (0, 0.0)):
            conf.set_override('reconcile_interval', interval, 'xjob')
            self.assertEqual(seconds, Thresholds.of(conf).changes_age)

    def test_pod_in_maintenance_is_ok(self):
        health = self.check(Level.OK, 'not reached', pod('maintenance', 9), good(status=None, error='not reached'))
        self.assertEqual('ok', health.to_json()['level'])

    def test_disabled_or_draining_pod_is_critical_if_unreachable(self):
        for state in ('disabled', 'draining'):
            self.check(Level.CRITICAL, 'not reached', pod(state), good(status=None, error='not reached'))

    @hypothesis.given(st.lists(st.sampled_from([200, 401, 404, 500, 503, None]), min_size=1))
    def test_level_is_that_of_worst_probe(self, statuses):
        probes = tuple(good(status=status, error='' if status == 200 else 'bad') for status in statuses)
        together = evaluate(pod(), probes, LIMITS, now=NOW).level
        self.assertEqual(max(evaluate(pod(), (one,), LIMITS, now=NOW).level for one in probes), together)


class TestAnswers(testtools.TestCase):
    def test_versions_are_read_from_documents(self):
        for document, expected in (
            ({'version': {'version': '2.96', 'min_version': '2.1'}}, ('2.1', '2.96')),
            ({'versions': [{'version': '3.71', 'min_version': '3.0'}]}, ('3.0', '3.71')),
            ({'versions': []}, ('', '')),
            ({'versions': 3}, ('', '')),
            ({'version': 'x'}, ('', '')),
            ({'version': {}}, ('', '')),
            ([], ('', '')),
            (None, ('', '')),
        ):
            self.assertEqual(expected, health_check._versions(Answer(200, [], dump_json(document))), document)
        self.assertEqual(('', ''), health_check._versions(Answer(200, [], b'<html>')))
        self.assertEqual(('', ''), health_check._versions(Answer(401, [], b'{"version": {"version": "2.1"}}')))

    @hypothesis.given(st.integers(0, 2**31), st.floats(-100000, 100000))
    def test_skew_is_read_from_date_header(self, now, ahead):
        answer = Answer(200, [('Date', formatdate(max(0, now + ahead), usegmt=True))])
        found = health_check._skew(answer, now)
        self.assertLess(abs(found - (max(0, now + ahead) - now)), 1.2)

    def test_missing_or_malformed_date_gives_no_skew(self):
        for headers in ([], [('Date', 'soon')], [('Date', '')]):
            self.assertIsNone(health_check._skew(Answer(200, headers), 0))

    def test_breaker_state_follows_status(self):
        for status, is_open in ((200, False), (404, False), (500, False), (502, True), (504, True), (None, True)):
            self.assertEqual('open' if is_open else 'closed', good(status=status).to_json()['breaker'])


class TestHealthCache(testtools.TestCase):
    def test_health_is_read_once_within_interval(self):
        looked = []

        def find():
            looked.append(1)
            return [evaluate(pod(), (), LIMITS, now=NOW)]

        watch = HealthCache(find, 60)
        self.assertEqual({'id'}, set(watch.health()))
        watch.health()
        self.assertEqual(1, len(looked))
        HealthCache(find, 0).health()
        self.assertEqual(2, len(looked))

    def test_failed_read_is_repeated(self):
        answers = [exception.ServiceUnavailable('no'), []]

        def find():
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        watch = HealthCache(find, 60)
        self.assertRaises(exception.ServiceUnavailable, watch.health)
        self.assertEqual({}, watch.health())
