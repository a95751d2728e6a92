# SPDX-License-Identifier: Apache-2.0
"""Server groups: created in one pod, with copies in the other pods that have servers of the group."""

from concurrent import futures
from datetime import timedelta

import sqlalchemy

from trio2o.db import quotas, server_group_copies
from trio2o.db.database import utcnow
from trio2o.db.records import ServerGroupCopy
from trio2o.lab.emulated.faults import BalancerAnswers, DropAfter, Refuse, Slow, Status, StatusAfter
from trio2o.tests.functional.compute.base import InfrastructureTest
from trio2o.tests.functional.operations.base import ids

MISSING = '6f1f8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'


class GroupsTest(InfrastructureTest):
    def make(self, policy='anti-affinity', rules=None, name='group', **kwargs):
        group = {'name': name, 'policy': policy, **({'rules': rules} if rules else {})}
        answer = self.nova.post('/os-server-groups', {'server_group': group}, version='2.64', **kwargs)
        self.assertEqual(200, answer.status, answer.text)
        return answer['server_group']

    def boot(self, group_id, zone=None, as_='demo', **server):
        where = {'availability_zone': zone} if zone else {}
        body = {'name': 'x', 'imageRef': self.cloud.lab.image['id'], 'flavorRef': '1', **where, **server}
        hints = {'group': group_id}
        return self.nova.post('/servers', {'server': body, 'os:scheduler_hints': hints}, as_=as_)

    def booted(self, group_id, zone=None, pod=None, **kwargs):
        answer = self.boot(group_id, zone, **kwargs)
        self.assertEqual(202, answer.status, answer.text)
        server_id = answer['server']['id']
        self.assertEqual(pod or zone.replace('az', 'Pod'), self.pod_of('server', server_id))
        return server_id

    def groups_in(self, pod):
        return list(self.cloud.pod(pod).nova.groups.values())

    def show(self, group_id, version='2.64', **kwargs):
        answer = self.nova.get(f'/os-server-groups/{group_id}', version=version, **kwargs)
        self.assertEqual(200, answer.status, answer.text)
        return answer['server_group']

    def list(self, query='', **kwargs):
        return self.nova.get(f'/os-server-groups{query}', version='2.64', **kwargs)['server_groups']


class TestServersInAnyZone(GroupsTest):
    def test_group_shows_members_of_all_pods(self):
        group = self.make(rules={'max_server_per_host': 2})
        first, second = self.booted(group['id'], 'az1'), self.booted(group['id'], 'az2')
        third = self.booted(group['id'], 'az2')
        wanted = {**group, 'members': [first, second, third]}
        self.assertEqual(wanted, self.show(group['id']))
        self.assertEqual([wanted], self.list())
        self.assertEqual([wanted], self.list('?all_projects=True', as_='admin'))
        older = self.show(group['id'], '2.1')
        self.assertEqual(
            (['anti-affinity'], [first, second, third], {'id', 'name', 'policies', 'metadata', 'members'}),
            (older['policies'], older['members'], set(older)),
        )
        (copy,) = self.groups_in('Pod2')
        self.assertEqual(
            (group['name'], group['policy'], group['rules'], group['project_id'], [second, third]),
            (copy['name'], copy['policy'], copy['rules'], copy['project_id'], copy['members']),
        )

    def test_copy_named_in_hint_is_refused_as_unknown_group(self):
        group = self.make()
        self.booted(group['id'], 'az2')
        (copy,) = self.groups_in('Pod2')
        for zone in ('az1', 'az2', None):
            answer = self.boot(copy['id'], zone)
            self.assertEqual((400, f'Instance group {copy["id"]} could not be found.'), (answer.status, answer.fault))
        self.assertEqual(404, self.nova.delete(f'/os-server-groups/{copy["id"]}').status)
        self.assertEqual([copy], self.groups_in('Pod2'))

    def test_server_shows_id_of_group_instead_of_copy(self):
        group = self.make()
        server_id = self.booted(group['id'], 'az2')
        (copy,) = self.groups_in('Pod2')
        self.assertNotEqual(group['id'], copy['id'])
        path = f'/servers/{server_id}'
        answers = [
            self.nova.get(path, version='2.71'),
            self.nova.put(path, {'server': {'name': 'y'}}, version='2.71'),
            self.nova.post(f'{path}/action', {'rebuild': {'imageRef': self.cloud.lab.image['id']}}, version='2.71'),
        ]
        for answer in answers:
            self.assertEqual([group['id']], answer['server']['server_groups'], answer.text)
            self.assertNotIn(copy['id'], answer.text)
        (sent,) = [request for request in self.seen('Pod2', method='POST') if request.path.endswith('/servers')]
        self.assertIn(copy['id'].encode(), sent.body)

    def test_copy_is_neither_shown_listed_nor_deleted_by_its_own_id(self):
        group = self.make()
        self.booted(group['id'], 'az2')
        (copy,) = self.groups_in('Pod2')
        for method in ('GET', 'DELETE'):
            answer = self.nova.request(method, f'/os-server-groups/{copy["id"]}')
            message = f'Instance group {copy["id"]} could not be found.'
            self.assertEqual((404, message), (answer.status, answer.fault))
        self.assertEqual([copy['id']], ids(self.groups_in('Pod2')))
        self.assertIsNone(self.pod_of('server_group', copy['id']))
        self.assertEqual([group['id']], ids(self.list()))
        self.assertEqual([], self.list('?offset=1'))

    def test_deleting_group_deletes_copies(self):
        group = self.make()
        self.booted(group['id'], 'az2')
        self.assertEqual(204, self.nova.delete(f'/os-server-groups/{group["id"]}').status)
        self.assertEqual(([], []), (self.groups_in('Pod1'), self.groups_in('Pod2')))
        self.assertEqual([], server_group_copies.list_for_group(self.cloud.runtime.db, group['id']))
        answer = self.boot(group['id'], 'az2')
        self.assertEqual((400, f'Instance group {group["id"]} could not be found.'), (answer.status, answer.fault))

    def test_group_created_directly_in_pod_gets_copy(self):
        body = {'server_group': {'name': 'there', 'policies': ['anti-affinity']}}
        group = self.cloud.direct('Pod2').post('/os-server-groups', body)['server_group']
        server_id = self.booted(group['id'], 'az1')
        self.assertEqual([server_id], self.show(group['id'])['members'])

    def test_copy_deleted_directly_in_pod_is_made_again(self):
        group = self.make()
        self.booted(group['id'], 'az2')
        self.cloud.pod('Pod2').nova.groups.clear()
        server_id = self.booted(group['id'], 'az2')
        self.assertEqual([server_id], self.show(group['id'])['members'])
        self.assertEqual(1, len(self.groups_in('Pod2')))

    def test_group_deleted_directly_in_pod_loses_copies_when_shown(self):
        group = self.make()
        self.booted(group['id'], 'az2')
        self.cloud.pod('Pod1').nova.groups.clear()
        self.assertEqual([], self.list())
        self.assertEqual(404, self.nova.get(f'/os-server-groups/{group["id"]}').status)
        self.assertEqual([], self.groups_in('Pod2'))

    def test_racing_creates_make_one_copy(self):
        group = self.make()
        self.cloud.pod('Pod2').nova.faults.add(Slow(seconds=0.2, path='/os-server-groups', method='POST'))
        with futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda number: self.boot(group['id'], 'az2'), range(6)))
        self.assertEqual({202}, {answer.status for answer in answers})
        self.assertEqual(1, len(self.groups_in('Pod2')))
        self.assertEqual(6, len(self.show(group['id'])['members']))

    def test_unknown_group_is_refused(self):
        answer = self.boot(MISSING, 'az2')
        self.assertEqual((400, f'Instance group {MISSING} could not be found.'), (answer.status, answer.fault))
        for odd in (['x'], 'x' * 300, 'a/../b', 7, None, ''):
            answer = self.boot(odd, 'az2')
            self.assertLess(answer.status, 500, (odd, answer.text))

    def test_group_of_another_project_gets_no_copy(self):
        """Nova accepts any group whose id the caller knows; a copy would belong to the caller's project."""
        group = self.make()
        self.assertEqual(404, self.nova.get(f'/os-server-groups/{group["id"]}', as_='alt').status)
        answer = self.boot(group['id'], 'az2', as_='admin')
        self.assertIn(group['id'], self.assert_own_words(answer, 400))
        self.assertEqual([], self.groups_in('Pod2'))

    def test_group_of_another_project_is_like_unknown_one(self):
        group = self.make()
        self.booted(group['id'], 'az1')
        known, unknown = (self.boot(each, 'az2', as_='alt') for each in (group['id'], MISSING))
        self.assertEqual((400, known.status), (unknown.status, unknown.status))
        self.assertEqual(known.text.replace(group['id'], MISSING), unknown.text)
        self.assertEqual([], self.groups_in('Pod2'))
        claims = quotas.list_claims(self.cloud.runtime.db, project_id=self.cloud.project_id('demo'))
        self.assertEqual([], [claim for claim in claims if group['id'] in str(claim.resources)])

    def test_group_of_another_project_is_not_deleted(self):
        group = self.make()
        answer = self.nova.delete(f'/os-server-groups/{group["id"]}', as_='alt')
        self.assertEqual((404, [group['id']]), (answer.status, ids(self.groups_in('Pod1'))))


class TestQuota(GroupsTest):
    def used(self):
        limits = self.nova.get('/limits')['limits']['absolute']['totalServerGroupsUsed']
        detail = self.get(f'/os-quota-sets/{self.cloud.project_id()}/detail')['quota_set']['server_groups']
        return limits, detail['in_use'] + detail['reserved']

    def test_group_with_copies_counts_once(self):
        group = self.make()
        self.booted(group['id'], 'az2')
        self.assertEqual((1, 1), self.used())
        self.assertEqual(204, self.nova.delete(f'/os-server-groups/{group["id"]}').status)
        self.assertEqual((0, 0), self.used())


class TestMemberLimit(GroupsTest):
    """``server_group_members`` limits the members of a group in all pods together."""

    FULL = 'Quota exceeded, too many servers in group'

    def setUp(self):
        super().setUp()
        self.limit(server_group_members=3)

    def limit(self, query='', **limits):
        path = f'/os-quota-sets/{self.cloud.project_id()}{query}'
        answer = self.nova.put(path, {'quota_set': limits}, as_='admin', version='2.64')
        self.assertEqual(200, answer.status, answer.text)

    def assert_full(self, answer):
        self.assertEqual({'forbidden': {'code': 403, 'message': self.FULL}}, answer.json)
        self.assertEqual(403, answer.status)

    def test_limit_applies_to_members_of_all_pods(self):
        group = self.make()['id']
        members = [self.booted(group, zone) for zone in ('az1', 'az2', 'az2')]
        for zone in ('az1', 'az2', None):
            self.assert_full(self.boot(group, zone))
        self.assertEqual(sorted(members), sorted(self.show(group)['members']))
        # Refused creates use no quota.
        self.assertEqual(3, self.nova.get('/limits')['limits']['absolute']['totalInstancesUsed'])
        self.assertEqual([], quotas.list_claims(self.cloud.runtime.db, project_id=self.cloud.project_id()))
        self.assertEqual(204, self.nova.delete(f'/servers/{members[0]}').status)
        self.booted(group, 'az2')
        # Other groups are not affected.
        self.booted(self.make()['id'], 'az1')

    def test_max_count_counts_against_limit(self):
        group = self.make()['id']
        self.assert_full(self.boot(group, 'az1', min_count=4))
        self.booted(group, 'az1')
        self.assert_full(self.boot(group, 'az2', min_count=1, max_count=3))
        self.assertEqual(202, self.boot(group, 'az2', min_count=2).status)
        self.assertEqual(3, len(self.show(group)['members']))

    def test_racing_creates_stay_within_limit(self):
        group = self.make()['id']
        for pod in ('Pod1', 'Pod2'):
            self.cloud.pod(pod).nova.faults.add(Slow(seconds=0.1, path='/servers', method='POST'))
        with futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: self.boot(group, f'az{number % 2 + 1}'), range(8)))
        self.assertEqual([202] * 3 + [403] * 5, sorted(answer.status for answer in answers))
        self.assertEqual(3, len(self.show(group)['members']))

    def test_failed_create_uses_no_quota(self):
        group = self.make()['id']
        self.booted(group, 'az1')
        self.booted(group, 'az1')
        self.assertEqual(400, self.boot(group, 'az2', flavorRef='missing').status)
        self.booted(group, 'az2')

    def test_create_with_unknown_outcome_uses_quota(self):
        group = self.make()['id']
        self.booted(group, 'az2')
        self.booted(group, 'az2')
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(times=1, method='POST', path='/servers'))
        self.assertEqual(504, self.boot(group, 'az1').status)
        self.assert_full(self.boot(group, 'az2'))

    def test_user_limit_counts_members_of_that_user_only(self):
        """As in Nova, the limit of a user counts the servers of that user."""
        user = self.cloud.lab.user_id('demo')
        self.limit(f'?user_id={user}', server_group_members=1)
        group = self.make()['id']
        self.booted(group, 'az1')
        self.assert_full(self.boot(group, 'az2'))
        self.cloud.lab.keystone.add_user('second', 'secret', {'demo': ('member',)})
        self.booted(group, 'az2', as_='second')

    def test_unlimited_members_are_accepted(self):
        self.limit(server_group_members=-1)
        group = self.make()['id']
        self.cloud.lab.clear_logs()
        for zone in ('az1', 'az2') * 2:
            self.booted(group, zone)
        self.assertEqual(4, len(self.show(group)['members']))

    def test_limit_is_shown_and_unlimited_in_pods(self):
        absolute = self.nova.get('/limits')['limits']['absolute']
        self.assertEqual(3, absolute['maxServerGroupMembers'])
        path = f'/os-quota-sets/{self.cloud.project_id()}'
        self.assertEqual(3, self.get(path)['quota_set']['server_group_members'])
        detail = self.get(f'{path}/detail')['quota_set']['server_group_members']
        self.assertEqual({'limit': 3, 'in_use': 0, 'reserved': 0}, detail)
        self.assertEqual(-1, self.get(f'{path}/defaults')['quota_set']['server_group_members'])
        # The limit in the pods is off, so that no pod refuses what the gateway allows.
        for pod in self.cloud.lab.pods.values():
            self.assertEqual(-1, pod.nova.quota_sets[self.cloud.project_id()]['server_group_members'])


class TestAffinity(GroupsTest):
    def test_affinity_group_stays_in_pod_of_its_members_and_moves_when_empty(self):
        group = self.make('affinity')
        server_id = self.booted(group['id'], 'az2')
        # Without a zone, the group decides and not the default zone.
        self.booted(group['id'], pod='Pod2')
        answer = self.boot(group['id'], 'az1')
        self.assertIn(group['id'], self.assert_own_words(answer, 400))
        for member in self.show(group['id'])['members']:
            self.assertEqual(204, self.nova.delete(f'/servers/{member}').status)
        self.assertNotIn(server_id, self.show(group['id'])['members'])
        self.booted(group['id'], 'az1')
        self.assertEqual(400, self.boot(group['id'], 'az2').status)

    def test_racing_creates_end_in_one_pod(self):
        group = self.make('affinity')
        for pod in ('Pod1', 'Pod2'):
            self.cloud.pod(pod).nova.faults.add(Slow(seconds=0.2, path='/servers', method='POST'))
        with futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda number: self.boot(group['id'], f'az{number % 2 + 1}'), range(6)))
        booted = [answer['server']['id'] for answer in answers if answer.status == 202]
        self.assertEqual(3, len(booted), [answer.text for answer in answers])
        self.assertEqual(1, len({self.pod_of('server', server_id) for server_id in booted}))
        for answer in answers:
            if answer.status != 202:
                self.assert_own_words(answer, 400)

    def test_refused_create_does_not_bind_group_to_pod(self):
        group = self.make('affinity')
        self.assertEqual(400, self.boot(group['id'], 'az1', flavorRef='missing').status)
        self.booted(group['id'], 'az2')

    def test_affinity_group_with_unreachable_pod_stays_there(self):
        group = self.make('affinity')
        self.booted(group['id'], 'az2')
        self.break_pod('Pod2', Refuse())
        self.assertEqual(400, self.boot(group['id'], 'az1').status)
        self.assert_own_words(self.boot(group['id'], 'az2'), 503)


class TestUnreachablePods(GroupsTest):
    def setUp(self):
        super().setUp()
        self.skip_down_pods()

    def test_own_pod_unreachable_copy_is_shown_and_delete_is_refused(self):
        group = self.make()
        first = self.booted(group['id'], 'az2')
        self.break_pod('Pod1', Refuse())
        second = self.booted(group['id'], 'az2')
        self.assertEqual({**group, 'members': [first, second]}, self.show(group['id']))
        self.assertEqual([{**group, 'members': [first, second]}], self.list())
        self.assert_own_words(self.nova.delete(f'/os-server-groups/{group["id"]}'), 503)
        self.assertEqual(1, len(self.groups_in('Pod2')))

    def test_own_pod_unreachable_copy_is_still_made(self):
        group = self.make()
        self.break_pod('Pod1', Refuse())
        self.booted(group['id'], 'az2')

    def test_pod_of_copy_unreachable_copy_is_deleted_later(self):
        group = self.make()
        first = self.booted(group['id'], 'az1')
        self.booted(group['id'], 'az2')
        self.break_pod('Pod2', Refuse())
        self.assertEqual([first], self.show(group['id'])['members'])
        self.assertEqual([[first]], [shown['members'] for shown in self.list()])
        self.assertEqual(204, self.nova.delete(f'/os-server-groups/{group["id"]}').status)
        self.cloud.pod('Pod2').nova.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()
        # The copy still exists in its pod, but is not listed.
        self.assertEqual((1, []), (len(self.groups_in('Pod2')), self.list()))
        self.cloud.run_jobs()
        self.assertEqual([], self.groups_in('Pod2'))

    def test_copy_refused_no_server_is_created(self):
        group = self.make()
        for fault, status in ((Status(503, path='/os-server-groups'), 503), (Refuse(path='/os-server-groups'), 503)):
            self.break_pod('Pod2', fault, services=('nova',))
            self.assert_own_words(self.boot(group['id'], 'az2'), status)
        self.assertEqual({}, self.cloud.pod('Pod2').nova.servers)
        self.cloud.pod('Pod2').nova.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()
        self.booted(group['id'], 'az2')

    def lose_answer(self, group, fault=None):
        """Let Pod2 make a copy without an answer."""
        fault = fault or DropAfter(path='/os-server-groups', method='POST', times=1)
        self.break_pod('Pod2', fault, services=('nova',))
        self.assert_own_words(self.boot(group['id'], 'az2'), 503)
        self.cloud.pod('Pod2').nova.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()
        self.assertEqual({}, self.cloud.pod('Pod2').nova.servers)

    def used(self):
        usage = quotas.usage(self.cloud.runtime.db, self.cloud.project_id('demo'))
        return usage['server_groups'].in_use

    def recount(self):
        project_id = self.cloud.project_id('demo')
        self.cloud.runtime.jobs.submit('recount_quota', project_id, {'project_id': project_id})
        self.cloud.run_jobs()

    def test_copy_without_clear_answer_is_used_by_next_create(self):
        for fault in (
            None,
            StatusAfter(status=500, path='/os-server-groups', method='POST', times=1),
            BalancerAnswers(status=504, is_processed=True, path='/os-server-groups', method='POST', times=1),
        ):
            self.cloud.pod('Pod2').nova.groups.clear()
            self.cloud.pod('Pod2').nova.servers.clear()
            group = self.make(name=f'g {fault}')
            self.lose_answer(group, fault)
            (copy,) = self.groups_in('Pod2')
            server_id = self.booted(group['id'], 'az2')
            self.assertEqual([copy['id']], ids(self.groups_in('Pod2')))
            self.assertEqual([server_id], self.show(group['id'])['members'])

    def test_copy_without_answer_is_neither_listed_nor_counted(self):
        group = self.make()
        self.lose_answer(group)
        self.assertEqual([group['id']], ids(self.list()))
        self.recount()
        self.assertEqual([group['id']], ids(self.list()))
        self.assertEqual(1, self.used())

    def test_copy_without_answer_is_found_by_job(self):
        group = self.make()
        self.lose_answer(group)
        self.cloud.run_jobs()
        (copy,) = self.groups_in('Pod2')
        records = server_group_copies.list_for_group(self.cloud.runtime.db, group['id'])
        self.assertEqual(
            [('made', group['id']), ('made', copy['id'])], [(one.state, one.bottom_id) for one in records]
        )
        self.recount()
        self.assertEqual(1, self.used())

    def test_copy_that_was_not_made_is_made_by_next_create(self):
        group = self.make()
        self.lose_answer(group, Status(502, path='/os-server-groups', method='POST', times=1))
        self.assertEqual([], self.groups_in('Pod2'))
        self.booted(group['id'], 'az2')
        self.assertEqual(1, len(self.groups_in('Pod2')))

    def test_copy_that_was_not_made_is_forgotten_by_job(self):
        group, db = self.make(), self.cloud.runtime.db
        self.lose_answer(group, Status(502, path='/os-server-groups', method='POST', times=1))
        self.assertEqual(2, len(server_group_copies.list_for_group(db, group['id'])))
        with db.writer() as connection:
            long_ago = utcnow() - timedelta(hours=1)
            connection.execute(sqlalchemy.update(ServerGroupCopy.__table__).values(busy_until=long_ago))
        self.cloud.run_jobs()
        self.assertEqual([group['id']], [one.bottom_id for one in server_group_copies.list_for_group(db, group['id'])])

    def test_group_with_copy_without_answer_is_deleted_and_copy_with_it(self):
        group = self.make()
        self.lose_answer(group)
        self.assertEqual(204, self.nova.delete(f'/os-server-groups/{group["id"]}').status)
        self.cloud.run_jobs()
        self.assertEqual([], self.groups_in('Pod2'))
        self.assertEqual([], server_group_copies.list_for_group(self.cloud.runtime.db, group['id']))

    def test_copy_of_killed_process_is_found_after_full_comparison(self):
        group, db, pod_id = self.make(), self.cloud.runtime.db, self.cloud.pod_ids['Pod2']
        definition = server_group_copies.list_for_group(db, group['id'])[0].definition
        server_group_copies.begin(db, group['id'], pod_id, self.cloud.project_id('demo'), -1.0, definition)
        body = {'server_group': {'name': group['name'], 'policies': ['anti-affinity']}}
        made = self.cloud.direct('Pod2').post('/os-server-groups', body)['server_group']
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, 'is_full': True})
        self.cloud.run_jobs()
        self.assertEqual(
            {group['id'], made['id']}, {one.bottom_id for one in server_group_copies.list_for_group(db, group['id'])}
        )
        self.assertEqual(1, self.used())
