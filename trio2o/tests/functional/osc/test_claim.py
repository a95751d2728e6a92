# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o claim``."""

import uuid
from datetime import timedelta

from trio2o.db import quotas
from trio2o.db.database import utcnow
from trio2o.db.records import QuotaClaim
from trio2o.tests.functional.osc.base import CommandTestCase


class TestClaims(CommandTestCase):
    def claim(self, age=0, pod='Pod1', **more):
        made = utcnow() - timedelta(seconds=age)
        row = QuotaClaim(
            **{
                'id': str(uuid.uuid4()),
                'project_id': self.cloud.project_id('demo'),
                'user_id': 'u',
                'resources': {'instances': 1},
                'request_id': '',
                'pod_id': self.cloud.pod_ids[pod],
                'resource_type': 'server',
                'state': 'open',
                'created_at': made,
                'expires_at': made,
                **more,
            }
        )
        quotas.insert_claim(self.db, row, [])
        return row.id

    def test_list_is_filtered_and_paged(self):
        old, new = self.claim(1000), self.claim(pod='Pod2', request_id='req-1', resource_id='s1')
        listed = self.read('claim list')
        self.assertEqual([(old, 'Pod1'), (new, 'Pod2')], [(row['ID'], row['Pod']) for row in listed])
        self.assertEqual({'instances': 1}, listed[0]['Amounts'])
        self.assertEqual([old, new], self.names('claim list --project demo --state open --type server', 'ID'))
        self.assertEqual([old], self.names('claim list --older-than 60', 'ID'))
        for option in ('--pod Pod2', '--request req-1', '--resource s1', f'--marker {old}'):
            self.assertEqual([new], self.names(f'claim list {option}', 'ID'), option)
        self.assertEqual([new], self.names('claim list --sort created_at:desc --limit 1', 'ID'))
        self.assertIn('Request ID', self.read('claim list --long')[0])
        self.refused("'x' is not a whole number", 'claim list --older-than x')

    def test_claim_is_shown(self):
        claim_id = self.claim()
        shown = self.read(f'claim show {claim_id}')
        self.assertEqual((claim_id, 'Pod1', 'open'), (shown['id'], shown['pod_name'], shown['state']))
        self.refused('nope', 'claim show nope')

    def test_claims_are_ended_and_failures_named(self):
        old, new = self.claim(1000), self.claim()
        self.refused([f'{new}: ', 'may still be carried out', '1 of 2 done'], f'claim delete {old} {new}')
        self.assertEqual([new], [claim.id for claim in quotas.list_claims(self.db)])
        self.refused(old, f'claim delete {old}')
