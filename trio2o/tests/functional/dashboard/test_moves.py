# SPDX-License-Identifier: Apache-2.0
"""The page of moves: what it shows, and the forms that steer moves."""

import os

import fixtures

from trio2o.db import jobs as db_jobs
from trio2o.db import moves as db_moves
from trio2o.tests.fixtures.moves import ID, insert_move, new_move
from trio2o.tests.functional.dashboard.base import PageTestCase, Visitor

OTHER = ID.replace('1', '2')


class MovesPageCase(PageTestCase):
    def setUp(self):
        super().setUp()
        self.db = self.cloud.runtime.db
        self.cloud.api.get('/pods')

    def insert(self, move_id=ID, **fields):
        ids = self.cloud.pod_ids
        return insert_move(self.db, new_move(move_id, ids['Pod1'], ids['Pod2'], **fields))

    def steer(self, verb, move_id=ID, visitor=None, **more):
        visitor = visitor or self.visitor
        form = {'form': visitor.cookies.get('trio2o_form', ''), 'id': move_id, 'verb': verb}
        return visitor.post('/moves', {**form, **more}, follow=False)

    def buttons(self, answer):
        return [part.partition('"')[0] for part in answer.text.split('name="verb" value="')[1:]]


class TestPage(MovesPageCase):
    def test_moves_under_way_are_shown_with_progress_and_error(self):
        self.insert(steps_done=3, steps_total=12, step='switch', hold='stuck', error='switch: <b>why</b>')
        self.insert(OTHER, resource_id='vol', name='data', state='confirmed')
        self.visitor.sign_in()
        answer = self.visitor.get('/moves')
        text = self.shown(answer)
        for words in ('server web', 'Pod1 to Pod2, zone az2', 'stuck', '25 %', '&lt;b&gt;why', 'of project p'):
            self.assertIn(words, text)
        self.assertIn('<rect class="critical" width="25"', answer.text)
        self.assertNotIn('data', text)
        ended = self.shown(self.visitor.get('/moves?active=false'))
        self.assertIn('data', ended)
        self.assertIn('confirmed', ended)
        self.assertNotIn('stuck', ended)

    def test_buttons_are_those_that_state_allows(self):
        self.insert()
        self.visitor.sign_in()
        for fields, verbs in (
            ({}, ['pause', 'cancel', 'abandon']),
            ({'hold': 'stuck'}, ['resume', 'cancel', 'abandon']),
            ({'state': 'switched'}, ['pause', 'confirm', 'revert', 'abandon']),
            ({'state': 'switched', 'wish': 'confirm'}, ['pause', 'confirm', 'abandon']),
            ({'is_forward': False, 'hold': ''}, ['pause', 'abandon']),
        ):
            db_moves.update(self.db, ID, **{'hold': '', 'state': 'planned', 'wish': '', **fields})
            self.assertEqual(verbs, self.buttons(self.visitor.get('/moves')), fields)
        db_moves.abandon(self.db, ID)
        self.assertEqual(['sweep'], self.buttons(self.visitor.get('/moves?active=false')))
        db_moves.swept(self.db, ID)
        self.assertEqual([], self.buttons(self.visitor.get('/moves?active=false')))

    def test_more_moves_are_on_next_page(self):
        for number in range(51):
            self.insert(f'{number:08}-1111-1111-1111-111111111111', name=f'web{number}')
        self.visitor.sign_in()
        first = self.visitor.get('/moves')
        self.assertEqual(50, first.text.count('<article'))
        link = first.text.split('class="next"><a href="/dashboard')[1].partition('"')[0].replace('&amp;', '&')
        self.assertEqual(1, self.visitor.get(link).text.count('<article'))

    def test_no_moves_and_odd_filters(self):
        self.visitor.sign_in()
        self.assertIn('There are none.', self.shown(self.visitor.get('/moves')))
        self.assertEqual(400, self.visitor.get('/moves?active=odd').status)
        self.assertEqual(400, self.visitor.get('/moves?marker=nope').status)


class TestForms(MovesPageCase):
    def test_each_verb_steers_the_move_and_leads_back(self):
        self.insert()
        self.visitor.sign_in()
        for state, verb, status in (
            ('planned', 'pause', 'paused'),
            ('planned', 'resume', 'planned'),
            ('planned', 'cancel', 'cancelling'),
        ):
            answer = self.steer(verb)
            self.assertEqual((303, '/dashboard/moves'), (answer.status, answer.headers['Location']), verb)
            move = db_moves.get(self.db, ID)
            self.assertEqual((state, status), (move.state, move.status), verb)
        for number, (verb, status) in enumerate((('confirm', 'confirming'), ('revert', 'cancelling'))):
            move_id = ID.replace('1', str(number + 3))
            self.insert(move_id, state='switched')
            self.assertEqual(303, self.steer(verb, move_id).status)
            self.assertEqual(status, db_moves.get(self.db, move_id).status)
        self.assertEqual({'run_move'}, {job.type for job in db_jobs.list_(self.db) if job.payload.get('move_id')})

    def test_forms_of_other_sites_are_refused(self):
        self.insert()
        self.visitor.sign_in()
        secret = self.visitor.cookies['trio2o_form']
        for more in ({'form': ''}, {'form': 'x' * 43}):
            self.assertEqual(403, self.steer('pause', **more).status)
        for headers in ({'Sec-Fetch-Site': 'cross-site'}, {'Origin': 'http://elsewhere.test'}):
            form = {'form': secret, 'id': ID, 'verb': 'pause'}
            self.assertEqual(403, self.visitor.post('/moves', form, headers=headers, follow=False).status)
        self.assertEqual('planned', db_moves.get(self.db, ID).status)

    def test_refusals_are_shown(self):
        self.insert()
        self.visitor.sign_in()
        answer = self.steer('confirm')
        self.assertEqual(409, answer.status)
        self.assertIn('it has not switched', self.shown(answer))
        self.assertEqual(404, self.steer('pause', OTHER).status)
        for verb, move_id in (
            ('delete', ID),
            ('', ID),
            ('pause', ''),
            ('pause', '../pods'),
            ('pause', 'x/../../pods'),
        ):
            self.assertEqual(400, self.steer(verb, move_id).status, (verb, move_id))
        self.assertEqual('planned', db_moves.get(self.db, ID).status)

    def test_user_without_role_steers_nothing(self):
        self.insert()
        visitor = Visitor(self.cloud.api)
        visitor.get('/login')
        answer = self.steer('pause', visitor=visitor)
        self.assertEqual((303, '/dashboard/login'), (answer.status, answer.headers['Location']))
        visitor.sign_in('demo', project='demo')
        answer = self.steer('pause', visitor=visitor)
        self.assertEqual(403, answer.status)
        self.assertIn('You are not allowed to do this', self.shown(answer))
        self.assertEqual('planned', db_moves.get(self.db, ID).status)


class TestOtherRoles(MovesPageCase):
    """The policy lets readers of a project see all moves, and members steer those of their project."""

    def setUp(self):
        self.rules = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(self.rules, 'w') as file:
            file.write('"api:moves.list": "role:reader and not role:member"\n"api:moves.own": "role:member"\n')
        self.options = {'oslo_policy': {'policy_file': self.rules}}
        super().setUp()

    def test_reader_sees_pods_and_no_buttons(self):
        self.insert()
        self.visitor.sign_in('reader', project='demo')
        answer = self.visitor.get('/moves')
        self.assertIn('Pod1 to Pod2', self.shown(answer))
        self.assertEqual([], self.buttons(answer))

    def test_member_steers_own_moves_and_sees_no_pods(self):
        self.insert(project_id=self.cloud.project_id('demo'))
        self.insert(OTHER, resource_id='other', name='theirs')
        self.visitor.sign_in('demo', project='demo')
        answer = self.visitor.get('/moves')
        self.assertEqual(['pause', 'cancel'], self.buttons(answer))
        self.assertNotIn('Pod', answer.text.replace('>Pods<', ''))
        self.assertNotIn('theirs', answer.text)
        self.assertEqual(303, self.steer('pause').status)
        self.assertEqual('paused', db_moves.get(self.db, ID).status)
        self.assertEqual(404, self.steer('pause', OTHER).status)
