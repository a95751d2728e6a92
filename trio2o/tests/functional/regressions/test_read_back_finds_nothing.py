# SPDX-License-Identifier: Apache-2.0
"""A write whose read-back finds nothing, or not all of the object, deletes neither of it in any pod.

Only a write that deletes the object does.
"""

from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.lab.emulated.faults import Alter, BalancerAnswers, DropAfter, Status
from trio2o.tests.functional.jobs.base import JobsCase

MISSING = Status(
    404,
    method='GET',
    body=b'{"itemNotFound": {"code": 404, "message": "Flavor could not be found."}}',
    headers=(('Content-Type', 'application/json'),),
)
FAULTS = (MISSING, *(BalancerAnswers(form, method='GET') for form in ('html', 'text', 'json', 'empty')))


class TestReadBackFindsNothing(JobsCase):
    def setUp(self):
        super().setUp()
        self.flavor_id = self.make_flavor()['id']

    def set_spec(self, value, status):
        path = f'/flavors/{self.flavor_id}/os-extra_specs'
        answer = self.cloud.nova.post(path, {'extra_specs': {'a': value}}, as_='admin')
        self.assertEqual(status, answer.status, answer.text)

    def run_record(self):
        """Run the job, with its retries. :returns: its final state"""
        for job in db_jobs.list_(self.cloud.runtime.db, filters={'type': 'record_write'}):
            db_jobs.redo(self.cloud.runtime.db, job.id)
        return [job for job in self.cloud.run_jobs() if job.type == 'record_write'][-1].state

    def assertKept(self, fault):
        self.assertFalse(replicas.get_object(self.cloud.runtime.db, 'flavor', self.flavor_id).is_deleted, fault)
        self.assertNotIn(None, self.flavors(self.flavor_id), fault)

    def assertSpecs(self, value):
        self.assertEqual(
            [value] * self.pods, [flavor['extra_specs'].get('a') for flavor in self.flavors(self.flavor_id)]
        )

    def test_write_that_was_answered_keeps_object_in_all_pods(self):
        for number, fault in enumerate(FAULTS):
            self.nova('Pod1').faults.add(fault)
            self.set_spec(str(number), 200)
            self.assertKept(fault)
            self.assertEqual('fail', self.run_record(), fault)
            self.assertKept(fault)
            self.nova('Pod1').faults.clear()
            self.assertEqual('success', self.run_record(), fault)
            self.assertSpecs(str(number))

    def test_write_that_was_not_answered_keeps_object_in_all_pods(self):
        for fault in FAULTS:
            self.nova('Pod1').faults.add(DropAfter(method='POST', times=1))
            self.set_spec('x', 504)
            self.nova('Pod1').faults.add(fault)
            self.assertEqual('fail', self.run_record(), fault)
            self.assertKept(fault)
            self.nova('Pod1').faults.clear()
            self.assertEqual('success', self.run_record(), fault)
            self.assertSpecs('x')

    def test_delete_of_flavor_deletes_it_in_all_pods(self):
        self.nova('Pod1').faults.add(DropAfter(method='DELETE', times=1))
        self.assertEqual(504, self.cloud.nova.delete(f'/flavors/{self.flavor_id}', as_='admin').status)
        self.assertEqual('success', self.run_record())
        self.assertEqual([None] * self.pods, self.flavors(self.flavor_id))

    def test_unanswered_create_that_did_nothing_leaves_nothing(self):
        self.nova('Pod1').faults.add(BalancerAnswers(method='POST', times=1))
        self.make_flavor(status=504, id='lost')
        self.assertEqual('success', self.run_record())
        self.assertEqual([None] * self.pods, self.flavors('lost'))


class TestReadBackLacksSpecs(JobsCase):
    """The first pod shows an object without its specs, as to a user that lost its role, and then with them."""

    SPECS = {'a': 'b'}

    def change(self, service, path, body, specs_name):
        """Change an object while the first pod hides its specs."""
        app, version = getattr(self.cloud.pod('Pod1'), service), '3.70' if service == 'cinder' else '2.96'
        app.faults.add(Alter(method='GET', hidden=(specs_name,)))
        answer = getattr(self.cloud, service).put(path, body, as_='admin', version=version)
        self.assertEqual(200, answer.status, answer.text)

    def run_record(self, service):
        getattr(self.cloud.pod('Pod1'), service).faults.clear()
        for job in db_jobs.list_(self.cloud.runtime.db, filters={'type': 'record_write'}):
            db_jobs.redo(self.cloud.runtime.db, job.id)
        self.cloud.run_jobs()

    def test_volume_type_keeps_specs(self):
        type_id = self.make_type(extra_specs=self.SPECS)['id']
        self.change('cinder', f'/types/{type_id}', {'volume_type': {'description': 'new'}}, 'extra_specs')
        self.assertEqual([self.SPECS] * self.pods, [each['extra_specs'] for each in self.types('gold')])
        self.run_record('cinder')
        found = [(each['extra_specs'], each['description']) for each in self.types('gold')]
        self.assertEqual([(self.SPECS, 'new')] * self.pods, found)

    def test_group_type_keeps_specs(self):
        body = {'group_type': {'name': 'silver', 'group_specs': self.SPECS}}
        made = self.cloud.cinder.post('/group_types', body, as_='admin', version='3.70')
        type_id = made['group_type']['id']
        self.change('cinder', f'/group_types/{type_id}', {'group_type': {'description': 'new'}}, 'group_specs')
        self.assertEqual([self.SPECS] * self.pods, [each['group_specs'] for each in self.group_types('silver')])
        self.run_record('cinder')
        found = [(each['group_specs'], each['description']) for each in self.group_types('silver')]
        self.assertEqual([(self.SPECS, 'new')] * self.pods, found)

    def group_types(self, name):
        pods = self.cloud.lab.pods.values()
        return [each for pod in pods for each in pod.cinder.group_types.values() if each['name'] == name]

    def test_flavor_keeps_specs(self):
        flavor_id = self.make_flavor()['id']
        self.cloud.nova.post(f'/flavors/{flavor_id}/os-extra_specs', {'extra_specs': self.SPECS}, as_='admin')
        self.change('nova', f'/flavors/{flavor_id}', {'flavor': {'description': 'new'}}, 'extra_specs')
        self.assertEqual([self.SPECS] * self.pods, [each['extra_specs'] for each in self.flavors(flavor_id)])
        self.run_record('nova')
        found = [(each['extra_specs'], each['description']) for each in self.flavors(flavor_id)]
        self.assertEqual([(self.SPECS, 'new')] * self.pods, found)
