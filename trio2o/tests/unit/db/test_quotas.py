# SPDX-License-Identifier: Apache-2.0
"""Counters, claims and routings add up after any steps in any order, and no limit is exceeded."""

import dataclasses
import uuid
from concurrent import futures
from datetime import datetime, timedelta

import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from trio2o.db import quotas, routings
from trio2o.db.database import Database, utcnow
from trio2o.db.quotas import Bound, BoundsExceeded, Settlement, matching
from trio2o.db.records import NewRouting, QuotaClaim, Routing
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.fixtures.link import Link
from trio2o.tests.unit.db.base import DatabaseTest

SERVER = {'instances': 1, 'cores': 2}


class QuotasTest(DatabaseTest):
    def setUp(self):
        super().setUp()
        self.rows = {}

    def claim(self, amounts, limit=None, project='p', user='u', db=None, **more):
        row = QuotaClaim(
            id=str(uuid.uuid4()),
            project_id=project,
            user_id=user,
            resources=amounts,
            request_id='',
            pod_id=None,
            resource_type='server',
            state='open',
            created_at=utcnow(),
            expires_at=utcnow(),
        )
        bounds = [] if limit is None else [Bound(project, '', 'instances', limit, **more)]
        quotas.insert_claim(db or self.db, row, bounds)
        self.rows[row.id] = row
        return row.id

    def record(self, top_id, deltas=None, claim_id=None, project='p', rest=None):
        new = NewRouting(
            resource_type='server',
            top_id=top_id,
            pod_id=self.pod1,
            project_id=project,
            user_id='u',
            deltas=deltas,
        )
        claim = self.rows.get(claim_id)
        return routings.record(self.db, new, Settlement(claim, rest) if claim is not None else None)

    def used(self, project='p', user=''):
        rows = quotas.usage(self.db, project, user)
        return {name: (row.in_use, row.claimed) for name, row in rows.items() if row.in_use or row.claimed}


@on_every_server
class TestClaims(QuotasTest):
    def test_settled_claim_is_in_use(self):
        claim_id = self.claim(SERVER, 1)
        self.assertEqual({'instances': (0, 1), 'cores': (0, 2)}, self.used())
        self.assertEqual({'instances': (0, 1), 'cores': (0, 2)}, self.used(user='u'))
        self.record('a', SERVER, claim_id)
        self.assertEqual({'instances': (1, 0), 'cores': (2, 0)}, self.used())
        self.assertEqual([], quotas.list_claims(self.db, project_id='p'))

    def test_names_that_differ_by_a_blank_have_one_counter(self):
        claim_id = self.claim({'gigabytes_gold': 1})
        self.claim({'gigabytes_gold ': 2})
        self.claim({'gigabytes_gold': 4, 'gigabytes_gold ': 8})
        self.assertEqual({'gigabytes_gold': (0, 15)}, self.used())
        quotas.release(self.db, claim_id)
        self.assertEqual({'gigabytes_gold': (0, 14)}, self.used())
        self.record('a', {'gigabytes_gold ': 3})
        quotas.recount_project(self.db, 'p', ['server'])
        self.assertEqual({'gigabytes_gold': (3, 14)}, self.used())

    def test_limits_of_names_that_differ_by_a_blank_apply_to_one_counter(self):
        self.record('a', {'gigabytes_gold': 3})
        row = dataclasses.replace(self.rows[self.claim({'gigabytes_gold ': 1})], id=str(uuid.uuid4()))
        bounds = [Bound('p', '', 'gigabytes_gold ', 4)]
        self.assertRaises(BoundsExceeded, quotas.insert_claim, self.db, row, bounds)

    def test_claim_is_released_once(self):
        claim_id = self.claim(SERVER)
        for _ in range(2):
            quotas.release(self.db, claim_id)
            self.assertEqual({}, self.used())

    def test_claim_over_limit_is_refused(self):
        self.record('a', SERVER)
        self.claim(SERVER, 2)
        error = self.assertRaises(BoundsExceeded, self.claim, SERVER, 2)
        self.assertEqual([(1, 2, 2)], [(each.requested, each.used, each.bound.limit) for each in error.exceeded])
        self.assertEqual({'instances': (1, 1), 'cores': (2, 2)}, self.used())
        self.assertEqual(1, len(quotas.list_claims(self.db, project_id='p')))

    def test_limit_applies_to_sum_over_projects(self):
        self.record('a', SERVER, project='child')
        self.claim(SERVER, 2, members=('p', 'child'))
        self.assertRaises(BoundsExceeded, self.claim, SERVER, 2, members=('p', 'child'))

    def test_claim_is_settled_in_parts(self):
        claim_id = self.claim({'instances': 3, 'cores': 6})
        self.record('a', SERVER, claim_id, rest={'state': 'watch', 'resource_id': 'a'})
        self.assertEqual({'instances': (1, 2), 'cores': (2, 4)}, self.used())
        new = [NewRouting('server', name, self.pod1, 'p', deltas=SERVER, user_id='u') for name in 'bc']
        routings.record_many(self.db, new, claim_id)
        self.assertEqual({'instances': (3, 0), 'cores': (6, 0)}, self.used())
        self.assertEqual([], quotas.list_claims(self.db, project_id='p'))

    def test_resource_recorded_by_job_is_counted_once(self):
        """A resource that a job has recorded is not counted again by the request that created it."""
        claim_id = self.claim(SERVER)
        routings.record_many(self.db, [NewRouting('server', 'a', self.pod1, 'p', deltas=SERVER, user_id='u')])
        quotas.release(self.db, claim_id)
        self.record('a', SERVER, claim_id)
        self.assertEqual({'instances': (1, 0), 'cores': (2, 0)}, self.used())

    def test_racing_queued_claims_get_different_sums(self):
        """Each claim gets the sum of its own amount and those of earlier claims."""

        def take(number):
            now = utcnow()
            row = QuotaClaim(
                id=f'{self.id()[-20:]}-{number}',
                project_id='p',
                user_id='',
                resources={'members:g': 2},
                request_id='',
                pod_id=None,
                resource_type='',
                state='open',
                created_at=now,
                expires_at=now,
                resource_id='',
            )
            return quotas.queue(self.db, row), row

        with futures.ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(take, range(10)))
        self.assertEqual([2 * number for number in range(1, 11)], sorted(total for total, _row in taken))
        # A repeated insert, after a lost answer of the database, does not claim twice.
        self.assertEqual(20, quotas.queue(self.db, taken[0][1]))
        for _total, row in taken:
            quotas.release(self.db, row.id)
        self.assertEqual({}, self.used())

    def test_racing_claims_stay_within_limit(self):
        def take(number):
            try:
                claim_id = self.claim(SERVER, 7, user=f'u{number % 3}')
            except BoundsExceeded:
                return 0
            self.record(f's{number}', SERVER, claim_id)
            return 1

        with futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(7, sum(pool.map(take, range(40))))
        self.assertEqual({'instances': (7, 0), 'cores': (14, 0)}, self.used())


class LostHostTest(QuotasTest):
    """A host loses its network within a claim, and the database ends its transaction before the network is back."""

    def setUp(self):
        super().setUp()
        url = self.db.url
        self.link = self.useFixture(Link(url.port, url.host))
        conf = self.fixture.conf
        conf.set_override('idle_transaction_timeout', 1, 'database')
        through_link = url.set(host='127.0.0.1', port=self.link.port).render_as_string(hide_password=False)
        conf.set_override('connection', through_link, 'database')
        self.lost = Database(conf)
        self.addCleanup(self.lost.dispose)

    def claim_while_lost(self, last_statement, come_back):
        """Claim on the lost host and on this one, which waits until the database has released the counter."""
        with futures.ThreadPoolExecutor(1) as pool:
            answered = self.link.hold('INTO quota_claims', last_statement)
            late = pool.submit(self.claim, SERVER, 10, db=self.lost)
            self.assertTrue(answered.wait(30))
            self.claim(SERVER, 10)
            come_back()
            late.result(30)

    def test_lost_host_goes_on_and_its_claim_is_counted_once(self):
        for last_statement in ('FOR UPDATE', 'UPDATE quota_usages', 'COMMIT'):
            self.claim_while_lost(last_statement, self.link.resume)
        self.assertEqual({'instances': (0, 6), 'cores': (0, 12)}, self.used())

    def test_connection_ends_after_commit_and_claim_is_counted_once(self):
        self.claim_while_lost('COMMIT', self.link.cut)
        self.assertEqual({'instances': (0, 2), 'cores': (0, 4)}, self.used())


class TestLostHostOnMysql(LostHostTest):
    server = 'mysql'


class TestLostHostOnPostgres(LostHostTest):
    server = 'postgres'


del LostHostTest


@on_every_server
class TestDeltas(QuotasTest):
    def test_ended_routing_is_not_counted(self):
        self.record('a', SERVER)
        self.assertTrue(routings.mark_deleted(self.db, 'server', 'a'))
        self.assertFalse(routings.mark_deleted(self.db, 'server', 'a'))
        self.assertEqual({}, self.used())
        self.record('a', SERVER)
        self.assertEqual({'instances': (1, 0), 'cores': (2, 0)}, self.used())

    def test_missing_amounts_are_added_once(self):
        self.record('a')
        self.assertEqual({}, self.used())
        new = [NewRouting('server', 'a', self.pod1, 'p', deltas=SERVER)]
        for _ in range(2):
            routings.record_many(self.db, new)
            self.record('a', {'instances': 9})
        self.assertEqual({'instances': (1, 0), 'cores': (2, 0)}, self.used())

    def test_changed_moved_and_deleted_routings_change_usage(self):
        self.record('a', SERVER)
        routings.set_deltas(self.db, 'server', 'a', {'instances': 1, 'cores': 8})
        self.assertEqual({'instances': (1, 0), 'cores': (8, 0)}, self.used())
        routing = routings.get(self.db, 'server', 'a')
        routings.update(self.db, routing.id, project_id='q')
        self.assertEqual(({}, {'instances': (1, 0), 'cores': (8, 0)}), (self.used(), self.used('q')))
        routings.delete(self.db, routing.id)
        self.assertEqual({}, self.used('q'))

    def test_recount_corrects_counters(self):
        self.record('a', SERVER)
        self.claim({'cores': 3})
        with self.db.writer() as connection:
            quotas.add(connection, {('p', '', 'instances'): 5, ('p', '', 'ram'): 7}, {('p', '', 'cores'): 1})
        self.assertEqual({'instances': (6, 1), 'ram': (7, 0)}, quotas.recount_project(self.db, 'p', ['server']))
        self.assertEqual({'instances': (1, 0), 'cores': (2, 3)}, self.used())
        self.assertEqual({}, quotas.recount_project(self.db, 'p', ['server']))

    def test_recount_deletes_unused_counters_of_single_objects(self):
        self.claim({'server_group_members:held': 1})
        with self.db.writer() as connection:
            quotas.add(connection, {}, {('p', '', 'server_group_members:left'): 1, ('p', '', 'cores'): 1})
        quotas.recount_project(self.db, 'p', ['server'])
        self.assertEqual({'server_group_members:held', 'cores'}, set(quotas.usage(self.db, 'p')))


@on_every_server
class TestLimits(QuotasTest):
    def test_limits_are_set_read_and_deleted(self):
        quotas.set_limits(self.db, 'p', '', {'cores': 5, 'gigabytes_a': 1, 'volumes': 3})
        quotas.set_limits(self.db, 'p', '', {'cores': 6})
        quotas.set_limits(self.db, 'p', 'u', {'cores': 2})
        quotas.set_class_limits(self.db, 'default', {'ram': 9})
        found = quotas.get_limits(self.db, ('p', 'q'), 'u')
        self.assertEqual({'ram': 9}, found.defaults)
        wanted = {('p', ''): {'cores': 6, 'gigabytes_a': 1, 'volumes': 3}, ('p', 'u'): {'cores': 2}}
        self.assertEqual(wanted, found.of)
        self.assertEqual({'u': {'cores': 2}}, quotas.get_limits_of_users(self.db, 'p'))
        quotas.delete_limits(self.db, 'p', '', ['gigabytes', 'volumes'])
        self.assertEqual({'cores': 6}, quotas.get_limits(self.db, ('p',)).of['p', ''])
        quotas.delete_limits(self.db, 'p', '', ['cores'])
        self.assertEqual({}, quotas.get_limits(self.db, ('p',), 'u').of)

    def rename(self, before, after, times=1):
        for _ in range(times):
            with self.db.writer() as connection:
                quotas.rename_limits(connection, {before: after})

    def test_limits_renamed_twice_are_kept(self):
        quotas.set_limits(self.db, 'p', '', {'gigabytes_a': 1})
        quotas.set_limits(self.db, 'p', 'u', {'gigabytes_a': 2})
        quotas.set_class_limits(self.db, 'default', {'gigabytes_a': 3})
        self.rename('gigabytes_a', 'gigabytes_b', times=2)
        found = quotas.get_limits(self.db, ('p',), 'u')
        self.assertEqual({('p', ''): {'gigabytes_b': 1}, ('p', 'u'): {'gigabytes_b': 2}}, found.of)
        self.assertEqual({'gigabytes_b': 3}, found.defaults)

    def test_renamed_limit_replaces_only_that_of_its_owner(self):
        quotas.set_limits(self.db, 'p', '', {'gigabytes_a': 1, 'gigabytes_b': 2})
        quotas.set_limits(self.db, 'q', '', {'gigabytes_b': 3})
        self.rename('gigabytes_a', 'gigabytes_b')
        found = quotas.get_limits(self.db, ('p', 'q')).of
        self.assertEqual({('p', ''): {'gigabytes_b': 1}, ('q', ''): {'gigabytes_b': 3}}, found)

    def test_limit_renamed_by_a_blank_is_kept(self):
        quotas.set_limits(self.db, 'p', '', {'gigabytes_a': 1})
        self.rename('gigabytes_a', 'gigabytes_a ')
        self.assertEqual({'gigabytes_a ': 1}, quotas.get_limits(self.db, ('p',)).of['p', ''])


STEPS = st.lists(
    st.tuples(
        st.sampled_from(['claim', 'record', 'learn', 'give back', 'delete', 'change', 'move']),
        st.integers(0, 4),
        st.integers(1, 3),
    ),
    max_size=25,
)


NOW = datetime(2026, 11, 30, 12, 0, 5, 700000)
FLAVORS = st.sampled_from([{'instances': 1, 'cores': 1}, SERVER, {'instances': 1, 'cores': 4}])


def open_claim(name, resources, **more):
    row = {
        'id': name,
        'project_id': 'p',
        'user_id': 'u',
        'resources': resources,
        'request_id': '',
        'pod_id': 'pod1',
        'resource_type': 'server',
        'state': 'unknown',
        'created_at': NOW,
        'expires_at': NOW,
    }
    return QuotaClaim(**(row | more))


def found_routing(name, deltas, **more):
    row = {field.name: None for field in dataclasses.fields(Routing)} | {
        'id': 1,
        'top_id': name,
        'bottom_id': name,
        'pod_id': 'pod1',
        'project_id': 'p',
        'user_id': 'u',
        'resource_type': 'server',
        'state': 'active',
        'deltas': deltas,
        'created_at': NOW.replace(microsecond=0),
    }
    return Routing(**(row | more))


CLAIMS = st.lists(
    st.builds(
        lambda flavor, count, state, age: (
            {name: amount * count for name, amount in flavor.items()},
            {'state': state, 'created_at': NOW - timedelta(seconds=age)},
        ),
        FLAVORS,
        st.integers(1, 3),
        st.sampled_from(['open', 'unknown']),
        st.integers(-2, 2),
    ),
    max_size=4,
)


class TestMatching(testtools.TestCase):
    """Which claim is that of a server that was found in a pod."""

    def taken(self, claims, found, claim_id=None):
        matches = matching.match(found, claims, claim_id)
        return [each.top_id for each in matches.counted], {name: dict(took) for name, took in matches.taken.items()}

    def test_claim_that_does_not_fit_is_not_taken(self):
        for more in (
            {'pod_id': 'pod2'},
            {'project_id': 'q'},
            {'user_id': 'v'},
            {'created_at': NOW + timedelta(seconds=1)},
            {'resources': {'instances': 1, 'cores': 3}},
            {'resources': {'cores': 2}},
            {'resource_id': 'another', 'state': 'unknown'},
        ):
            claim = dataclasses.replace(open_claim('c', SERVER), **more)
            self.assertEqual((['a'], {}), self.taken([claim], [found_routing('a', SERVER)]), more)

    def test_claim_without_pod_or_user_fits(self):
        claim = open_claim('c', SERVER, pod_id=None, user_id='')
        self.assertEqual((['a'], {'c': SERVER}), self.taken([claim], [found_routing('a', SERVER)]))

    def test_volume_takes_claim_of_its_type_first(self):
        gold = {'volumes': 1, 'gigabytes': 1, 'volumes_gold': 1, 'gigabytes_gold': 1}
        plain = {'volumes': 1, 'gigabytes': 1, 'volumes_x': 1, 'gigabytes_x': 1}
        claims = [open_claim('x', plain, resource_type='volume'), open_claim('y', gold, resource_type='volume')]
        found = [found_routing('a', gold, resource_type='volume')]
        self.assertEqual((['a'], {'y': gold}), self.taken(claims, found))

    def test_volume_of_server_takes_its_part(self):
        claim = open_claim('c', {**SERVER, 'volumes': 1, 'gigabytes': 5})
        found = [found_routing('a', {'volumes': 1, 'gigabytes': 5}, resource_type='volume')]
        self.assertEqual({'c': {'volumes': 1, 'gigabytes': 5}}, self.taken([claim], found)[1])

    def test_volume_without_size_yet_leaves_the_claimed_size(self):
        claim = open_claim('c', {'volumes': 1, 'gigabytes': 5}, resource_type='volume')
        found = [found_routing('a', {'volumes': 1, 'gigabytes': 0}, resource_type='volume')]
        _counted, taken = self.taken([claim], found)
        self.assertEqual(1, taken['c']['volumes'])
        self.assertFalse(taken['c'].get('gigabytes'))

    def test_server_that_fits_a_request_in_flight_waits(self):
        claims = [open_claim('c', SERVER), open_claim('d', SERVER, state='open')]
        found = [found_routing('a', SERVER)]
        self.assertEqual(([], {}), self.taken(claims, found))
        self.assertEqual((['a'], {'c': SERVER}), self.taken(claims, found, 'c'))
        self.assertEqual((['a'], {}), self.taken(claims[1:], found))

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.randoms(use_true_random=False))
    def test_servers_found_in_any_order_take_all_claims(self, pauses, random):
        """Each server was created at the time of its claim; it is found alone, as by a look-up of its id."""
        times = [NOW + timedelta(seconds=sum(pauses[:at])) for at in range(len(pauses))]
        claims = [open_claim(f'c{at}', SERVER, created_at=time) for at, time in enumerate(times)]
        servers = [
            found_routing(f's{at}', SERVER, created_at=time.replace(microsecond=0)) for at, time in enumerate(times)
        ]
        random.shuffle(servers)
        for server in servers:
            _counted, taken = self.taken(claims, [server])
            self.assertEqual(1, len(taken), (server, claims))
            claims = [claim for claim in claims if claim.id not in taken]

    @given(CLAIMS, st.lists(FLAVORS, max_size=4))
    def test_each_server_is_taken_once_from_a_claim_that_has_room(self, given_claims, flavors):
        claims = [open_claim(f'c{number}', *each[:1], **each[1]) for number, each in enumerate(given_claims)]
        found = [found_routing(f's{number}', flavor) for number, flavor in enumerate(flavors)]
        matches = matching.match(found, claims)
        by_id = {claim.id: claim for claim in claims}
        for claim_id, amounts in matches.taken.items():
            self.assertEqual('unknown', by_id[claim_id].state)
            for name, amount in amounts.items():
                self.assertLessEqual(amount, by_id[claim_id].resources[name])
        taken = sum(amounts['instances'] for amounts in matches.taken.values())
        self.assertLessEqual(taken, len(matches.counted))
        if not any(claim.state == 'open' for claim in claims):
            self.assertEqual(len(found), len(matches.counted))
        left_out = {each.top_id for each in found} - {each.top_id for each in matches.counted}
        self.assertTrue(not left_out or {'open', 'unknown'} == {claim.state for claim in claims})


class TestSums(QuotasTest):
    """After any steps, usage is the sum of the deltas, and claimed is the sum of the claims."""

    @settings(max_examples=25)
    @given(STEPS)
    def test_usage_equals_sum_of_routings_and_claims(self, steps):
        run = uuid.uuid4().hex[:8]
        projects = [f'{run}-{name}' for name in 'pq']
        claims = {}
        for kind, number, amount in steps:
            self.step(kind, f'{run}-{number}', number, {'instances': 1, 'cores': amount}, projects, claims)
        for project in projects:
            before = self.used(project)
            quotas.recount_project(self.db, project, ['server'])
            self.assertEqual(before, self.used(project))
            self.assertTrue(all(number >= 0 for both in before.values() for number in both))

    def step(self, kind, top_id, number, deltas, projects, claims):
        project = projects[number % 2]
        routing = routings.get(self.db, 'server', top_id)
        if kind == 'claim' and number not in claims:
            claims[number] = self.claim(deltas, project=project)
        elif kind == 'record':
            self.record(top_id, deltas, claims.pop(number, None), project=project)
        elif kind == 'learn':
            new = [NewRouting('server', top_id, self.pod1, project, deltas=deltas, user_id='u')]
            routings.record_many(self.db, new, claims.get(number))
        elif kind == 'give back' and number in claims:
            quotas.release(self.db, claims.pop(number))
        elif kind == 'delete':
            routings.mark_deleted(self.db, 'server', top_id)
        elif kind == 'change':
            routings.set_deltas(self.db, 'server', top_id, deltas, claim_id=claims.pop(number, None))
        elif kind == 'move' and routing is not None:
            routings.update(self.db, routing.id, project_id=projects[(number + 1) % 2])
