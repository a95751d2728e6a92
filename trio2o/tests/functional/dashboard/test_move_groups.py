# SPDX-License-Identifier: Apache-2.0
"""The pages of groups of moves: what they show, and the forms that steer groups."""

import os

import fixtures

from trio2o.db import move_groups
from trio2o.tests.fixtures.moves import ID, insert_group
from trio2o.tests.functional.dashboard.base import PageTestCase, Visitor


class GroupPagesCase(PageTestCase):
    def setUp(self):
        super().setUp()
        self.db = self.cloud.runtime.db
        self.cloud.api.get('/pods')

    def drain(self, members=(), states=(), pod='Pod1', **given):
        """Insert a drain. :returns: its id"""
        return insert_group(self.db, 'drain', members, states, source_pod_id=self.cloud.pod_ids[pod], **given).id

    def steer(self, verb, group_id, visitor=None, headers=(), **more):
        visitor = visitor or self.visitor
        form = {'form': visitor.cookies.get('trio2o_form', ''), 'id': group_id, 'verb': verb, **more}
        return visitor.post('/move-groups', form, follow=False, headers=headers)

    def buttons(self, answer):
        return [part.partition('"')[0] for part in answer.text.split('name="verb" value="')[1:]]

    def status(self, group_id):
        return move_groups.get(self.db, group_id).status


class TestPages(GroupPagesCase):
    def test_groups_under_way_are_listed_with_progress_counts_and_reason(self):
        fields = {'hold': 'paused', 'reason': 'Too <b>many</b>', 'percent': 50}
        group = self.drain(list('abcd'), ['moved', 'failed', 'moving'], **fields)
        ended = insert_group(self.db, 'application', ['e'], ['moved'], name='shop').id
        move_groups.settle(self.db, ended)
        self.visitor.sign_in()
        answer = self.visitor.get('/move-groups')
        text = self.shown(answer)
        for words in ('drain of Pod1', 'paused', '1 waiting, 1 moving, 1 moved, 1 failed', '50 %', '&lt;b&gt;many'):
            self.assertIn(words, text)
        self.assertIn('<rect class="warning" width="50"', answer.text)
        self.assertIn(f'href="/dashboard/move-groups/{group}"', answer.text)
        self.assertNotIn('shop', text)
        text = self.shown(self.visitor.get('/move-groups?active=false'))
        self.assertIn('application shop', text)
        self.assertNotIn('drain', text)

    def test_members_of_a_group_are_listed_by_state_and_in_pages(self):
        servers = [f'{number:02}' for number in range(52)]
        group = self.drain(servers, ['refused', 'failed'], targets=(self.cloud.pod_ids['Pod2'],), window='22:00-06:00')
        self.visitor.sign_in()
        first = self.visitor.get(f'/move-groups/{group}')
        text = self.shown(first)
        for words in ('drain of Pod1', 'to Pod2', '22:00-06:00 UTC', '1 first, then all', '50 waiting', 'name-00'):
            self.assertIn(words, text)
        self.assertIn('refused: &lt;i&gt;why&lt;/i&gt;', text)
        self.assertEqual(50, first.text.count('<tr><td>'))
        link = first.text.split('class="next"><a href="/dashboard')[1].partition('"')[0].replace('&amp;', '&')
        self.assertEqual(2, self.visitor.get(link).text.count('<tr><td>'))
        text = self.shown(self.visitor.get(f'/move-groups/{group}?state=failed'))
        self.assertIn('name-01', text)
        self.assertNotIn('name-00', text)

    def test_page_of_a_pod_links_to_its_latest_drain(self):
        pod_id = self.cloud.pod_ids['Pod1']
        self.visitor.sign_in()
        self.assertNotIn('Drain by moves', self.visitor.get(f'/pods/{pod_id}').text)
        self.drain(['b'], ['failed'])
        group = self.drain(['a'], ['refused'])
        self.drain(pod='Pod2')
        answer = self.visitor.get(f'/pods/{pod_id}')
        self.assertIn(f'<a href="/dashboard/move-groups/{group}">running, 1 refused</a>', answer.text)
        self.assertEqual(1, answer.text.count('/dashboard/move-groups/'))

    def test_no_groups_and_odd_addresses(self):
        group = self.drain()
        self.visitor.sign_in()
        self.assertIn('There are none.', self.shown(self.visitor.get('/move-groups?kind=rebalance')))
        self.assertIn('no members', self.shown(self.visitor.get(f'/move-groups/{group}')))
        for path, status in (
            ('?active=odd', 400),
            ('?kind=odd', 400),
            ('?marker=nope', 400),
            (f'/{group}?state=odd', 400),
            (f'/{group}?marker=x', 400),
            (f'/{ID}', 404),
            ('/nope', 404),
            ('/..%2fpods', 404),
            (f'/{group}/members', 404),
        ):
            self.assertEqual(status, self.visitor.get(f'/move-groups{path}').status, path)


class TestForms(GroupPagesCase):
    def test_each_verb_steers_the_group_and_leads_to_its_page(self):
        group = self.drain(['a'], ['switched'])
        self.visitor.sign_in()
        for verb, status in (
            ('pause', 'paused'),
            ('resume', 'running'),
            ('confirm', 'running'),
            ('cancel', 'cancelling'),
        ):
            self.assertIn(verb, self.buttons(self.visitor.get(f'/move-groups/{group}')))
            answer = self.steer(verb, group)
            location = f'/dashboard/move-groups/{group}'
            self.assertEqual((303, location, status), (answer.status, answer.headers['Location'], self.status(group)))
        self.assertIsNotNone(move_groups.get(self.db, group).confirm_at)
        other = self.drain(['b'], ['switched'], pod='Pod2')
        self.assertEqual((303, 'reverting'), (self.steer('revert', other).status, self.status(other)))

    def test_forms_of_other_sites_are_refused(self):
        group = self.drain()
        self.visitor.sign_in()
        for more in ({'form': ''}, {'form': 'x' * 43}):
            self.assertEqual(403, self.steer('pause', group, **more).status)
        for headers in ({'Sec-Fetch-Site': 'cross-site'}, {'Origin': 'http://elsewhere.test'}):
            self.assertEqual(403, self.steer('pause', group, headers=headers).status)
        form = {'form': self.visitor.cookies['trio2o_form'], 'id': group, 'verb': 'pause'}
        self.assertEqual(405, self.visitor.post(f'/move-groups/{group}', form, follow=False).status)
        self.assertEqual('running', self.status(group))

    def test_refusals_are_shown(self):
        group = self.drain()
        self.visitor.sign_in()
        answer = self.steer('resume', group)
        self.assertEqual(409, answer.status)
        self.assertIn('it is not paused', self.shown(answer))
        self.assertEqual(404, self.steer('pause', ID).status)
        for verb, group_id in (
            ('delete', group),
            ('', group),
            ('pause', ''),
            ('pause', '../pods'),
            ('members', group),
        ):
            self.assertEqual(400, self.steer(verb, group_id).status, (verb, group_id))
        self.assertEqual('running', self.status(group))

    def test_user_without_role_steers_nothing(self):
        group = self.drain()
        visitor = Visitor(self.cloud.api)
        visitor.get('/login')
        answer = self.steer('pause', group, visitor)
        self.assertEqual((303, '/dashboard/login'), (answer.status, answer.headers['Location']))
        visitor.sign_in('demo', project='demo')
        answer = self.steer('pause', group, visitor)
        self.assertEqual(403, answer.status)
        self.assertIn('You are not allowed to do this', self.shown(answer))
        self.assertEqual('running', self.status(group))


class TestOtherRoles(GroupPagesCase):
    """The policy lets readers of a project see all groups, and members steer the applications of their project."""

    def setUp(self):
        rules = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        reads = ('list', 'show', 'members')
        with open(rules, 'w') as file:
            file.writelines(f'"api:move_groups.{name}": "role:reader and not role:member"\n' for name in reads)
            file.write('"api:moves.own": "role:member"\n')
        self.options = {'oslo_policy': {'policy_file': rules}}
        super().setUp()

    def test_reader_sees_pods_and_no_buttons(self):
        group = self.drain(['a'])
        self.visitor.sign_in('reader', project='demo')
        answer = self.visitor.get(f'/move-groups/{group}')
        self.assertIn('drain of Pod1', self.shown(answer))
        self.assertEqual([], self.buttons(answer))

    def test_member_steers_own_groups_and_sees_no_pods(self):
        own = insert_group(self.db, 'application', ['a'], project_id=self.cloud.project_id('demo'), name='shop').id
        drain = self.drain(['b'])
        self.visitor.sign_in('demo', project='demo')
        answer = self.visitor.get('/move-groups')
        self.assertIn('application shop', self.shown(answer))
        self.assertNotIn('drain', answer.text)
        answer = self.visitor.get(f'/move-groups/{own}')
        self.assertNotIn('Pod', answer.text.replace('>Pods<', ''))
        self.assertIn('pause', self.buttons(answer))
        self.assertEqual((303, 'paused'), (self.steer('pause', own).status, self.status(own)))
        self.assertEqual(
            (404, 404), (self.steer('pause', drain).status, self.visitor.get(f'/move-groups/{drain}').status)
        )
