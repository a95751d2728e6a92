# SPDX-License-Identifier: Apache-2.0
"""A page after a resource that has another id in its pod begins after that resource, and not with it."""

import datetime

from trio2o.db import moved_resources, routings
from trio2o.db.records import NewRouting
from trio2o.tests.functional.operations.base import ConversationTest

FIRST, LAST = '00000000-0000-4000-8000-000000000000', 'ffffffff-ffff-4fff-bfff-ffffffffffff'


class TestMarkerWithAnotherId(ConversationTest):
    def setUp(self):
        super().setUp()
        # All of one second, so that the ids decide the order.
        then = datetime.datetime(2026, 1, 1)
        add = {'nova': self.cloud.lab.add_servers, 'cinder': self.cloud.lab.add_volumes}
        self.ids = {}
        for service, kind in (('nova', 'server'), ('cinder', 'volume')):
            made = [
                each['id']
                for pod in ('Pod1', 'Pod2')
                for each in add[service](pod, 'demo', count=3, spacing=0, start=then)
            ]
            for top_id, bottom_id in ((FIRST, made.pop()), (LAST, made.pop())):
                self.move(kind, top_id, bottom_id)
                made.append(top_id)
            self.ids[kind] = made
        self.cloud.runtime.registry.refresh()

    def move(self, kind, top_id, bottom_id):
        """Record that a resource has moved from Pod1 to Pod2."""
        db, pods = self.cloud.runtime.db, self.cloud.pod_ids
        routings.record(db, NewRouting(kind, top_id, pods['Pod1'], self.cloud.project_id()))
        self.assertTrue(moved_resources.move(db, kind, top_id, (pods['Pod1'], top_id), (pods['Pod2'], bottom_id)))

    def pages(self, client, path, key, **query):
        found = []
        while len(found) < 20:
            page = client.get(path, query={'limit': '1', **query})[key]
            if not page:
                break
            found.append(page[0]['id'])
            query['marker'] = found[-1]
        return found

    def test_pages_have_each_resource_once(self):
        for client, kind in ((self.nova, 'server'), (self.cinder, 'volume')):
            for direction in ('asc', 'desc'):
                for key in ('created_at', 'availability_zone'):
                    query = {'sort_key': key, 'sort_dir': direction}
                    found = self.pages(client, f'/{kind}s', f'{kind}s', **query)
                    self.assertEqual(sorted(self.ids[kind]), sorted(found), (kind, query))
