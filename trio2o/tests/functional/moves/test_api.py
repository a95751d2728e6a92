# SPDX-License-Identifier: Apache-2.0
"""/moves of the Admin API: plans, moves, what each state allows, and who may see and steer what."""

import os

import fixtures

from trio2o import exception
from trio2o.api import OPERATIONS, SERVICE
from trio2o.context import RequestContext
from trio2o.db import jobs, moves
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase
from trio2o.web.policies import Policies

VERBS = ('pause', 'resume', 'cancel', 'confirm', 'revert')


class ApiCase(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def create(self, status=202, as_='admin', **given):
        answer = self.cloud.api.post('/moves', {'move': given}, as_=as_)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def refused(self, status, text, **given):
        self.assertIn(text, self.create(status, **given).text)


class TestMoves(ApiCase):
    def test_dry_run_shows_plan_and_changes_nothing(self):
        volume = self.volume(name='data')
        server = self.server(volumes=[volume])
        plan = self.create(200, server_id=server, target_pod='Pod2', dry_run=True)['plan']
        self.assertEqual(('Pod1', 'Pod2', 'az2'), (plan['source_pod'], plan['target_pod'], plan['zone']))
        self.assertEqual({'note'}, {finding['level'] for finding in plan['findings']})
        self.assertIn('instance_id', [finding['code'] for finding in plan['findings']])
        self.assertIn(f'target/volume/{volume}', [made['key'] for made in plan['makes']])
        self.assertGreater(plan['bytes'], 2**30)
        self.assertEqual([], self.cloud.api.get('/moves')['moves'])
        self.assertEqual([], moves.list_(self.db))

    def test_move_is_shown_with_progress_plan_and_ledger(self):
        server = self.server()
        move = self.create(server_id=server, zone='az2')['move']
        self.assertEqual(('planned', 0), (move['status'], move['percent']))
        self.run_move(move['id'], until='switched')
        shown = self.cloud.api.get(f'/moves/{move["id"]}')['move']
        self.assertEqual(('switched', 'wait for confirmation'), (shown['status'], shown['step']))
        self.assertEqual(
            {f'{kind}/{server}' for kind in ('source/server', 'target/server', 'image')},
            {item['key'] for item in shown['items']},
        )
        self.assertEqual(202, self.cloud.api.post(f'/moves/{move["id"]}/confirm').status)
        self.run_move(move['id'])
        shown = self.cloud.api.get(f'/moves/{move["id"]}')['move']
        self.assertEqual(('confirmed', 100), (shown['status'], shown['percent']))
        self.assertEqual([], self.cloud.api.get('/moves', query={'active': 'true'})['moves'])
        self.assertEqual([move['id']], [each['id'] for each in self.cloud.api.get('/moves')['moves']])

    def test_worker_carries_out_a_move(self):
        server = self.server()
        move = self.create(server_id=server, zone='az2', confirm_seconds=0)['move']
        self.run_move_by_jobs(move['id'])
        self.assertEqual('Pod2', self.place('server', server)[0])

    def run_move_by_jobs(self, move_id):
        def ended():
            self.cloud.run_jobs(1000)
            return not moves.get(self.db, move_id).is_active

        wait_until(ended, 60, lambda: str(moves.get(self.db, move_id)))

    def test_invalid_requests_are_refused(self):
        server, volume = self.server(), self.volume()
        attached = self.volume()
        holder = self.server(volumes=[attached])
        unknown = '11111111-2222-3333-4444-555555555555'
        self.refused(422, 'either server_id or volume_id', server_id=server, volume_id=volume, zone='az2')
        self.refused(422, 'either target_pod or zone', server_id=server)
        self.refused(422, 'either target_pod or zone', server_id=server, zone='az2', target_pod='Pod2')
        self.refused(422, 'there is no pod nope', server_id=server, target_pod='nope')
        self.refused(422, 'confirm_seconds', server_id=server, zone='az2', confirm_seconds=-1)
        self.refused(404, 'could not be found', server_id=unknown, zone='az2')
        self.refused(404, 'could not be found', volume_id=server, zone='az2')
        self.refused(404, 'nowhere', server_id=server, zone='nowhere')
        self.refused(400, 'already there', server_id=server, target_pod='Pod1')
        self.refused(409, holder, volume_id=attached, zone='az2')
        self.create(server_id=server, zone='az2')
        self.refused(409, 'being moved already', server_id=server, zone='az2')

    def test_blockers_are_named_for_people_and_programs(self):
        volume = self.volume()
        self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})
        answer = self.create(422, volume_id=volume, zone='az2')
        self.assertIn('has snapshots', answer.fault)
        (error,) = answer.json.values()
        found = [(each['level'], each['code'], each['resource']) for each in error['findings']]
        self.assertEqual([('blocker', 'snapshots', volume)], found)
        plan = self.create(200, volume_id=volume, zone='az2', dry_run=True)['plan']
        self.assertEqual(error['findings'], plan['findings'])
        self.assertEqual([], moves.list_(self.db))

    def test_target_is_named_or_identified(self):
        server = self.server()
        for pod in ('Pod2', self.cloud.pod_ids['Pod2']):
            plan = self.create(200, server_id=server, target_pod=pod, dry_run=True)['plan']
            self.assertEqual('Pod2', plan['target_pod'])

    def test_list_is_filtered_sorted_and_paged(self):
        volumes = [self.volume(name=f'v{number}') for number in range(3)]
        made = [self.create(volume_id=volume, zone='az2')['move']['id'] for volume in volumes]
        self.cloud.api.post(f'/moves/{made[1]}/pause')
        ids, project = self.cloud.pod_ids, self.cloud.project_id()
        for query, wanted in (
            ('', reversed(made)),
            ('sort=created_at', made),
            ('limit=1', made[2:]),
            (f'limit=1&marker={made[2]}', made[1:2]),
            ('status=paused', made[1:2]),
            ('state=planned&status=planned', [made[2], made[0]]),
            (f'resource_id={volumes[0]}', made[:1]),
            (f'project_id={project}&active=true', reversed(made)),
            ('active=false', []),
            (f'source_pod_id={ids["Pod1"]}', reversed(made)),
            (f'target_pod_id={ids["Pod1"]}', []),
            (f'pod_id={ids["Pod2"]}', reversed(made)),
            ('project_id=other', []),
        ):
            answer = self.cloud.api.get(f'/moves?{query}')
            self.assertEqual(list(wanted), [each['id'] for each in answer['moves']], query)
        for query in ('status=nope', 'state=stuck', 'active=x', 'nope=1', 'sort=facts', 'marker=nope'):
            self.assertEqual(400, self.cloud.api.get(f'/moves?{query}').status, query)

    def test_view_shows_allowed_verbs_and_no_facts(self):
        move = self.create(server_id=self.server(), zone='az2')['move']
        self.assertEqual(['pause', 'cancel', 'abandon'], move['verbs'])
        paused = self.cloud.api.post(f'/moves/{move["id"]}/pause')['move']
        self.assertEqual(('paused', ['resume', 'cancel', 'abandon']), (paused['status'], paused['verbs']))
        shown = self.cloud.api.get(f'/moves/{move["id"]}')['move']
        self.assertEqual(set(), {'facts', 'hold', 'wish'} & set(shown))

    def test_resumed_move_goes_on_at_once(self):
        """A stuck move has no job; the verb submits one and notifies the workers."""
        move = self.create(server_id=self.server(), zone='az2')['move']
        (job,) = jobs.list_(self.db, filters={'type': 'run_move'})
        jobs.cancel(self.db, job.id)
        moves.stuck(self.db, moves.get(self.db, move['id']), 'why')
        self.assertEqual(202, self.cloud.api.post(f'/moves/{move["id"]}/resume').status)
        (job,) = jobs.list_(self.db, filters={'type': 'run_move', 'state': 'new'})
        self.assertEqual((move['id'], self.cloud.pod_ids['Pod1']), (job.resource_key, job.pod_id))

    def test_verbs_that_a_state_does_not_allow_are_refused(self):
        move = self.create(server_id=self.server(), zone='az2')['move']
        for verb, status in (('confirm', 409), ('revert', 409), ('resume', 409), ('pause', 202), ('resume', 202)):
            answer = self.cloud.api.post(f'/moves/{move["id"]}/{verb}')
            self.assertEqual(status, answer.status, (verb, answer.text))
        for verb in VERBS:
            self.assertEqual(404, self.cloud.api.post(f'/moves/nope/{verb}').status)
        self.assertEqual(404, self.cloud.api.get('/moves/nope').status)

    def test_pod_of_a_move_is_not_deleted(self):
        self.create(server_id=self.server(), zone='az2')
        self.cloud.set_pod('Pod2', state='draining')
        answer = self.cloud.api.delete(f'/pods/{self.cloud.pod_ids["Pod2"]}')
        self.assertEqual(409, answer.status, answer.text)
        self.assertIn('move list --active --pod Pod2', answer.text)
        answer = self.cloud.api.delete(f'/pods/{self.cloud.pod_ids["Pod2"]}?force=true')
        self.assertEqual(409, answer.status, answer.text)


class TestAccess(ApiCase):
    def test_only_administrators_move(self):
        server = self.server()
        for who in ('demo', 'reader'):
            self.create(403, as_=who, server_id=server, zone='az2')
            self.assertEqual(403, self.cloud.api.get('/moves', as_=who).status)


class TestTenants(ApiCase):
    """The policy admits members of projects."""

    def gateway(self, **options):
        rules = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(rules, 'w') as file:
            file.write('"api:moves.own": "role:member"\n')
        return super().gateway(**{'oslo_policy.policy_file': rules, **options})

    def test_administrators_and_readers_see_everything(self):
        made = self.create(server_id=self.server(), zone='az2')['move']
        self.assertEqual('Pod2', made['target_pod'])
        policies = Policies(self.cloud.conf, SERVICE)
        (row,) = (each for each in OPERATIONS if each.name == 'moves.show')
        for roles, project, system, is_own in (
            (['admin', 'member'], 'p', None, False),
            (['reader', 'member'], None, 'all', False),
            (['member'], 'p', None, True),
        ):
            context = RequestContext(roles=roles, project_id=project, system_scope=system, overwrite=False)
            policies.check(row, context)
            self.assertEqual(is_own, context.is_for_own_project, roles)
        nobody = RequestContext(roles=['member'], system_scope='all', overwrite=False)
        self.assertRaises(exception.Forbidden, policies.check, row, nobody)

    def test_refusals_name_no_pod(self):
        volume = self.volume()
        self.cloud.set_pod('Pod2', state='disabled')
        answer = self.create(409, as_='demo', volume_id=volume, zone='az2')
        self.assertIn('Ask the operator', answer.text)
        self.assertNotIn('Pod2', answer.text)
        self.cloud.set_pod('Pod2', state='enabled')
        self.cloud.lab.keystone.users['trio2o'].roles.pop('demo')
        for given, status in (({}, 422), ({'dry_run': True}, 200)):
            answer = self.create(status, as_='demo', volume_id=volume, zone='az2', **given)
            self.assertIn('"code":"access"', answer.text)
            for name in ('Pod1', 'Pod2', *self.cloud.pod_ids.values()):
                self.assertNotIn(name, answer.text)

    def test_list_of_project_is_its_own(self):
        made = self.create(as_='demo', server_id=self.server(), zone='az2')['move']['id']
        for query, wanted in (
            ('', [made]),
            ('project_id=other', []),
            (f'project_id={self.cloud.project_id()}', [made]),
        ):
            listed = self.cloud.api.get(f'/moves?{query}', as_='demo')['moves']
            self.assertEqual(wanted, [each['id'] for each in listed], query)
        pod_id = self.cloud.pod_ids['Pod2']
        for query in (f'target_pod_id={pod_id}', f'source_pod_id={pod_id}', f'pod_id={pod_id}', 'sort=target_pod_id'):
            self.assertEqual(403, self.cloud.api.get(f'/moves?{query}', as_='demo').status, query)

    def test_error_of_move_names_no_pod(self):
        made = self.create(as_='demo', server_id=self.server(), zone='az2')['move']['id']
        moves.stuck(self.db, moves.get(self.db, made), 'server: pod Pod2 refused')
        shown = self.cloud.api.get(f'/moves/{made}', as_='demo')['move']
        self.assertEqual(('stuck', 'Ask the operator of this cloud.'), (shown['status'], shown['error']))
        self.assertEqual(202, self.cloud.api.post(f'/moves/{made}/resume', as_='demo').status)

    def test_project_moves_its_own_server_and_learns_of_no_pod(self):
        server = self.server()
        self.create(403, as_='demo', server_id=server, target_pod='Pod2')
        self.create(404, as_='alt', server_id=server, zone='az2')
        plan = self.create(200, as_='demo', server_id=server, zone='az2', dry_run=True)
        self.assertNotIn('Pod', plan.text)
        made = self.create(as_='demo', server_id=server, zone='az2')
        move = f'/moves/{made["move"]["id"]}'
        for answer in (made, self.cloud.api.get(move, as_='demo'), self.cloud.api.get('/moves', as_='demo')):
            self.assertIn(made['move']['id'], answer.text)
            self.assertNotIn('Pod', answer.text)
            for pod_id in self.cloud.pod_ids.values():
                self.assertNotIn(pod_id, answer.text)
        self.assertEqual([], self.cloud.api.get('/moves', as_='alt')['moves'])
        self.assertEqual(404, self.cloud.api.get(move, as_='alt').status)
        self.assertEqual(404, self.cloud.api.post(f'{move}/cancel', as_='alt').status)
        shown = self.cloud.api.get(move, as_='demo')['move']
        self.assertNotIn('items', shown)
        self.assertEqual(['pause', 'cancel'], shown['verbs'])
        for verb, given in (('abandon', {}), ('sweep', {}), ('confirm', {'force': True})):
            self.assertEqual(403, self.cloud.api.post(f'{move}/{verb}', given, as_='demo').status, verb)
        self.assertEqual(202, self.cloud.api.post(f'{move}/cancel', as_='demo').status)
