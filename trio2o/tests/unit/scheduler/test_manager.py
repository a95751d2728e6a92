# SPDX-License-Identifier: Apache-2.0
"""The choice of pods, over a database: filters, weighers and bindings."""

import testtools

from trio2o import exception
from trio2o.db import bindings, pods
from trio2o.pods.breakers import Breakers
from trio2o.pods.registry import Registry
from trio2o.scheduler.manager import Scheduler
from trio2o.scheduler.spec import PodRequest
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.database import DatabaseFixture

ENDPOINT = {'url': 'http://pod/v2.1', 'roots': ['http://pod'], 'min_version': '2.1', 'max_version': '2.96'}
BOTH = {'compute': ENDPOINT, 'volume': ENDPOINT}


class SchedulerTest(testtools.TestCase):
    options = {}

    def setUp(self):
        super().setUp()
        self.db = self.useFixture(DatabaseFixture()).db
        self.conf = self.useFixture(ConfFixture(scheduler=self.options)).conf
        self.breakers = Breakers(1, 1000.0)
        self.registry = Registry(self.conf, self.db)
        self.scheduler = Scheduler(self.conf, self.db, self.registry, self.breakers)
        self.ids = {}

    def add(self, name, zone, endpoints=BOTH, **fields):
        self.ids[name] = pods.create(self.db, pod_name=name, az_name=zone, **fields).pod_id
        self.set(name, endpoints=endpoints)

    def set(self, name, **fields):
        pods.update(self.db, self.ids[name], **fields)
        self.registry.refresh()

    def select(self, zone='', service='compute', project='project', **kwargs):
        return [pod.name for pod in self.scheduler.select(PodRequest(service, project, zone, **kwargs))]

    def delete_unnoticed(self, name):
        """Delete a pod as another process does: this one still has it in its snapshot."""
        pods.delete(self.db, self.ids[name])

    def bound(self, project='project'):
        names = {pod_id: name for name, pod_id in self.ids.items()}
        return sorted((binding.az_name, names[binding.pod_id]) for binding in bindings.current(self.db, project))


class TestSelection(SchedulerTest):
    def setUp(self):
        super().setUp()
        for name, zone in (('A', 'az1'), ('B', 'az1'), ('C', 'az2'), ('D', 'az1')):
            self.add(name, zone)

    def test_pods_are_sorted_by_creation(self):
        self.assertEqual(['A', 'B', 'D'], self.select('az1'))
        self.assertEqual(['A', 'B', 'C', 'D'], self.select())
        self.assertEqual(['C'], self.select('az2'))
        self.assertRaises(exception.ServiceUnavailable, self.select, 'nowhere')

    def test_pods_of_other_zones_are_only_considered_for_operators(self):
        request = PodRequest('compute', 'project', 'az2')
        self.assertEqual((), self.scheduler.decide(request).dropped)
        dropped = self.scheduler.decide(request, of_all=True).dropped
        self.assertEqual(
            [('A', 'availability_zone'), ('B', 'availability_zone'), ('D', 'availability_zone')],
            [(each.pod.name, each.filter) for each in dropped],
        )

    def test_only_enabled_pods_are_chosen(self):
        for state in ('disabled', 'draining', 'maintenance'):
            self.set('A', state=state)
            self.assertEqual(['B', 'D'], self.select('az1', project=state))

    def test_pod_without_service_is_dropped(self):
        self.set('A', endpoints={'volume': ENDPOINT})
        self.assertEqual(['B', 'D'], self.select('az1'))
        self.assertEqual(['A', 'B', 'D'], self.select('az1', 'volume', 'other'))

    def test_pod_with_open_breaker_of_service_is_dropped(self):
        self.breakers.failed((self.ids['A'], 'compute'))
        self.assertEqual(['B', 'D'], self.select('az1'))
        self.assertEqual(['A', 'B', 'D'], self.select('az1', 'volume', 'other'))

    def test_tried_pods_are_dropped(self):
        self.assertEqual(['D'], self.select('az1', tried=frozenset([self.ids['A'], self.ids['B']])))

    def refusal(self, zone='az1', **kwargs):
        error = self.assertRaises(exception.Trio2oException, self.select, zone, **kwargs)
        return error.code, error.headers.get('Retry-After'), error.message

    def test_no_pod_fits_and_error_names_reason(self):
        text = 'No part of availability zone az1 can take a new server now.'
        for name in 'ABD':
            self.set(name, state='disabled')
        self.assertEqual((503, None, text), self.refusal(resource_type='server'))
        # A pod with an open breaker may be reachable again soon.
        self.set('D', state='enabled')
        self.breakers.failed((self.ids['D'], 'compute'))
        self.assertEqual((503, '5', f'{text} Please retry later.'), self.refusal(resource_type='server'))
        code, _retry, message = self.refusal('', extra_specs={'trio2o:gpu': 'yes', 'trio2o:disk': 'ssd'})
        self.assertEqual(
            (
                400,
                'No valid host was found. No part of this cloud matches the extra specs of the flavor: '
                'disk=ssd, gpu=yes.',
            ),
            (code, message),
        )
        self.assertIn('No valid backend was found.', self.refusal(service='volume', extra_specs={'trio2o:a': 'b'})[2])
        self.assertEqual([], self.bound())

    def test_top_region_is_not_chosen(self):
        self.add('RegionOne', '')
        self.assertNotIn('RegionOne', self.select())


class TestBinding(SchedulerTest):
    def setUp(self):
        super().setUp()
        for name, zone in (('A', 'az1'), ('B', 'az1'), ('C', 'az2')):
            self.add(name, zone)

    def test_binding_stays_when_older_pod_is_enabled(self):
        self.set('A', state='disabled')
        self.assertEqual(['B'], self.select('az1'))
        self.set('A', state='enabled')
        self.assertEqual(['B', 'A'], self.select('az1'))
        self.assertEqual(['B', 'A'], self.select('az1', 'volume'))
        self.assertEqual([('az1', 'B')], self.bound())

    def test_binding_moves_when_its_pod_is_dropped(self):
        self.select('az1')
        self.set('A', state='draining')
        self.assertEqual(['B'], self.select('az1'))
        self.assertEqual([('az1', 'B')], self.bound())
        history = bindings.list_(self.db)
        self.assertEqual(2, len(history))
        self.assertEqual(1, len([binding for binding in history if binding.ended_at]))

    def test_pod_is_deleted_and_next_one_is_bound(self):
        self.delete_unnoticed('A')
        self.assertEqual(['B'], self.select('az1'))
        self.assertEqual([('az1', 'B')], self.bound())

    def test_pod_to_move_to_is_deleted_and_next_one_is_bound(self):
        self.add('D', 'az1')
        self.select('az1')
        self.set('A', state='disabled')
        self.delete_unnoticed('B')
        self.assertEqual(['D'], self.select('az1'))
        self.assertEqual([('az1', 'D')], self.bound())

    def test_only_pod_of_zone_is_deleted_and_error_is_503(self):
        for name in ('A', 'B'):
            self.delete_unnoticed(name)
        self.assertRaises(exception.ServiceUnavailable, self.select, 'az1')

    def test_pod_that_accepted_request_is_deleted_and_moved_fails_quietly(self):
        self.select('az1')
        pod = self.registry.snapshot().by_id[self.ids['B']]
        self.delete_unnoticed('B')
        self.scheduler.moved(PodRequest('compute', 'project', 'az1'), pod)
        self.assertEqual([('az1', 'A')], self.bound())

    def test_each_zone_has_its_own_binding(self):
        self.select('az1')
        self.select('az2')
        self.assertEqual([('az1', 'A'), ('az2', 'C')], self.bound())
        self.assertEqual(['C'], self.select('az2'))

    def test_request_without_zone_goes_to_bound_pod(self):
        self.select('az2')
        self.assertEqual('C', self.select()[0])
        self.assertEqual([('az2', 'C')], self.bound())

    def test_each_affinity_group_has_its_own_binding(self):
        self.select('az1')
        self.add('G', 'az1', resource_affinity_tag={'gpu': 'yes'})
        self.assertEqual(['G'], self.select('az1', extra_specs={'trio2o:gpu': 'yes', 'hw:cpu_policy': 'shared'}))
        self.assertEqual(['A', 'B'], self.select('az1'))
        self.assertEqual(
            {('', self.ids['A']), ('gpu=yes', self.ids['G'])},
            {(binding.affinity_group, binding.pod_id) for binding in bindings.current(self.db, 'project')},
        )

    def test_manual_binding_is_used(self):
        bindings.create(self.db, tenant_id='project', pod_id=self.ids['B'])
        self.assertEqual(['B', 'A'], self.select('az1'))
        self.assertEqual([('', 'B')], self.bound())

    def test_manual_binding_overrides_automatic_one(self):
        self.select('az1')
        bindings.create(self.db, tenant_id='project', pod_id=self.ids['B'], az_name='az1')
        self.assertEqual('B', self.select('az1')[0])

    def test_exclusive_bindings_allow_no_other_pod_in_zone(self):
        self.add('D', 'az1')
        for name in ('B', 'D'):
            bindings.create(self.db, tenant_id='project', pod_id=self.ids[name], az_name='az1', is_exclusive=True)
        self.assertEqual(['B', 'D'], self.select('az1'))
        self.set('B', state='draining')
        self.assertEqual(['D'], self.select('az1'))
        self.set('D', state='draining')
        self.assertRaises(exception.ServiceUnavailable, self.select, 'az1')
        # Other zones and other projects are not affected.
        self.assertEqual(['C'], self.select('az2'))
        self.assertEqual(['A'], self.select('az1', project='other'))

    def test_manual_bindings_are_used_in_order(self):
        self.add('D', 'az1')
        for name in ('D', 'B'):
            bindings.create(self.db, tenant_id='project', pod_id=self.ids[name], az_name='az1')
        self.assertEqual(['D', 'B', 'A'], self.select('az1'))
        self.set('D', state='draining')
        self.assertEqual(['B', 'A'], self.select('az1'))
        self.set('B', state='draining')
        self.assertEqual(['A'], self.select('az1'))
        # The bindings are kept, and apply again when their pods are enabled.
        self.set('D', state='enabled')
        self.assertEqual(['D', 'A'], self.select('az1'))
        self.assertEqual([('az1', 'A'), ('az1', 'B'), ('az1', 'D')], self.bound())

    def test_moved_rebinds_project(self):
        request = PodRequest('compute', 'project', 'az1')
        views = self.scheduler.select(request)
        self.scheduler.moved(request, views[1])
        self.assertEqual([('az1', 'B')], self.bound())
        self.assertEqual('B', self.select('az1')[0])

    def test_bindings_of_other_projects_are_ignored(self):
        self.set('A', state='disabled')
        self.select('az1')
        self.set('A', state='enabled')
        self.assertEqual('A', self.select('az1', project='other')[0])


class TestPlugins(SchedulerTest):
    options = {'filters': 'all_pods', 'weighers': 'creation_time', 'weight_multipliers': 'creation_time:-1'}

    def test_only_configured_filters_and_weighers_are_used(self):
        for name, zone in (('A', 'az1'), ('B', 'az2')):
            self.add(name, zone)
        self.set('A', state='disabled')
        self.assertEqual(['B', 'A'], self.select('az1'))

    def test_value_cannot_be_read_and_error_says_so(self):
        for options, named in (
            ({'filters': 'state,nonsense'}, '[scheduler] filters: there is no nonsense'),
            ({'weighers': 'nonsense'}, '[scheduler] weighers: there is no nonsense'),
            ({'weight_multipliers': 'spread:2'}, 'spread is not among the weighers'),
            ({'weight_multipliers': 'binding:much'}, "'much' of binding is not a number"),
            ({'headroom': 'vcpu:much'}, "headroom of vcpu is 'much'"),
        ):
            conf = self.useFixture(ConfFixture(scheduler=options)).conf
            error = self.assertRaises(ValueError, Scheduler, conf, self.db, self.registry, self.breakers)
            self.assertIn(named, str(error))
