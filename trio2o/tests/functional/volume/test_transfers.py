# SPDX-License-Identifier: Apache-2.0
"""Transfers between two projects, under both paths."""

import dataclasses

from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.lab.emulated.clock import SetClock
from trio2o.lab.emulated.faults import BalancerAnswers, DropAfter, Status, StatusAfter
from trio2o.tests.functional.operations.base import ConversationTest, ids


class TestTransfers(ConversationTest):
    paths = ('/volume-transfers', '/os-volume-transfer')

    def make(self, pod, path='/volume-transfers', **given):
        volume_id = self.cloud.lab.add_volumes(pod, 'demo')[0]['id']
        answer = self.cinder.post(path, {'transfer': {'volume_id': volume_id, **given}}, version='3.55')
        self.assertEqual(202, answer.status, answer.text)
        return answer['transfer']

    def accept(self, transfer, path='/volume-transfers', **kwargs):
        body = {'accept': {'auth_key': transfer['auth_key']}}
        return self.cinder.post(f'{path}/{transfer["id"]}/accept', body, as_='alt', **kwargs)

    def owner(self, resource_type, top_id):
        return routings.get(self.cloud.runtime.db, resource_type, top_id).project_id

    def test_accepted_transfer_moves_volume_to_other_project(self):
        for path in self.paths:
            transfer = self.make('Pod2', path)
            self.assertEqual('Pod2', self.pod_of('transfer', transfer['id']))
            self.assertEqual(404, self.cinder.get(f'{path}/{transfer["id"]}', as_='alt').status)
            answer = self.accept(transfer, path)
            self.assertEqual(202, answer.status, answer.text)
            volume_id = transfer['volume_id']
            self.assertEqual(self.cloud.project_id('alt'), self.owner('volume', volume_id))
            self.assertEqual(200, self.cinder.get(f'/volumes/{volume_id}', as_='alt').status)
            self.assertEqual(404, self.cinder.get(f'/volumes/{volume_id}').status)
            self.assertEqual('Pod2', self.pod_of('volume', volume_id))
            self.assertEqual(404, self.cinder.get(f'{path}/{transfer["id"]}').status)

    def test_snapshots_move_with_volume_unless_excluded(self):
        for no_snapshots, owner in ((False, 'alt'), (True, 'demo')):
            volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
            answer = self.cinder.post('/snapshots', {'snapshot': {'volume_id': volume_id}})
            snapshot_id = answer['snapshot']['id']
            body = {'transfer': {'volume_id': volume_id, 'no_snapshots': no_snapshots}}
            transfer = self.cinder.post('/volume-transfers', body, version='3.55')['transfer']
            self.assertEqual(202, self.accept(transfer, version='3.55').status)
            self.assertEqual(self.cloud.project_id(owner), self.owner('snapshot', snapshot_id))
            self.assertEqual(200, self.cinder.get(f'/snapshots/{snapshot_id}', as_=owner).status)

    def test_transfer_with_unknown_outcome_is_504_and_owner_is_found_out(self):
        for fault in (DropAfter(), StatusAfter(504), StatusAfter(502), BalancerAnswers('json', 500, True)):
            for is_recorded in (True, False):
                transfer = self.make('Pod1')
                if not is_recorded:
                    self.forget(transfer)
                self.break_pod('Pod1', dataclasses.replace(fault, method='POST'))
                self.assert_own_words(self.accept(transfer), 504)
                self.cloud.pod('Pod1').cinder.faults.clear()
                self.cloud.run_jobs()
                self.assertEqual(self.cloud.project_id('alt'), self.owner('volume', transfer['volume_id']), fault)
                self.assertEqual(200, self.cinder.get(f'/volumes/{transfer["volume_id"]}', as_='alt').status)

    def test_transfer_that_was_not_accepted_leaves_the_owner(self):
        transfer = self.make('Pod1')
        self.break_pod('Pod1', Status(504, method='POST'))
        self.assertEqual(504, self.accept(transfer).status)
        self.cloud.pod('Pod1').cinder.faults.clear()
        self.cloud.run_jobs()
        self.assertEqual(self.cloud.project_id('demo'), self.owner('volume', transfer['volume_id']))
        self.assertEqual(202, self.accept(transfer).status)

    def forget(self, transfer):
        runtime = self.cloud.runtime
        routings.delete(runtime.db, routings.get(runtime.db, 'transfer', transfer['id']).id)
        runtime.locator.forget('transfer', transfer['id'])

    def test_unrecorded_transfer_is_accepted(self):
        transfer = self.make('Pod2')
        self.forget(transfer)
        self.assertEqual(202, self.accept(transfer).status)
        self.assertEqual(self.cloud.project_id('alt'), self.owner('volume', transfer['volume_id']))

    def test_wrong_key_is_400_and_unknown_transfer_404(self):
        transfer = self.make('Pod2')
        self.assertEqual(400, self.accept({**transfer, 'auth_key': 'wrong'}).status)
        self.assertEqual(self.cloud.project_id('demo'), self.owner('volume', transfer['volume_id']))
        transfer['id'] = '0f0a2c5e-8a0d-4a7e-9d0f-6f6a1e0a9c3d'
        self.assertEqual(404, self.accept(transfer).status)

    def test_lists_are_sorted_and_paged_by_version(self):
        made = []
        clock = SetClock(utcnow())
        for name in self.pods:
            self.cloud.pod(name).cinder.clock = clock
        for pod in ('Pod1', 'Pod2', 'Pod1'):
            made.append(self.make(pod)['id'])
            clock.advance(1)
        for path in self.paths:
            answer = self.cinder.get(path)
            self.assertEqual(made, ids(answer['transfers']))
            self.assertEqual({'id', 'name', 'volume_id', 'links'}, set(answer['transfers'][0]))
            self.assertEqual([], self.cinder.get(f'{path}?limit=1')['transfers'])
        newest_first = made[::-1]
        answer = self.cinder.get('/volume-transfers/detail?limit=2', version='3.59')
        self.assertEqual(newest_first[:2], ids(answer['transfers']))
        self.assertIn('transfers_links', answer.json)
        answer = self.cinder.get(f'/volume-transfers?limit=2&marker={newest_first[1]}', version='3.59')
        self.assertEqual(newest_first[2:], ids(answer['transfers']))

    def test_deleted_transfer_leaves_volume_available(self):
        transfer = self.make('Pod2')
        self.assertEqual(202, self.cinder.delete(f'/volume-transfers/{transfer["id"]}').status)
        answer = self.cinder.get(f'/volumes/{transfer["volume_id"]}')
        self.assertEqual('available', answer['volume']['status'])
