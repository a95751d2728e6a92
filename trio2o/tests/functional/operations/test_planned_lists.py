# SPDX-License-Identifier: Apache-2.0
"""Lists of the newest resources call the pods that have items of the page, by the routings."""

import datetime
import uuid

import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio2o.db import bindings, routings
from trio2o.db import pods as db_pods
from trio2o.db.database import utcnow
from trio2o.db.records import DELETED, DELETING, NewRouting, Routing
from trio2o.lab.emulated.faults import Alter, DropAfter, Refuse, Status
from trio2o.lab.emulated.wire import JSON
from trio2o.tests.functional.operations.base import ConversationTest, ids

NOON = datetime.datetime(2026, 1, 1, 12)
PODS = {f'Pod{number}': f'az{number % 2 + 1}' for number in range(1, 8)}


def at(seconds):
    return NOON + datetime.timedelta(seconds=seconds)


class PlannedListTest(ConversationTest):
    pods = PODS

    def setUp(self):
        super().setUp()
        self.db = self.cloud.runtime.db
        for name in PODS:
            self.reconcile(name)
        self.cloud.runtime.registry.refresh()

    def reconcile(self, name, when=None):
        db_pods.set_reconciled(self.db, self.cloud.pod_ids[name], when or utcnow())

    def add(self, kind, pod, created_at, project='demo', recorded_at=..., **given):
        """Add a server or a volume to a pod, and its routing.

        :param recorded_at: creation time in the routing, if it is not that of the resource; None: not known
        """
        add = self.cloud.lab.add_servers if kind == 'server' else self.cloud.lab.add_volumes
        (made,) = add(pod, project, created_at=created_at)
        recorded_at = created_at if recorded_at is ... else recorded_at
        self.record(kind, pod, made['id'], recorded_at, project, **given)
        return made

    def record(self, kind, pod, resource_id, created_at, project='demo', **given):
        project_id = self.cloud.project_id(project)
        new = NewRouting(kind, resource_id, self.cloud.pod_ids[pod], project_id, created_at=created_at, **given)
        routings.record(self.db, new)

    def add_servers(self, count=14, project='demo'):
        """Add servers, one a minute, to one pod after another. :returns: their ids, the newest first"""
        names = list(PODS)
        made = [self.add('server', names[n % len(names)], at(n * 60), project)['id'] for n in range(count)]
        return made[::-1]

    def called(self, service='nova', path='/servers/detail'):
        """The names of the pods whose list was requested since the last time."""
        found = [
            name
            for name, pod in self.cloud.lab.pods.items()
            for request in getattr(pod, service).requests
            if request.path.endswith(path)
        ]
        self.cloud.lab.clear_logs()
        return found

    def walk(self, client, path, key, **kwargs):
        found = []
        while path:
            answer = client.get(path, **kwargs)
            self.assertEqual(200, answer.status, answer.text)
            found += ids(answer[key])
            path = next((link['href'] for link in answer.json.get(f'{key}_links', ())), None)
            self.assertLess(len(found), 1000)
        return found


#: Pod, creation time in seconds, project, difference of the recorded time, state in the routing.
ROWS = st.tuples(
    st.sampled_from(list(PODS)),
    st.one_of(st.integers(0, 4), st.integers(0, 200)),
    st.sampled_from(['demo', 'demo', 'alt']),
    st.sampled_from([0, 0, 0, 0, -1, -0.4, 0.4, 1, None]),
    st.sampled_from(['active', 'active', 'active', DELETING, 'creating']),
)
#: Pod, creation time of resources that are not in the pod any more, and whether their routings say so.
GONE = st.tuples(st.sampled_from(list(PODS)), st.integers(0, 200), st.booleans())


class TestSameList(PlannedListTest):
    """Planned pages make the list that one cloud with all resources would answer."""

    KINDS = {
        'server': ('nova', '/servers', 'servers', False),
        'volume': ('cinder', '/volumes', 'volumes', True),
    }

    def fill(self, kind, rows, gone):
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.delete(Routing.__table__))
        for pod in self.cloud.lab.pods.values():
            pod.nova.servers.clear()
            pod.cinder.volumes.clear()
        made = []
        for pod, seconds, project, difference, state in rows:
            recorded_at = None if difference is None else at(seconds + difference)
            made.append((self.add(kind, pod, at(seconds), project, recorded_at, state=state), project))
        for pod, seconds, is_known in gone:
            state = DELETED if is_known else 'active'
            self.record(kind, pod, str(uuid.uuid4()), at(seconds), state=state)
        return made

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(list(KINDS)),
        st.lists(ROWS, max_size=30),
        st.lists(GONE, max_size=12),
        st.integers(1, 8),
        st.booleans(),
        st.sets(st.sampled_from(list(PODS)), max_size=1),
    )
    def test_pages_of_any_size_make_the_same_list(self, kind, rows, gone, limit, is_for_all, not_reconciled):
        service, path, key, is_id_descending = self.KINDS[kind]
        made = self.fill(kind, rows, gone)
        for name in PODS:
            db_pods.set_reconciled(self.db, self.cloud.pod_ids[name], None if name in not_reconciled else utcnow())
        self.cloud.runtime.registry.refresh()
        wanted = [record for record, project in made if is_for_all or project == 'demo']
        wanted.sort(key=lambda record: record['id'], reverse=is_id_descending)
        wanted.sort(key=lambda record: record['created_at'], reverse=True)
        query = f'limit={limit}&all_tenants=1' if is_for_all else f'limit={limit}'
        found = self.walk(getattr(self.cloud, service), f'{path}?{query}', key, as_='admin' if is_for_all else 'demo')
        self.assertEqual(ids(wanted), found)


class TestCalledPods(PlannedListTest):
    def test_pods_with_items_of_page_are_called_for_these(self):
        wanted = self.add_servers()
        for query, as_ in (('limit=3', 'demo'), ('limit=3&all_tenants=1', 'admin'), ('limit=3&deleted=False', 'demo')):
            answer = self.nova.get(f'/servers/detail?{query}', as_=as_)
            self.assertEqual(wanted[:3], ids(answer['servers']))
            self.assertEqual(['Pod5', 'Pod6', 'Pod7'], self.called(), query)
        answer = self.nova.get(f'/servers?limit=2&marker={wanted[2]}')
        self.assertEqual(wanted[3:5], ids(answer['servers']))
        self.assertEqual(['Pod3', 'Pod4'], self.called())
        answer = self.nova.get(f'/servers?limit=2&marker={wanted[-1]}')
        self.assertEqual([], answer['servers'])
        self.assertEqual(1, len(self.called()))

    def test_volumes_after_marker_and_offset_are_those_of_called_pods(self):
        names = list(PODS)
        made = [self.add('volume', names[n % 7], at(n * 60))['id'] for n in range(14)][::-1]
        answer = self.cinder.get(f'/volumes/detail?limit=2&offset=1&marker={made[1]}')
        self.assertEqual(made[3:5], ids(answer['volumes']))
        self.assertEqual(['Pod3', 'Pod4', 'Pod5'], self.called('cinder', '/volumes/detail'))

    def test_list_that_routings_cannot_plan_calls_all_pods(self):
        self.add_servers()
        for query in ('', 'limit=3&status=ACTIVE', 'limit=3&sort_dir=asc', 'limit=3&sort_key=display_name'):
            self.assertEqual(200, self.nova.get(f'/servers/detail?{query}').status)
            self.assertEqual(list(PODS), self.called(), query)

    def test_pod_that_is_down_and_not_on_page_is_not_missed(self):
        wanted = self.add_servers()
        self.cloud.pod('Pod1').nova.faults.add(Refuse())
        self.assertEqual(wanted[:6], ids(self.nova.get('/servers?limit=6')['servers']))
        self.assertEqual(503, self.nova.get('/servers?limit=7').status)
        self.assertEqual(wanted[7:10], ids(self.nova.get(f'/servers?limit=3&marker={wanted[6]}')['servers']))

    def test_pod_in_maintenance_and_not_on_page_is_not_missed(self):
        wanted = self.add_servers()
        db_pods.update(self.db, self.cloud.pod_ids['Pod1'], state='maintenance')
        self.cloud.runtime.registry.refresh()
        for query, as_ in (('', 'demo'), ('&all_tenants=1', 'admin')):
            self.assertEqual(wanted[:6], ids(self.nova.get(f'/servers?limit=6{query}', as_=as_)['servers']))
            self.assertEqual(503, self.nova.get(f'/servers?limit=7{query}', as_=as_).status)

    def test_pages_of_pods_that_answer_are_full_where_others_may_be_missing(self):
        wanted = self.add_servers()
        self.skip_down_pods()
        self.cloud.pod('Pod7').nova.faults.add(Refuse())
        answer = self.nova.get('/servers?limit=4')
        self.assertEqual(wanted[1:5], ids(answer['servers']))

    def test_pods_that_project_is_bound_to_are_called_for_first_page(self):
        wanted = self.add_servers()
        bindings.bind(self.db, self.cloud.project_id('demo'), 'az1', '', self.cloud.pod_ids['Pod2'])
        self.cloud.pod('Pod2').nova.faults.add(Refuse())
        self.assertEqual(wanted[:3], ids(self.nova.get('/servers?limit=3')['servers']))
        self.cloud.pod('Pod2').nova.faults.clear()
        self.cloud.lab.clear_logs()
        self.nova.get(f'/servers?limit=2&marker={wanted[0]}')
        self.assertNotIn('Pod2', self.called())
        (new,) = self.cloud.lab.add_servers('Pod2', 'demo', created_at=at(10000))
        self.assertEqual([new['id'], *wanted[:2]], ids(self.nova.get('/servers?limit=3')['servers']))

    def test_page_of_all_projects_has_what_was_created_without_an_answer(self):
        self.override('volumes', 10, 'quota')
        for pod in self.cloud.lab.pods.values():
            pod.cinder.faults.add(DropAfter(method='POST'))
        self.assertGreaterEqual(self.cinder.post('/volumes', {'volume': {'size': 1}}).status, 500)
        for pod in self.cloud.lab.pods.values():
            pod.cinder.faults.clear()
        ((name, new),) = [(name, each) for name, pod in self.cloud.lab.pods.items() for each in pod.cinder.volumes]
        other = next(each for each in PODS if each != name)
        self.add('volume', other, at(0))
        self.assertIsNone(self.pod_of('volume', new))
        self.assertEqual([new], ids(self.cinder.get('/volumes?limit=1&all_tenants=1', as_='admin')['volumes']))
        self.assertEqual({name, other}, set(self.called('cinder', '/volumes/detail')))

    def test_all_pods_are_called_if_one_lists_what_has_no_routing(self):
        self.add_servers()
        made = [self.cloud.lab.add_servers(pod, 'demo', created_at=at(10000))[0]['id'] for pod in ('Pod1', 'Pod7')]
        self.assertEqual(set(made), set(ids(self.nova.get('/servers?limit=2')['servers'])))
        self.assertEqual(set(PODS), set(self.called()))

    def test_pod_whose_changes_were_not_read_for_long_is_called(self):
        wanted = self.add_servers()
        self.reconcile('Pod1', utcnow() - datetime.timedelta(hours=1))
        self.cloud.runtime.registry.refresh()
        self.cloud.pod('Pod1').nova.faults.add(Refuse())
        self.assertEqual(wanted[:2], ids(self.nova.get('/servers?limit=2')['servers']))
        self.cloud.pod('Pod1').nova.faults.clear()
        (new,) = self.cloud.lab.add_servers('Pod1', 'demo', created_at=at(10000))
        self.cloud.lab.clear_logs()
        self.assertEqual([new['id'], wanted[0]], ids(self.nova.get('/servers?limit=2')['servers']))
        self.assertEqual({'Pod1', 'Pod6', 'Pod7'}, set(self.called()))

    def test_refusal_of_pod_that_page_does_not_need_is_ignored(self):
        wanted = self.add_servers()
        bindings.bind(self.db, self.cloud.project_id('demo'), 'az1', '', self.cloud.pod_ids['Pod2'])
        self.reconcile('Pod3', utcnow() - datetime.timedelta(hours=1))
        self.cloud.runtime.registry.refresh()
        for status in (400, 401, 403, 404, 413, 429):
            for name in ('Pod2', 'Pod3'):
                self.break_pod(name, Status(status, b'{"error": {"code": 0, "message": "no"}}', tuple(JSON)))
            for query, as_ in (('', 'demo'), ('&all_tenants=1', 'admin')):
                answer = self.nova.get(f'/servers?limit=3{query}', as_=as_)
                self.assertEqual((200, wanted[:3]), (answer.status, ids(answer.json.get('servers', ()))), status)
        self.break_pod('Pod2', Status(429, b'{"error": {"code": 0, "message": "no"}}', tuple(JSON)))
        for query in ('', '?limit=13', '?limit=3&sort_dir=asc'):
            self.assertEqual(429, self.nova.get(f'/servers{query}').status, query)

    def test_project_without_resources_does_not_notice_pod_whose_changes_were_not_read(self):
        self.reconcile('Pod3', utcnow() - datetime.timedelta(hours=1))
        self.cloud.runtime.registry.refresh()
        for fault in (Status(403, b'{"forbidden": {"code": 403, "message": "no"}}', tuple(JSON)), Refuse()):
            self.break_pod('Pod3', fault)
            answer = self.nova.get('/servers?limit=3')
            self.assertEqual((200, []), (answer.status, answer.json.get('servers')), fault)

    def test_refusal_of_all_pods_that_were_called_is_the_answer(self):
        self.add_servers()
        bindings.bind(self.db, self.cloud.project_id('alt'), 'az1', '', self.cloud.pod_ids['Pod2'])
        self.break_pod('Pod2', Status(403, b'{"forbidden": {"code": 403, "message": "no"}}', tuple(JSON)))
        self.assertEqual(403, self.nova.get('/servers?limit=3', as_='alt').status)

    def test_lists_show_items_with_creation_times_that_cannot_be(self):
        wanted = self.add_servers(6)
        odd = self.add('server', 'Pod7', at(5), recorded_at=None)['id']
        for created in ('0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '0001-01-01T00:00:00+14:00'):
            self.cloud.pod('Pod7').nova.faults.clear()
            self.cloud.pod('Pod7').nova.faults.add(Alter(values={'created': created}))
            order = [odd, *wanted] if created.startswith('9') else [*wanted, odd]
            self.assertEqual(order, ids(self.nova.get('/servers/detail')['servers']))
            self.assertEqual(order, self.walk(self.nova, '/servers?limit=2', 'servers'))

    def test_page_has_volume_whose_creation_time_changed_once_a_list_showed_it(self):
        names = list(PODS)
        made = [self.add('volume', names[n % 7], at(n * 60))['id'] for n in range(14)]
        self.learn_volumes()
        # Cinder gives a volume the creation time of its copy when it has migrated it.
        self.cloud.pod('Pod1').cinder.volumes[made[0]]['created_at'] = at(14 * 60)
        self.cinder.get('/volumes/detail')
        self.wait_for(lambda: routings.get(self.db, 'volume', made[0]).created_at == at(14 * 60))
        self.assertEqual([made[0], *made[:0:-1]], self.walk(self.cinder, '/volumes?limit=3', 'volumes'))

    def statements(self, path):
        """The statements of a list, whose servers are recorded."""
        # The first list makes the locator look at what is recorded, in the background.
        self.learn_servers(path)
        statements = []
        sqlalchemy.event.listen(self.db.engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
        self.nova.get(path)
        return [each for each in statements if 'table_versions' not in each]

    def test_planned_page_needs_one_statement(self):
        self.add_servers()
        self.assertEqual(1, len(self.statements('/servers?limit=3')))

    def test_list_needs_as_many_statements_for_more_pods_in_maintenance(self):
        self.add('server', 'Pod1', at(0))
        self.add('server', 'Pod2', at(1))
        needed = []
        for some in (['Pod3'], ['Pod4', 'Pod5', 'Pod6']):
            for name in some:
                db_pods.set_reconciled(self.db, self.cloud.pod_ids[name], None)
                db_pods.update(self.db, self.cloud.pod_ids[name], state='maintenance')
            self.cloud.runtime.registry.refresh()
            needed.append([len(self.statements(path)) for path in ('/servers?limit=2', '/servers')])
        self.assertEqual(*needed)
