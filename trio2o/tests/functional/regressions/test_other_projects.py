# SPDX-License-Identifier: Apache-2.0
"""A caller cannot tell the id of a resource of another project from one that does not exist."""

import datetime

from trio2o.db import routings
from trio2o.db.records import DELETED
from trio2o.tests.functional.quota.base import QuotaCase

UNKNOWN = 'e5b47e15-0000-4000-8000-00000000000e'

REQUESTS = {
    'server': (
        ('GET', ''),
        ('DELETE', ''),
        ('GET', '/metadata'),
        ('GET', '/os-interface'),
        ('DELETE', '/metadata/x'),
        ('POST', '/action', {'reboot': {'type': 'SOFT'}}),
        ('POST', '/action', {'resize': {'flavorRef': 'f1'}}),
        ('POST', '/metadata', {'metadata': {'a': 'b'}}),
        ('PUT', '', {'server': {'name': 'x'}}),
    ),
    'volume': (
        ('GET', ''),
        ('DELETE', ''),
        ('GET', '/metadata'),
        ('POST', '/action', {'os-extend': {'new_size': 9}}),
        ('PUT', '', {'volume': {'name': 'x'}}),
    ),
    'snapshot': (('GET', ''), ('DELETE', ''), ('PUT', '', {'snapshot': {'name': 'x'}})),
    'server_group': (('GET', ''), ('DELETE', '')),
    'backup': (('GET', ''), ('DELETE', '')),
    'transfer': (('GET', ''), ('DELETE', '')),
}
PATHS = {
    'server': '/servers',
    'volume': '/volumes',
    'snapshot': '/snapshots',
    'server_group': '/os-server-groups',
    'backup': '/backups',
    'transfer': '/volume-transfers',
}


class TestOtherProjects(QuotaCase):
    """The resources are in the second pod, and the first one is asked first for what is unknown."""

    limits = {'instances': 10, 'gigabytes': 10, 'cores': 100}

    def setUp(self):
        super().setUp()
        self.made = {'server': self.server(zone='az2'), 'volume': self.volume(zone='az2')}
        volume = {'volume_id': self.made['volume']}
        self.made['snapshot'] = self.cinder_id('snapshot', '/snapshots', volume)
        self.made['backup'] = self.cinder_id('backup', '/backups', volume)
        body = {'server_group': {'name': 'g', 'policies': ['affinity']}}
        self.made['server_group'] = self.cloud.nova.post('/os-server-groups', body)['server_group']['id']
        volume = {'volume_id': self.volume(zone='az2')}
        self.made['transfer'] = self.cinder_id('transfer', '/volume-transfers', volume)

    def cinder_id(self, member, path, body):
        self.cloud.cinder.get('/volumes/detail')
        answer = self.cloud.cinder.post(path, {member: body})
        self.assertEqual(202, answer.status, answer.text)
        return answer[member]['id']

    def answers(self, kind, top_id):
        service = self.cloud.nova if kind.startswith('server') else self.cloud.cinder
        for method, below, *body in REQUESTS[kind]:
            answer = service.request(method, f'{PATHS[kind]}/{top_id}{below}', *body, as_='alt')
            headers = {name: answer.headers[name] for name in answer.headers if 'request-id' not in name.lower()}
            headers.pop('Date', None)
            yield method, below, answer.status, headers, answer.text.replace(top_id, UNKNOWN)

    def assertAlike(self, kind):
        wanted = list(self.answers(kind, UNKNOWN))
        self.assertEqual({404}, {answer[2] for answer in wanted}, kind)
        for answer, expected in zip(self.answers(kind, self.made[kind]), wanted, strict=True):
            self.assertEqual(expected, answer)

    def test_resource_of_another_project_is_like_unknown_one(self):
        for kind in REQUESTS:
            self.assertAlike(kind)

    def test_deleted_resource_of_another_project_is_like_unknown_one(self):
        then = self.cloud.lab.clock.now() - datetime.timedelta(minutes=1)
        for kind, top_id in self.made.items():
            routing = routings.get(self.db, kind, top_id)
            routings.update(self.db, routing.id, state=DELETED, deleted_at=then)
            self.cloud.runtime.locator.forget(kind, top_id)
            self.assertAlike(kind)

    def test_resource_of_another_project_in_pod_in_maintenance_is_like_unknown_one(self):
        self.cloud.set_pod('Pod2', state='maintenance', reason='test')
        for kind in REQUESTS:
            self.assertAlike(kind)

    def test_list_of_what_belongs_to_resource_of_another_project_is_like_that_of_unknown_one(self):
        self.cloud.set_pod('Pod2', state='maintenance', reason='test')
        volume, server = self.made['volume'], self.made['server']
        for path, top_id in (
            ('/snapshots?volume_id=', volume),
            ('/backups?volume_id=', volume),
            ('/volume-transfers/detail?volume_id=', volume),
            ('/attachments?volume_id=', volume),
            ('/attachments?instance_id=', server),
        ):
            answers = [self.cloud.cinder.get(f'{path}{each}', as_='alt', version='3.60') for each in (top_id, UNKNOWN)]
            self.assertEqual([200, 200], [answer.status for answer in answers], path)
            self.assertEqual(answers[1].json, answers[0].json, path)
