# SPDX-License-Identifier: Apache-2.0
"""Resources of a project that Keystone has deleted are deleted in all pods, and no others."""

from trio2o.db import bindings, quotas, replicas, routings
from trio2o.lab.emulated.faults import BalancerAnswers, Refusal, Status
from trio2o.tests.functional.jobs.base import JobsCase

GONE = 'f00d' * 8


class EmptyProjectCase(JobsCase):
    def setUp(self):
        super().setUp()
        self.kept = self.cloud.lab.add_servers('Pod1', 'demo')
        self.cloud.lab.add_volumes('Pod2', 'alt')
        for pod in ('Pod1', 'Pod2'):
            for server in self.cloud.lab.add_servers(pod, 'gone', 3):
                server['project_id'] = GONE
            for volume in self.cloud.lab.add_volumes(pod, 'gone', 2):
                volume['project_id'] = GONE
        # The lab created the project together with the resources.
        self.cloud.lab.keystone.projects.pop('gone', None)
        for pod_id in self.cloud.pod_ids.values():
            self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, 'is_full': True})
        self.cloud.run_jobs()

    def order(self, project_id=GONE, status=202, **options):
        answer = self.cloud.api.post(f'/projects/{project_id}/empty', options)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def run_it(self, state='success', **options):
        job_id = self.order(**options)['job']['id']
        self.cloud.run_jobs()
        job = self.cloud.api.get(f'/jobs/{job_id}')['job']
        self.assertEqual(state, job['state'], job['error'])
        return job

    def left(self):
        """Ids of the resources of the project that the pods still have."""
        found = []
        for pod in self.cloud.lab.pods.values():
            for each in [*pod.nova.servers.values(), *pod.cinder.volumes.values(), *pod.cinder.snapshots.values()]:
                if each['project_id'] == GONE and not each.get('deleted') and each.get('vm_state') != 'deleted':
                    found.append(each['id'])
        return found


class TestLimits(EmptyProjectCase):
    """Limits of a project that Keystone has deleted. Nova looks the project up in Keystone."""

    def setUp(self):
        super().setUp()
        self.set_limits(GONE)

    def set_limits(self, project_id):
        for client, limits in (
            (self.cloud.nova, {'metadata_items': 5, 'instances': 7}),
            (self.cloud.cinder, {'gigabytes': 9}),
        ):
            answer = client.put(f'/os-quota-sets/{project_id}', {'quota_set': limits}, as_='admin')
            self.assertEqual(200, answer.status, answer.text)

    def refuse_project(self, project_id):
        body = f'{{"badRequest": {{"code": 400, "message": "Project ID {project_id} is not a valid project."}}}}'
        headers = (('Content-Type', 'application/json'),)
        for pod in ('Pod1', 'Pod2'):
            self.nova(pod).faults.add(Status(400, body.encode(), headers, path=f'os-quota-sets/{project_id}'))

    def wanted(self, project_id=GONE):
        db = self.cloud.runtime.db
        return [replicas.find_wanted(db, kind, project_id) for kind in ('quota_set', 'volume_quota')]

    def test_pod_refuses_limits_of_deleted_project_and_they_are_dropped(self):
        self.refuse_project(GONE)
        for pod in ('Pod1', 'Pod2'):
            self.repair(pod)
        self.assertIsNone(self.wanted()[0])
        self.cloud.run_jobs()
        self.assertEqual([], self.out_of_sync('Pod1') + self.out_of_sync('Pod2'))

    def test_pod_refuses_limits_of_existing_project_and_they_stay(self):
        project_id = self.cloud.project_id()
        self.set_limits(project_id)
        self.refuse_project(project_id)
        self.assertEqual(1, self.repair('Pod1').failed)
        self.assertNotIn(None, self.wanted(project_id))

    def test_keystone_does_not_answer_itself_and_limits_stay(self):
        self.refuse_project(GONE)
        self.cloud.lab.keystone.faults.add(BalancerAnswers('json', path='/v3/projects'))
        self.repair('Pod1')
        self.assertNotIn(None, self.wanted())
        self.cloud.lab.keystone.faults.clear()
        self.repair('Pod1')
        self.assertIsNone(self.wanted()[0])

    def test_emptied_project_has_no_limits(self):
        self.assertEqual(
            {'instances': 7, 'gigabytes': 9}, quotas.get_limits(self.cloud.runtime.db, [GONE]).of[GONE, '']
        )
        self.run_it()
        self.assertEqual([None, None], self.wanted())
        self.assertEqual({}, quotas.get_limits(self.cloud.runtime.db, [GONE]).of)
        self.assertNotIn(GONE, self.nova('Pod1').quota_sets)

    def test_404_of_balancer_in_front_of_keystone_empties_no_project(self):
        for form in ('html', 'json', 'empty'):
            self.cloud.lab.keystone.faults.add(BalancerAnswers(form, path='/v3/projects'))
            self.order(status=503)
            self.cloud.runtime.jobs.submit('empty_project', GONE, {'project_id': GONE})
            self.cloud.run_jobs()
            self.cloud.lab.keystone.faults.clear()
        self.assertEqual(10, len(self.left()))


class TestEmptyProject(EmptyProjectCase):
    def test_resources_of_project_are_deleted_and_no_others(self):
        job = self.run_it()
        self.assertEqual([], self.left())
        self.assertEqual({'servers': 3, 'volumes': 2}, job['result']['deleted']['Pod1'])
        self.assertIn(self.kept[0]['id'], self.nova('Pod1').servers)
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.kept[0]["id"]}').status)
        db = self.cloud.runtime.db
        live = routings.list_(db, filters={'project_id': GONE, 'state': 'active'})
        self.assertEqual([], live)
        self.assertEqual([], bindings.current(db, GONE))

    def test_snapshots_are_deleted_before_volumes(self):
        """Snapshots are deleted before their volumes, which pods would refuse to delete."""
        cinder = self.cloud.direct('Pod1', 'cinder')
        volume_id = next(each['id'] for each in self.cinder('Pod1').volumes.values() if each['project_id'] == GONE)
        made = cinder.post('/snapshots', {'snapshot': {'volume_id': volume_id}}, as_='admin')
        self.assertEqual(202, made.status, made.text)
        self.cinder('Pod1').snapshots[made['snapshot']['id']]['project_id'] = GONE
        job = self.run_it()
        self.assertEqual(1, job['result']['deleted']['Pod1']['snapshots'])
        self.assertEqual([], self.left())

    def test_dry_run_lists_and_deletes_nothing(self):
        left = self.left()
        self.cloud.lab.clear_logs()
        job = self.run_it(dry_run=True)
        self.assertEqual(3, len(job['result']['found']['Pod2']['servers']))
        self.assertEqual(left, self.left())
        self.assertEqual([], [each.path for each in self.nova('Pod1').requests if each.method != 'GET'])

    def test_existing_project_is_refused_with_409(self):
        answer = self.order(self.cloud.project_id('demo'), status=409)
        self.assertIn('Keystone still has', answer.text)
        self.assertEqual([], self.jobs())

    def test_project_exists_again_and_job_fails(self):
        job_id = self.order()['job']['id']
        self.cloud.lab.keystone.projects['back'] = GONE
        self.cloud.run_jobs()
        job = self.cloud.api.get(f'/jobs/{job_id}')['job']
        self.assertEqual('fail', job['state'])
        self.assertIn('still has the project', job['error'])
        self.assertEqual(10, len(self.left()))

    def test_keystone_refuses_and_request_is_503(self):
        self.cloud.lab.keystone.faults.add(Status(403, path='/projects/'))
        self.order(status=503)

    def test_pod_refuses_and_result_names_resources_left(self):
        self.cinder('Pod2').faults.add(Refusal(400, path='/volumes/', method='DELETE'))
        job = self.run_it('fail')
        self.assertIn('Pod2', job['error'])
        self.assertEqual(2, len(job['result']['left']['Pod2']['volumes']))
        self.assertEqual(2, len(self.left()))

    def test_resources_shown_with_other_project_are_kept(self):
        """A resource is deleted only if the pod shows it with the project, whatever the filter of the pod returns."""
        self.nova('Pod1').servers[self.kept[0]['id']]['name'] = 'kept'
        for server in self.nova('Pod1').servers.values():
            if server['name'] != 'kept':
                server['project_id'] = self.cloud.project_id('alt')
        self.run_it()
        self.assertEqual(4, len([each for each in self.nova('Pod1').servers.values() if not each['deleted']]))

    def test_pod_is_in_maintenance_and_job_fails(self):
        self.cloud.set_pod('Pod2', state='maintenance')
        job = self.run_it('fail')
        self.assertIn('Pod2', job['error'])
        self.assertEqual(5, len(self.left()))

    def test_pod_fails_once_and_second_attempt_deletes_the_rest(self):
        job_id = self.order()['job']['id']
        self.nova('Pod2').faults.add(Status(503, method='DELETE', path='/servers', times=1, after=1))
        self.cloud.run_jobs()
        job = self.cloud.api.get(f'/jobs/{job_id}')['job']
        self.assertEqual(('success', 2), (job['state'], job['attempts']), job['error'])
        self.assertEqual([], self.left())

    def test_request_is_refused_to_members_and_readers(self):
        for user in ('demo', 'reader'):
            self.assertEqual(403, self.cloud.api.post(f'/projects/{GONE}/empty', as_=user).status)

    def test_invalid_body_is_422_and_invalid_project_404(self):
        self.assertEqual(422, self.cloud.api.post(f'/projects/{GONE}/empty', {'dry_run': 1}).status)
        self.assertEqual(404, self.cloud.api.post(f'/projects/{"x" * 65}/empty').status)
