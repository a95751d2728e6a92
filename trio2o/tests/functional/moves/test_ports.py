# SPDX-License-Identifier: Apache-2.0
"""Ports of a shared Neutron: the server in the target gets them, and nothing in the source touches them afterwards."""

from trio2o.db import moves
from trio2o.tests.functional.moves.base import MovesCase


class TestPorts(MovesCase):
    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def setUp(self):
        super().setUp()
        self.neutron = self.cloud.lab.neutron
        self.network = self.neutron.add_network('demo', cidr='10.0.0.0/28')

    def connected(self):
        """Create a server with a port of its owner, and one that Nova creates. :returns: its id"""
        self.port = self.neutron.add_port(self.network)
        server = self.server(networks=[{'port': self.port['id']}, {'uuid': self.network['id']}])
        self.assertEqual('ACTIVE', self.show(server)['status'])
        return server

    def ports(self, server):
        """Return what matters of the ports of a server, wherever it is, by id."""
        _pod, bottom_id = self.place('server', server)
        return {
            port['id']: (port['mac_address'], port['fixed_ips'], port['security_groups'], port['status'])
            for port in self.neutron.ports_of(bottom_id)
        }

    def test_ports_stay_there_and_back(self):
        server = self.connected()
        before, addresses = self.ports(server), self.show(server)['addresses']
        self.assertEqual(2, len(before))
        for pod in ('Pod2', 'Pod1'):
            move_id = self.start('server', server, pod)
            self.run_move(move_id, until='switched')
            self.assertEqual(before, self.ports(server), pod)
            moves.confirm(self.db, move_id)
            self.assertEqual('confirmed', self.run_move(move_id).status)
            self.assertEqual(before, self.ports(server), pod)
            self.assertEqual(addresses, self.show(server)['addresses'], pod)

    def test_source_gets_its_ports_back(self):
        server = self.connected()
        before, interfaces = self.ports(server), self.interfaces(server)
        for until in ('built', 'switched'):
            move_id = self.start('server', server)
            self.run_move(move_id, until=until)
            (moves.cancel if until == 'built' else moves.revert)(self.db, move_id)
            self.assertEqual('reverted', self.run_move(move_id).status)
            self.assertEqual(before, self.ports(server), until)
            self.assertEqual(interfaces, self.interfaces(server), until)

    def test_port_of_another_server_refuses_a_revert(self):
        server, other = self.connected(), self.server(zone='az2')
        move_id = self.start('server', server)
        self.run_move(move_id, until='switched')
        path = f'/servers/{server}/os-interface/{self.port["id"]}'
        self.assertEqual(202, self.cloud.nova.delete(path).status)
        path = f'/servers/{other}/os-interface'
        given = self.cloud.nova.post(path, {'interfaceAttachment': {'port_id': self.port['id']}})
        self.assertEqual(200, given.status, given.text)
        answer = self.cloud.api.post(f'/moves/{move_id}/revert')
        self.assertEqual(409, answer.status, answer.text)
        self.assertIn(f'Port {self.port["id"]} belongs to {other}', answer.text)
        moves.revert(self.db, move_id)
        self.assertEqual('stuck', self.run_move(move_id).status)
        self.assertEqual('Pod2', self.place('server', server)[0])
        self.assertEqual(202, self.cloud.nova.delete(f'{path}/{self.port["id"]}').status)
        moves.resume(self.db, move_id)
        self.assertEqual('reverted', self.run_move(move_id).status)
        self.assertEqual(2, len(self.ports(server)))

    def test_server_deleted_without_its_ports_leaves_what_nova_leaves(self):
        for after in ('take ports', 'compare'):
            with self.subTest(after=after):
                server = self.connected()
                (made,) = self.ports(server).keys() - {self.port['id']}
                move_id = self.start('server', server)
                self.run_move(move_id, after=after)
                self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
                self.assertEqual('reverted', self.run_move(move_id).status)
                left = self.neutron.ports
                self.assertNotIn(made, left)
                self.assertEqual(('', ''), (left[self.port['id']]['device_id'], left[self.port['id']]['device_owner']))
                self.assertEqual(set(), self.inventory('Pod2')['servers'])

    def interfaces(self, server):
        """Return the ports as Nova of the source remembers them, which decides what it deletes with the server."""
        entries = self.cloud.pod('Pod1').nova.servers[server]['interfaces']
        return [(entry['port_id'], entry['preserve_on_delete']) for entry in entries]

    def test_port_that_nova_created_goes_with_the_server_after_a_revert(self):
        server = self.connected()
        move_id = self.start('server', server)
        self.run_move(move_id, until='switched')
        moves.revert(self.db, move_id)
        self.run_move(move_id)
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{server}').status)
        self.assertEqual([self.port['id']], [port['id'] for port in self.neutron.ports.values()])

    def test_port_that_somebody_took_makes_the_move_stuck(self):
        server = self.connected()
        move_id = self.start('server', server)
        self.run_move(move_id, until='verified')
        self.neutron.ports[self.port['id']]['device_id'] = 'other'
        move = self.run_move(move_id)
        self.assertEqual('stuck', move.status)
        self.assertIn(self.port['id'], move.error)
