# SPDX-License-Identifier: Apache-2.0
"""/v1.0/claims."""

import uuid
from datetime import timedelta

from trio2o.db import quotas
from trio2o.db.database import utcnow
from trio2o.db.records import QuotaClaim
from trio2o.tests.functional.admin_api.base import AdminApiTestCase


class TestClaims(AdminApiTestCase):
    def claim(self, age=0, project='p', pod='Pod1', state='unknown', **more):
        made = utcnow() - timedelta(seconds=age)
        row = QuotaClaim(
            **{
                'id': str(uuid.uuid4()),
                'project_id': project,
                'user_id': 'u',
                'resources': {'instances': 1},
                'request_id': '',
                'pod_id': self.cloud.pod_ids[pod],
                'resource_type': 'server',
                'state': state,
                'created_at': made,
                'expires_at': made,
                **more,
            }
        )
        quotas.insert_claim(self.db, row, [])
        return row.id

    def ids(self, query=''):
        return [claim['id'] for claim in self.assertAnswer(200, self.api.get(f'/claims{query}'))['claims']]

    def used(self, project='p'):
        row = quotas.usage(self.db, project).get('instances')
        return (row.in_use, row.claimed) if row is not None else (0, 0)

    def test_list_is_oldest_first_and_filtered(self):
        new = self.claim(10, project='q', pod='Pod2', request_id='req-1', resource_id='s1')
        old, oldest = self.claim(100, state='open'), self.claim(1000, state='watch')
        self.assertEqual([oldest, old, new], self.ids())
        pod_id = self.cloud.pod_ids['Pod2']
        for query in ('project_id=q', f'pod_id={pod_id}', 'state=unknown', 'request_id=req-1', 'resource_id=s1'):
            self.assertEqual([new], self.ids(f'?{query}'), query)
        self.assertEqual([oldest, old], self.ids('?older_than=60'))
        self.assertEqual([oldest], self.ids('?older_than=60&state=watch&resource_type=server'))
        self.assertEqual([], self.ids('?resource_type=volume'))
        for query in ('state=closed', 'older_than=-1', 'older_than=x', 'nope=1', 'sort=expires_at'):
            self.assertRefused(400, query.split('=')[0], self.api.get(f'/claims?{query}'))

    def test_pages_contain_each_claim_once(self):
        made = [self.claim(100 - number) for number in range(5)]
        seen, url = [], '/claims?limit=2&older_than=0'
        while url:
            answer = self.assertAnswer(200, self.api.get(url))
            seen += [claim['id'] for claim in answer['claims']]
            url = answer.json.get('claims_links', [{}])[0].get('href')
        self.assertEqual(made, seen)
        self.assertEqual(list(reversed(made)), self.ids('?sort=created_at:desc'))
        self.assertRefused(400, 'marker', self.api.get('/claims?marker=nope'))

    def test_claim_is_shown_and_unknown_one_is_404(self):
        claim_id = self.claim(request_id='req-1')
        shown = self.assertAnswer(200, self.api.get(f'/claims/{claim_id}'))['claim']
        wanted = (claim_id, 'p', self.cloud.pod_ids['Pod1'], 'unknown', {'instances': 1}, 'req-1')
        names = ('id', 'project_id', 'pod_id', 'state', 'resources', 'request_id')
        self.assertEqual(wanted, tuple(shown[name] for name in names))
        for method in ('GET', 'DELETE'):
            self.assertRefused(404, 'nope', self.api.request(method, '/claims/nope'))

    def test_ended_claim_releases_what_it_holds(self):
        claim_id, other = self.claim(1000), self.claim(1000)
        self.assertEqual((0, 2), self.used())
        self.assertEqual({}, self.assertAnswer(200, self.api.delete(f'/claims/{claim_id}')).json)
        self.assertEqual((0, 1), self.used())
        self.assertEqual([other], self.ids())
        self.assertRefused(404, claim_id, self.api.delete(f'/claims/{claim_id}'))
        self.assertEqual((0, 1), self.used())

    def test_claim_whose_request_may_be_carried_out_is_not_ended(self):
        for state in ('open', 'unknown', 'watch'):
            claim_id = self.claim(10, state=state)
            self.assertRefused(409, 'claim_seconds', self.api.delete(f'/claims/{claim_id}'))
        self.assertEqual((0, 3), self.used())

    def test_resource_of_ended_claim_is_counted_when_its_pod_answers(self):
        self.cloud.run_jobs()
        project = self.cloud.project_id('demo')
        claim_id = self.claim(1000, project=project)
        self.cloud.lab.add_servers('Pod1', 'demo', 1)
        self.assertAnswer(200, self.api.delete(f'/claims/{claim_id}'))
        self.assertEqual((0, 0), self.used(project))
        self.cloud.run_jobs()
        self.assertEqual((1, 0), self.used(project))
