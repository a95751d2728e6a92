# SPDX-License-Identifier: Apache-2.0
"""Routings: records, lookups, markers, and the indexes that requests use."""

import datetime
from concurrent import futures

import sqlalchemy

from trio2o.db import bindings, errors, quotas, routings
from trio2o.db.records import NewRouting, QuotaClaim
from trio2o.tests.fixtures.database import on_every_server
from trio2o.tests.unit.db.base import NOON, DatabaseTest, seconds


@on_every_server
class TestRoutings(DatabaseTest):
    def record(self, top_id, pod_id=None, at=None, project_id='project', **values):
        return routings.record(
            self.db,
            NewRouting(
                resource_type='server',
                top_id=top_id,
                pod_id=pod_id or self.pod1,
                project_id=project_id,
                created_at=None if at is None else NOON + seconds(at),
                **values,
            ),
        )

    def test_routing_is_recorded_and_read(self):
        made = self.record('a', at=0.25, deltas={'cores': 2})
        self.assertEqual(made, routings.get(self.db, 'server', 'a'))
        self.assertEqual(
            ('a', NOON + seconds(0.25), {'cores': 2}, True),
            (made.bottom_id, made.created_at, made.deltas, made.is_live),
        )
        self.assertIsNone(routings.get(self.db, 'volume', 'a'))
        self.assertIsNone(routings.get(self.db, 'server', 'A'))
        self.assertEqual('b', self.record('moved', bottom_id='b').bottom_id)

    def test_zone_of_a_time_is_converted(self):
        zone = datetime.timezone(datetime.timedelta(hours=2))
        made = routings.record(
            self.db,
            NewRouting(
                resource_type='server',
                top_id='a',
                pod_id=self.pod1,
                project_id='p',
                created_at=datetime.datetime(2026, 3, 1, 14, tzinfo=zone),
            ),
        )
        self.assertEqual(NOON, made.created_at)
        self.assertEqual(made, routings.get(self.db, 'server', 'a'))

    def test_returned_routing_is_the_stored_one(self):
        for state, at in (('active', None), ('creating', 0.123456), ('deleted', 1)):
            with self.subTest(state=state):
                made = self.record(state, at=at, state=state, user_id='u', deltas={'instances': 1, 'ram': 2**40})
                self.assertEqual(made, routings.get(self.db, 'server', state))

    def test_second_record_adds_missing_fields(self):
        first = self.record('a', state='creating')
        second = self.record('a', at=1, deltas={'cores': 1})
        self.assertEqual(
            (first.id, 'active', NOON + seconds(1), {'cores': 1}),
            (second.id, second.state, second.created_at, second.deltas),
        )
        third = self.record('a', at=2, deltas={'cores': 9})
        self.assertEqual(second, third)
        routings.update(self.db, first.id, state='deleting')
        self.assertEqual('deleting', self.record('a').state)

    def test_live_routing_is_not_moved_by_record(self):
        first = self.record('a')
        self.assertEqual(first, self.record('a', self.pod2))

    def test_ended_routing_is_replaced_by_record(self):
        first = self.record('a', at=1)
        self.assertTrue(routings.mark_deleted(self.db, 'server', 'a'))
        self.assertFalse(routings.mark_deleted(self.db, 'server', 'a'))
        gone = routings.get(self.db, 'server', 'a')
        self.assertEqual(('deleted', False), (gone.state, gone.is_live))
        self.assertIsNotNone(gone.deleted_at)
        again = self.record('a', self.pod2, at=2)
        self.assertEqual(
            (first.id, self.pod2, 'active', None, NOON + seconds(2)),
            (again.id, again.pod_id, again.state, again.deleted_at, again.created_at),
        )

    def test_unknown_pod_and_long_id_are_refused(self):
        self.assertRaises(errors.RecordNotFound, self.record, 'a', 'nowhere')
        self.assertRaises(ValueError, self.record, 'a' * 65)

    def test_new_routings_are_recorded_and_known_ones_kept(self):
        known = self.record('3')
        rows = [NewRouting('server', str(i), self.pod2, 'project') for i in range(1200)]
        self.assertEqual(1199, routings.record_many(self.db, rows))
        self.assertEqual(0, routings.record_many(self.db, rows))
        self.assertEqual(0, routings.record_many(self.db, []))
        self.assertEqual(
            1,
            routings.record_many(
                self.db,
                [NewRouting('volume', '3', self.pod1, 'p')],
            ),
        )
        self.assertEqual(known, routings.get(self.db, 'server', '3'))
        found = routings.get_many(self.db, 'server', [*map(str, range(1200)), 'no', '3'])
        self.assertEqual(1200, len(found))
        self.assertEqual(self.pod2, found['7'].pod_id)
        self.assertEqual({}, routings.get_many(self.db, 'server', []))

    def test_racing_records_make_one_row_each(self):
        def bring(offset):
            rows = [NewRouting('server', str((i + offset) % 60), self.pod1, 'p') for i in range(60)]
            return routings.record_many(self.db, rows)

        with futures.ThreadPoolExecutor(6) as pool:
            self.assertEqual(60, sum(pool.map(bring, range(0, 60, 10))))
        self.assertEqual(60, routings.count_by_pod(self.db, self.pod1, ['server']))

    def test_routing_is_updated_and_deleted(self):
        made = self.record('a')
        changed = routings.update(self.db, made.id, bottom_id='b', pod_id=self.pod2)
        self.assertEqual(('a', 'b', self.pod2), (changed.top_id, changed.bottom_id, changed.pod_id))
        self.assertIsNotNone(routings.update(self.db, made.id, state='deleted').deleted_at)
        self.assertRaises(ValueError, routings.update, self.db, made.id, colour='red')
        self.assertTrue(routings.delete(self.db, made.id))
        self.assertFalse(routings.delete(self.db, made.id))
        self.assertIsNone(routings.update(self.db, made.id, state='active'))

    def test_list_is_filtered_sorted_and_paged(self):
        made = [self.record(str(i), self.pod1 if i % 2 else self.pod2) for i in range(6)]
        page = routings.list_(self.db, limit=4)
        page += routings.list_(self.db, limit=4, marker=page[-1].id)
        self.assertEqual(made, page)
        self.assertEqual(
            made[1::2],
            routings.list_(
                self.db,
                filters={
                    'pod_id': self.pod1,
                    'project_id': 'project',
                    'resource_type': 'server',
                    'state': 'active',
                },
            ),
        )
        self.assertEqual([made[2]], routings.list_(self.db, filters={'top_id': '2', 'bottom_id': '2'}))
        self.assertEqual(made[::-1], routings.list_(self.db, sort=[('id', 'desc')]))
        self.assertRaises(ValueError, routings.list_, self.db, sort=[('colour', 'asc')])

    def test_live_routings_are_counted(self):
        self.record('a')
        self.record('b')
        routings.mark_deleted(self.db, 'server', 'b')
        self.assertEqual(1, routings.count_by_pod(self.db, self.pod1, ['server']))

    def test_before_returns_nearest_strictly_newer_routing(self):
        for at in (1, 2, 2, 3, 5):
            self.record(f'{at}-{len(routings.list_(self.db))}', at=at)
        self.record('elsewhere', self.pod2, at=4)
        self.record('unknown')

        def before(at, project='project', **options):
            found = routings.before(self.db, 'server', self.pod1, project, NOON + seconds(at), **options)
            return found and (found.created_at - NOON).seconds

        self.assertEqual(3, before(2))
        self.assertEqual(2, before(1))
        self.assertEqual(5, before(3.5))
        self.assertIsNone(before(5))
        self.assertEqual(5, before(4, project=None))
        self.assertIsNone(before(4, project='other'))
        self.assertEqual(1, before(2, newest_first=False))
        self.assertEqual(3, before(4, newest_first=False))
        self.assertIsNone(before(1, newest_first=False))

    def test_before_skips_ended_routings_unless_requested(self):
        self.record('a', at=2)
        self.record('b', at=3)
        routings.mark_deleted(self.db, 'server', 'a')
        args = (self.db, 'server', self.pod1, 'project', NOON)
        self.assertEqual('b', routings.before(*args).top_id)
        self.assertEqual('a', routings.before(*args, with_deleted=True).top_id)

    def test_routings_of_pod_are_listed_newest_first(self):
        self.record('undated')
        for at in (1, 3, 2):
            self.record(str(at), at=at)
        self.record('other', at=9, project_id='other')
        self.record('elsewhere', self.pod2, at=9)
        self.record('gone', at=9)
        routings.mark_deleted(self.db, 'server', 'gone')

        def ids(*args, **options):
            return [r.top_id for r in routings.list_for_pod(self.db, 'server', self.pod1, *args, **options)]

        self.assertEqual(['3', '2', '1', 'undated'], ids('project'))
        self.assertEqual(['other', '3', '2', '1', 'undated'], ids(None))
        self.assertEqual(['3', '2'], ids('project', 2))
        self.assertEqual(['3', '2', '1'], ids('project', 3))
        self.assertEqual(['1'], ids('project', older_than=NOON + seconds(2)))

    def test_all_routings_of_pod_are_listed_in_pages(self):
        times = {'a': 1, 'b': 2, 'c': 2, 'd': 2, 'e': 3, 'f': 5, 'undated': None}
        for top_id, at in times.items():
            self.record(top_id, **({} if at is None else {'at': at}))
        self.record('elsewhere', self.pod2, at=2)
        self.record('gone', at=2)
        routings.mark_deleted(self.db, 'server', 'gone')

        def ids(limit, **options):
            pages = list(routings.pages_for_pod(self.db, 'server', self.pod1, limit=limit, **options))
            self.assertTrue(all(len(page) <= limit + 3 for page in pages), pages)
            return [sorted(r.top_id for r in page if r.created_at) for page in pages], {
                r.top_id for p in pages for r in p
            }

        for limit in range(1, 9):
            listed, found = ids(limit)
            self.assertEqual(set(times), found, limit)
            self.assertEqual(list('abcdef'), sorted(sum(listed, [])), limit)
            within = NOON + seconds(1), NOON + seconds(3)
            self.assertEqual({'b', 'c', 'd', 'e'}, ids(limit, after=within[0], until=within[1])[1], limit)
            self.assertEqual({'a', 'b', 'c', 'd', 'undated'}, ids(limit, until=NOON + seconds(2))[1], limit)
        self.assertEqual([['f'], ['e'], ['b', 'c', 'd'], ['a'], []], ids(1)[0])

    def test_purge_deletes_old_ended_routings(self):
        for name in 'abc':
            self.record(name)
        routings.mark_deleted(self.db, 'server', 'a')
        routings.mark_deleted(self.db, 'server', 'b')
        long_ago = NOON - datetime.timedelta(days=9999)
        self.assertEqual(0, routings.purge_deleted(self.db, long_ago))
        far = NOON + datetime.timedelta(days=9999)
        self.assertEqual(1, routings.purge_deleted(self.db, far, limit=1))
        self.assertEqual(1, routings.purge_deleted(self.db, far))
        self.assertEqual(['c'], [r.top_id for r in routings.list_(self.db)])

    def test_purge_types_deletes_old_routings_of_type(self):
        self.record('a')
        routings.record(
            self.db, NewRouting(resource_type='attachment', top_id='b', pod_id=self.pod1, project_id='project')
        )
        far = NOON + datetime.timedelta(days=9999)
        self.assertEqual(1, routings.count_by_pod(self.db, self.pod1, ['server']))
        self.assertEqual(0, routings.purge_types(self.db, ['attachment'], NOON - datetime.timedelta(days=9999)))
        self.assertEqual(1, routings.purge_types(self.db, ['attachment'], far))
        self.assertEqual(['a'], [r.top_id for r in routings.list_(self.db)])

    def test_pods_with_live_routings_of_project_are_found(self):
        self.record('a')
        self.record('b', self.pod2)
        self.record('c', self.pod2, project_id='other')
        self.assertEqual({self.pod1, self.pod2}, routings.pods_of_project(self.db, ['server'], 'project'))
        routings.mark_deleted(self.db, 'server', 'a')
        self.assertEqual({self.pod2}, routings.pods_of_project(self.db, ['server'], 'project'))
        self.assertEqual(set(), routings.pods_of_project(self.db, ['volume'], 'project'))
        self.assertEqual({self.pod2}, routings.pods_of_project(self.db, ['volume', 'server'], 'project'))

    def test_pods_of_current_bindings_are_found_where_wanted(self):
        self.record('a', self.pod2)
        ended = bindings.bind(self.db, 'project', 'az1', '', self.pod1)
        self.assertEqual({self.pod2}, routings.pods_of_project(self.db, ['server'], 'project'))
        self.assertEqual(
            {self.pod1, self.pod2}, routings.pods_of_project(self.db, ['server'], 'project', with_bindings=True)
        )
        bindings.end(self.db, ended.id)
        self.assertEqual({self.pod2}, routings.pods_of_project(self.db, ['server'], 'project', with_bindings=True))

    def test_pods_with_live_routings_of_a_type_are_found(self):
        self.record('a', self.pod1, state='creating')
        self.record('b', self.pod2, state='deleted')
        pods = [self.pod1, self.pod2, 'none']
        self.assertEqual({self.pod1}, routings.holders(self.db, 'server', pods))
        self.record('c', self.pod2, project_id='other')
        self.assertEqual({self.pod1, self.pod2}, routings.holders(self.db, 'server', pods))
        self.assertEqual({self.pod2}, routings.holders(self.db, 'server', pods[1:]))
        self.assertEqual(set(), routings.holders(self.db, 'volume', pods))
        self.assertEqual(set(), routings.holders(self.db, 'server', []))

    def newest(self, project='project', limit=10, **options):
        found = routings.newest(self.db, 'server', project, limit, **options)
        return (
            [((when - NOON).total_seconds(), pod_id) for when, pod_id in found.dated],
            found.undated,
            found.may_have_more,
        )

    def test_pods_of_newest_live_routings_are_found(self):
        for name, pod, when, values in (
            ('a', self.pod1, 1, {'state': 'creating'}),
            ('b', self.pod2, 2.5, {'state': 'deleting'}),
            ('c', self.pod1, 3, {}),
            ('d', self.pod2, 4, {'state': 'deleted'}),
            ('e', self.pod1, 5, {'project_id': 'other'}),
            ('f', self.pod2, None, {}),
            ('g', self.pod1, None, {'state': 'deleted'}),
        ):
            self.record(name, pod, at=when, **values)
        rows = [(3, self.pod1), (2.5, self.pod2), (1, self.pod1)]
        self.assertEqual((rows, {self.pod2}, set()), self.newest())
        self.assertEqual((rows[:2], {self.pod2}, set()), self.newest(limit=2))
        self.assertEqual([(5, self.pod1), *rows], self.newest(None)[0])
        self.assertEqual(([], set(), set()), self.newest('nobody'))

    def test_newest_routings_after_marker_are_found(self):
        for when in (1, 2, 2.5, 3):
            self.record(str(when), at=when)
        marker = ('2', NOON + seconds(2.5))
        self.assertEqual([2.5, 1], [when for when, _pod in self.newest(marker=marker)[0]])

    def test_pods_of_bindings_are_found_with_newest_routings(self):
        ended = bindings.bind(self.db, 'project', 'az1', '', self.pod1)
        bindings.bind(self.db, 'project', 'az2', '', self.pod2)
        self.assertEqual(([], set(), {self.pod1, self.pod2}), self.newest())
        bindings.end(self.db, ended.id)
        self.assertEqual(([], set(), {self.pod2}), self.newest())
        self.assertEqual(set(), self.newest(marker=('a', NOON))[2])
        self.assertEqual(set(), self.newest(None)[2])

    def test_pods_of_creates_without_answer_are_found_with_newest_routings(self):
        for number, (pod, values) in enumerate(
            (
                (self.pod1, {}),
                (self.pod1, {}),
                (None, {}),
                (self.pod2, {'resource_type': 'volume'}),
                (self.pod2, {'state': 'open'}),
                (self.pod2, {'resource_id': 'a'}),
            )
        ):
            given = {'resource_type': 'server', 'state': 'unknown', 'resource_id': ''} | values
            claim = QuotaClaim(str(number), 'p', '', {}, '', pod, created_at=NOON, expires_at=NOON, **given)
            quotas.watch(self.db, claim)
        self.assertEqual(([], set(), {self.pod1}), self.newest(None))
        self.assertEqual(set(), self.newest(None, marker=('a', NOON))[2])
        self.assertEqual(set(), self.newest()[2])

    def test_pods_with_live_routings_of_a_period_are_found(self):
        for when, pod in ((1, self.pod1), (2, self.pod2), (2, self.pod2)):
            self.record(f'{when}-{len(routings.list_(self.db))}', pod, at=when)
        self.record('gone', self.pod1, at=2, state='deleted')
        self.record('other', self.pod1, at=3, project_id='other')

        def pods(start, end, project='project'):
            return routings.pods_between(self.db, 'server', project, NOON + seconds(start), NOON + seconds(end))

        self.assertEqual({self.pod2}, pods(1.5, 2))
        self.assertEqual({self.pod1, self.pod2}, pods(1, 3))
        self.assertEqual({self.pod1}, pods(3, 3, None))
        self.assertEqual(set(), pods(3, 3))


class TestQueryPlans(DatabaseTest):
    """SQLite's query plans of the statements."""

    def plans_of(self, call, *args, **options):
        statements = []

        def note(connection, cursor, statement, parameters, context, executemany):
            if statement.startswith('SELECT'):
                statements.append((statement, parameters))

        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', note)
        try:
            call(self.db, *args, **options)
        finally:
            sqlalchemy.event.remove(self.db.engine, 'before_cursor_execute', note)
        plans = []
        with self.db.engine.connect() as connection:
            for statement, parameters in statements:
                rows = connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', parameters)
                plans += [row[-1] for row in rows]
        return plans

    def assert_indexed(self, index, *call, **options):
        plans = self.plans_of(*call, **options)
        of_routings = [plan for plan in plans if 'routings' in plan]
        self.assertTrue(of_routings, plans)
        for plan in of_routings:
            self.assertIn(f'INDEX {index}', plan)
            self.assertTrue(plan.startswith('SEARCH'), plan)
        self.assertEqual([], [plan for plan in plans if 'TEMP B-TREE' in plan])

    def test_statements_of_requests_use_an_index(self):
        by_id = 'sqlite_autoindex_routings_1'
        by_project = 'ix_routings_type_project_'
        by_pod = 'ix_routings_type_pod_created'
        self.assert_indexed(by_id, routings.get, 'server', 'a')
        self.assert_indexed(by_id, routings.get_many, 'server', ['a', 'b'])
        for project, index in (('project', by_project), (None, by_pod)):
            for newest_first in (True, False):
                self.assert_indexed(
                    index,
                    routings.before,
                    'server',
                    self.pod1,
                    project,
                    NOON,
                    newest_first=newest_first,
                )
            self.assert_indexed(index, routings.list_for_pod, 'server', self.pod1, project, 10)
            self.assert_indexed(index, routings.list_for_pod, 'server', self.pod1, project, 10, older_than=NOON)

    def test_pods_with_routings_are_found_by_an_index(self):
        plans = self.plans_of(routings.holders, 'server', [self.pod1, self.pod2])
        self.assertIn('SEARCH routings USING COVERING INDEX ix_routings_type_pod_created', ' '.join(plans))

    def test_newest_routings_are_read_in_the_order_of_an_index(self):
        marker = ('a', NOON)
        for project, index in (
            ('project', 'ix_routings_type_project_state_created'),
            (None, 'ix_routings_type_state_created'),
        ):
            for given in (None, marker):
                plans = self.plans_of(routings.newest, 'server', project, 10, given)
                of_routings = [plan for plan in plans if plan.startswith(('SEARCH routings', 'SCAN routings'))]
                self.assertEqual(6, len(of_routings), plans)
                for plan in of_routings:
                    self.assertIn(f'INDEX {index}', plan)
                self.assertEqual([], [plan for plan in plans if 'FOR ORDER BY' in plan], plans)
            plans = self.plans_of(routings.pods_between, 'server', project, NOON, NOON)
            self.assertIn(f'SEARCH routings USING COVERING INDEX {index}', ' '.join(plans))

    def test_pods_of_project_uses_an_index(self):
        plans = self.plans_of(routings.pods_of_project, ['server'], 'project')
        self.assertIn('ix_routings_type_project_', ' '.join(plans))
