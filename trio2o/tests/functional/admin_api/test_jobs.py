# SPDX-License-Identifier: Apache-2.0
"""/v1.0/jobs, /replicas and /usages."""

from trio2o.db import jobs, pod_usages, replicas
from trio2o.tests.functional.admin_api.base import AdminApiTestCase


class TestJobs(AdminApiTestCase):
    registers = False

    def submit(self, type='sync_pod', key='k', **more):
        return jobs.submit(self.db, type, key, {'n': 1}, **more)

    def test_list_is_newest_first_filtered_and_paged(self):
        made = [self.submit(key=f'k{number}', request_id=f'r{number}') for number in range(3)]
        listed = self.assertAnswer(200, self.api.get('/jobs'))['jobs']
        self.assertEqual([job.id for job in reversed(made)], [job['id'] for job in listed])
        for query in ({'resource_key': 'k1'}, {'request_id': 'r1'}):
            self.assertEqual([made[1].id], [job['id'] for job in self.api.get('/jobs', query=query)['jobs']])
        self.assertEqual([], self.api.get('/jobs?state=fail')['jobs'])
        page = self.api.get('/jobs?limit=2&type=sync_pod')
        rest = self.api.get(page['jobs_links'][0]['href'])
        self.assertEqual([made[0].id], [job['id'] for job in rest['jobs']])
        self.assertRefused(400, 'state', self.api.get('/jobs?state=asleep'))

    def test_job_is_shown_with_history(self):
        job = self.submit()
        self.api.post(f'/jobs/{job.id}/cancel')
        shown = self.assertAnswer(200, self.api.get(f'/jobs/{job.id}'))['job']
        self.assertEqual('cancelled', shown['state'])
        self.assertEqual('cancelled', shown['history'][-1]['state'])

    def test_cancelled_job_is_redone(self):
        job = self.submit()
        self.assertEqual('cancelled', self.assertAnswer(202, self.api.post(f'/jobs/{job.id}/cancel'))['job']['state'])
        again = self.assertAnswer(202, self.api.post(f'/jobs/{job.id}/redo'))['job']
        self.assertEqual((job.id, 'new'), (again['id'], again['state']))

    def test_running_job_is_asked_to_cancel_and_ended_one_is_409(self):
        job = self.submit()
        jobs.claim_id(self.db, job.id, 'me', 60)
        answer = self.assertAnswer(202, self.api.post(f'/jobs/{job.id}/cancel'))
        self.assertTrue(answer['job']['is_cancel_wanted'])
        jobs.finish(self.db, job.id, 'me', 'success')
        other = self.submit(key='other')
        jobs.claim_id(self.db, other.id, 'me', 60)
        jobs.finish(self.db, other.id, 'me', 'success')
        self.assertRefused(409, 'success', self.api.post(f'/jobs/{other.id}/cancel'))

    def test_unknown_job_is_404(self):
        for method, path in (('GET', ''), ('POST', '/redo'), ('POST', '/cancel')):
            self.assertRefused(404, 'nope', self.api.request(method, f'/jobs/nope{path}'))


class TestReplicas(AdminApiTestCase):
    def test_replicas_out_of_sync_are_listed_and_counted_by_pod(self):
        flavor = replicas.upsert_object(self.db, 'flavor', 'f1', {'ram': 1}, 'f1')
        pod1, pod2 = self.cloud.pod_ids['Pod1'], self.cloud.pod_ids['Pod2']
        replicas.set_replica(self.db, flavor.id, pod1, bottom_id='f1', generation=1, state='in_sync')
        replicas.set_replica(self.db, flavor.id, pod2, generation=0, state='failed', error='no room')
        answer = self.assertAnswer(200, self.api.get('/replicas'))
        (replica,) = answer['replicas']
        self.assertEqual(
            ('Pod2', 'flavor', 'f1', 'failed', 'no room', 1),
            tuple(replica[name] for name in ('pod_name', 'kind', 'key', 'state', 'error', 'attempts')),
        )
        self.assertEqual([('Pod1', 0), ('Pod2', 1)], [(pod['pod_name'], pod['out_of_sync']) for pod in answer['pods']])
        self.assertEqual([], self.api.get('/replicas', query={'pod_id': pod1})['replicas'])
        self.assertEqual([], self.api.get('/replicas?kind=keypair')['replicas'])

    def test_pages_contain_each_replica_once(self):
        for number in range(3):
            replicas.upsert_object(self.db, 'flavor', f'f{number}', {}, f'f{number}')
        seen, url = [], '/replicas?limit=4'
        while url:
            answer = self.assertAnswer(200, self.api.get(url))
            seen += [(replica['pod_name'], replica['key']) for replica in answer['replicas']]
            url = answer.json.get('replicas_links', [{}])[0].get('href')
        self.assertEqual([(pod, f'f{number}') for pod in ('Pod1', 'Pod2') for number in range(3)], seen)
        self.assertRefused(400, 'marker', self.api.get('/replicas?marker=nope'))

    def test_usages_are_listed_by_service(self):
        pod_usages.set_(self.db, self.cloud.pod_ids['Pod1'], 'compute', {'vcpus': 8})
        (usage,) = self.assertAnswer(200, self.api.get('/usages'))['usages']
        self.assertEqual(('Pod1', 'compute', {'vcpus': 8}), (usage['pod_name'], usage['service'], usage['data']))
        self.assertEqual([], self.api.get('/usages?service=volume')['usages'])
