# SPDX-License-Identifier: Apache-2.0
"""Members that can only move together: servers that share volumes, or that a server group keeps together."""

from trio2o.db import moves
from trio2o.moves.groups import parts
from trio2o.tests.functional.move_groups.base import GroupsCase


class PartsCase(GroupsCase):
    def chain(self):
        """Create servers of which each shares a volume with the next. :returns: their ids, and those of the volumes"""
        volumes = [self.shared_volume() for _ in range(2)]
        servers = [self.server(volumes=used) for used in (volumes[:1], volumes, volumes[1:])]
        return servers, volumes

    def close_group(self):
        """Create servers of a server group that keeps them on one host."""
        body = {'server_group': {'name': 'g', 'policy': 'affinity'}}
        group = self.cloud.nova.post('/os-server-groups', body, version='2.64')['server_group']['id']
        server = {
            'name': 'web',
            'flavorRef': next(iter(self.cloud.pod('Pod1').nova.flavors)),
            'imageRef': self.cloud.lab.image['id'],
            'networks': 'none',
            'availability_zone': 'az1',
        }
        document = {'server': server, 'os:scheduler_hints': {'group': group}}
        made = [self.cloud.nova.post('/servers', document, version='2.94') for _ in range(2)]
        self.assertEqual([202, 202], [each.status for each in made])
        return group, [each['server']['id'] for each in made]

    def places(self, servers):
        return {self.place('server', each)[0] for each in servers}


class TestApplications(PartsCase):
    def test_servers_that_share_volumes_are_one_move(self):
        servers, volumes = self.chain()
        alone = self.server()
        plan = self.create(
            200,
            kind='application',
            members=[{'type': 'server', 'id': each} for each in (servers[2], alone, *servers[:2])],
            zone='az2',
            dry_run=True,
        )['plan']
        self.assertEqual([servers[2], alone], [each['resource_id'] for each in plan['members']])
        group = self.application(servers[2], alone, *servers[:2])
        self.assertEqual(4, self.completed(group)['counts']['moved'])
        self.assertEqual(2, self.count_moves())
        self.assertEqual({'Pod2'}, self.places([*servers, alone]))
        self.assertEqual({'Pod2'}, {self.place('volume', each)[0] for each in volumes})

    def test_one_server_that_is_no_member_refuses_all(self):
        servers, _volumes = self.chain()
        members = [{'type': 'server', 'id': each} for each in servers[:2]]
        self.assertIn(servers[2], self.create(422, kind='application', members=members, zone='az2').text)
        self.assertEqual(0, self.count_moves())

    def test_more_servers_than_one_move_takes_are_refused(self):
        self.patch(parts, 'MOST_SERVERS', 2)
        servers, _volumes = self.chain()
        members = [{'type': 'server', 'id': each} for each in servers]
        self.assertIn('More than 2 servers', self.create(422, kind='application', members=members, zone='az2').text)
        group = self.begin(kind='drain', source_pod='Pod1', target_pods=['Pod3'], canary=0)
        self.run_group(group, until=lambda shown: shown['counts']['refused'] == 5)
        self.assertEqual(0, self.count_moves())

    def test_one_server_that_cannot_be_built_moves_none(self):
        servers, volumes = self.chain()
        group = self.application(*servers)
        self.run_group(group, until=lambda shown: shown['counts']['moving'] == 3)
        self.let_build('Pod2', False)
        self.run_group(group, until=lambda shown: shown['counts']['failed'] == 3)
        self.assertEqual({'Pod1'}, self.places(servers))
        self.assertEqual(['ACTIVE'] * 3, [self.show(each)['status'] for each in servers])
        self.assertEqual(volumes, [each for each in volumes if self.place('volume', each)[0] == 'Pod1'])

    def test_servers_of_a_group_with_affinity_are_one_move(self):
        made, servers = self.close_group()
        members = [{'type': 'server', 'id': servers[0]}]
        self.assertIn(servers[1], self.create(422, kind='application', members=members, zone='az2').text)
        self.completed(self.begin(kind='application', server_group_id=made, zone='az2'))
        self.assertEqual(1, self.count_moves())
        self.assertEqual({'Pod2'}, self.places(servers))
        shown = self.cloud.nova.get(f'/os-server-groups/{made}', version='2.64')['server_group']
        self.assertEqual(sorted(servers), sorted(shown['members']))
        self.assertEqual([[made]] * 2, [self.show(each)['server_groups'] for each in servers])


class TestDrains(PartsCase):
    def test_pod_is_emptied_of_servers_that_move_together(self):
        servers, volumes = self.chain()
        _made, others = self.close_group()
        group = self.begin(kind='drain', source_pod='Pod1', target_pods=['Pod3'], confirm_seconds=0, canary=0)
        shown = self.completed(group)
        self.assertEqual(7, shown['counts']['moved'])
        self.assertEqual({'Pod3'}, self.places([*servers, *others]))
        self.assertEqual({'Pod3'}, {self.place('volume', each)[0] for each in volumes})
        self.assertEqual(2, self.count_moves())

    def test_canary_takes_the_servers_that_move_with_it(self):
        servers, _volumes = self.chain()
        alone = self.server()
        group = self.begin(kind='drain', source_pod='Pod1', target_pods=['Pod3'], canary=1, confirm_seconds=3600)
        self.run_group(group, until=lambda shown: shown['counts']['switched'] >= 3)
        self.assertEqual({'Pod3'}, self.places(servers))
        self.assertEqual({'Pod1'}, self.places([alone]))

    def test_server_deleted_before_its_part_moves_is_left_out(self):
        servers, _volumes = self.chain()
        group = self.begin(kind='drain', source_pod='Pod1', target_pods=['Pod3'], confirm_seconds=0, canary=0)
        self.let_build('Pod3', False)
        self.run_group(group, until=lambda shown: shown['counts']['undoing'])
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{servers[2]}').status)
        self.let_build('Pod3', True)
        self.completed(group)
        self.assertEqual({'Pod3'}, self.places(servers[:2]), self.members(group))
        self.assertEqual('gone', self.states(group)[servers[2]])
        self.assertEqual({'confirmed', 'reverted'}, {move.state for move in moves.list_(self.db)})
