# SPDX-License-Identifier: Apache-2.0
"""Moves cost requests about other resources nothing: no statement more, and no request to a pod more."""

from collections import Counter

from sqlalchemy import event

from trio2o.tests.functional.moves.base import MovesCase

#: Read with the snapshot of the pods, which this gateway looks at in each request.
OF_REGISTRY = 'FROM table_versions'


class TestCosts(MovesCase):
    def setUp(self):
        super().setUp()
        self.statements = []
        event.listen(self.db.engine, 'before_cursor_execute', lambda *args: self.statements.append(args[2]))

    def requests(self, server, volume):
        nova, cinder = self.cloud.nova, self.cloud.cinder
        return {
            'show': lambda: nova.get(f'/servers/{server}'),
            'list': lambda: nova.get('/servers/detail', query={'limit': '20'}),
            'list of all': lambda: nova.get('/servers/detail', as_='admin', query={'all_tenants': '1'}),
            'actions': lambda: nova.get(f'/servers/{server}/os-instance-actions', version='2.66'),
            'attachments': lambda: nova.get(f'/servers/{server}/os-volume_attachments'),
            'update': lambda: nova.put(f'/servers/{server}', {'server': {'name': 'web'}}),
            'volume': lambda: cinder.get(f'/volumes/{volume}'),
            'volumes': lambda: cinder.get('/volumes/detail', query={'limit': '20'}),
        }

    def cost(self, send):
        """Return the statements that are in each of some equal requests, and the number of requests to pods of each.

        What a thread records in the background is in the first ones at most.
        """
        statements, calls = None, set()
        for turn in range(4):
            self.statements.clear()
            self.cloud.lab.clear_logs()
            self.assertEqual(200, send().status)
            found = Counter(each for each in self.statements if OF_REGISTRY not in each)
            statements = found if statements is None else statements & found
            if turn:
                pods = self.cloud.lab.pods.values()
                calls.add(sum(len(service.requests) for pod in pods for service in pod.each()))
        return statements, calls

    def test_requests_without_any_move_read_no_table_of_moves(self):
        volume = self.volume()
        for name, send in self.requests(self.server(volumes=[volume]), volume).items():
            statements, _calls = self.cost(send)
            self.assertEqual([], [each for each in statements if 'move' in each], name)

    def test_requests_cost_the_same_beside_moves_of_other_resources(self):
        volume = self.volume()
        requests = self.requests(self.server(volumes=[volume]), volume)
        before = {name: self.cost(send) for name, send in requests.items()}
        # One that has moved, and one that moves. They belong to another project, whose lists have other resources.
        self.cloud.lab.keystone.users['trio2o'].roles['alt'] = ('admin',)
        moved, moving = self.server(as_='alt'), self.server(as_='alt', name='other')
        before['list of all'] = self.cost(requests['list of all'])
        self.move('server', moved)
        self.run_move(self.start('server', moving), after='server')
        for name, send in requests.items():
            self.assertEqual(before[name], self.cost(send), name)

    def test_actions_of_moved_server_take_one_statement_more(self):
        server = self.server()
        send = self.requests(server, '')['actions']
        before, calls = self.cost(send)
        self.move('server', server)
        after, calls_after = self.cost(send)
        self.assertEqual(calls, calls_after)
        more = [each for each in (after - before).elements() if each != 'BEGIN']
        self.assertEqual(1, len(more), more)
        self.assertIn('FROM moves', more[0])
