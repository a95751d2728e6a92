# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o binding`` and ``routing``."""

from trio2o.db import bindings, routings
from trio2o.db.records import NewRouting
from trio2o.tests.functional.osc.base import CommandTestCase


class TestBindings(CommandTestCase):
    def test_binding_is_created_listed_shown_and_deleted(self):
        binding = self.read('binding create demo Pod1')
        project_id = self.cloud.project_id('demo')
        self.assertEqual(
            (project_id, 'Pod1', 'az1', '', True),
            tuple(binding[name] for name in ('tenant_id', 'pod_name', 'az_name', 'affinity_group', 'is_pinned')),
        )
        self.assertEqual(binding, self.read(f'binding show {binding["id"]}'))
        self.assertEqual([binding['id']], self.names('binding list --project demo', 'ID'))
        self.assertEqual([binding['id']], self.names('binding list --pod Pod1 --zone az1', 'ID'))
        self.assertEqual([], self.read('binding list --pod Pod2'))
        self.assertEqual([], self.read('binding list --project alt'))
        self.refused('(409)', 'binding create demo Pod1')
        self.assertEqual('', self.run_command(f'binding delete {binding["id"]}').out)
        self.assertEqual([], self.read('binding list'))
        (row,) = self.read('binding list --history')
        self.assertIsNotNone(row['Ended At'])
        self.assertIsNotNone(self.read(f'binding show {binding["id"]}')['ended_at'])
        self.refused('(404)', f'binding delete {binding["id"]}')

    def test_list_separates_manual_and_automatic_bindings(self):
        made = self.read(f'binding create {self.cloud.project_id("alt")} Pod2')
        automatic = bindings.bind(self.db, 'p1', 'az1', '', self.cloud.pod_ids['Pod1'])
        self.assertEqual([made['id']], self.names('binding list --by-hand', 'ID'))
        self.assertEqual([automatic.id], self.names('binding list --automatic', 'ID'))
        self.assertEqual([automatic.id], self.names('binding list --sort started_at:desc --limit 1', 'ID'))

    def test_set_changes_exclusive(self):
        binding = self.read('binding create demo Pod1 --exclusive')
        self.assertTrue(binding['is_exclusive'])
        changed = self.read(f'binding set {binding["id"]} --not-exclusive')
        self.assertFalse(changed['is_exclusive'])
        self.refused('(422)', f'binding set {binding["id"]}')

    def test_unknown_pod_project_or_binding_is_refused(self):
        self.refused("'Pod9'", 'binding create demo Pod9')
        self.refused('nobody', 'binding create nobody Pod1')
        self.refused('(404)', 'binding show nope')
        self.refused(['0 of 2 done', 'nope:', 'no/pe:'], 'binding delete nope no/pe')


class TestRoutings(CommandTestCase):
    def record(self, top_id, pod='Pod1', **more):
        values = {'resource_type': 'server', 'project_id': self.cloud.project_id('demo'), **more}
        return routings.record(self.db, NewRouting(top_id=top_id, pod_id=self.cloud.pod_ids[pod], **values))

    def resources(self, options=''):
        return self.names(f'routing list {options}', 'Resource')

    def test_list_is_filtered_sorted_and_limited(self):
        self.record('s1')
        self.record('s2', pod='Pod2', bottom_id='b2')
        self.record('v1', resource_type='volume', project_id='p2')
        routings.mark_deleted(self.db, 'server', 's1')
        self.assertEqual(['s1', 's2', 'v1'], self.resources())
        self.assertEqual(['s2'], self.resources('--pod Pod2'))
        self.assertEqual(['v1'], self.resources('--type volume'))
        self.assertEqual(['s1', 's2'], self.resources('--project demo'))
        self.assertEqual(['s2'], self.resources('--in-pod b2'))
        self.assertEqual(['s1'], self.resources('--resource s1'))
        self.assertEqual(['s1'], self.resources('--state deleted'))
        self.assertEqual(['v1', 's2'], self.resources('--sort id:desc --limit 2'))
        self.assertEqual('b2', self.read('routing list --long --pod Pod2')[0]['In The Pod'])

    def test_list_reads_all_pages_up_to_limit(self):
        routings.record_many(
            self.db,
            [NewRouting('server', f's{n:04}', self.cloud.pod_ids['Pod1'], 'p') for n in range(1203)],
        )
        self.assertEqual(1203, len(set(self.resources())))
        self.assertEqual(1100, len(self.resources('--limit 1100')))

    def test_routing_is_created_changed_shown_and_deleted(self):
        routing = self.read('routing create --type server --pod Pod1 --project demo s1')
        self.assertEqual(('Pod1', 's1', 'active'), (routing['pod_name'], routing['bottom_id'], routing['state']))
        self.refused('(409)', 'routing create --type server --pod Pod1 --project demo s1')
        changed = self.read(f'routing set {routing["id"]} --pod Pod2 --in-pod b1 --state active --project alt')
        self.assertEqual(('Pod2', 'b1'), (changed['pod_name'], changed['bottom_id']))
        self.assertEqual(self.cloud.project_id('alt'), changed['project_id'])
        self.assertEqual(changed, self.read('routing show s1 --type server'))
        self.refused('(404)', 'routing show s1 --type volume')
        self.refused('(422)', 'routing set s1')
        self.run_command('routing delete s1')
        self.refused('(404)', 'routing delete s1')
        self.assertEqual([], self.resources())
