# SPDX-License-Identifier: Apache-2.0
"""The emulated Neutron, and the ports of servers of emulated pods."""

import testtools

from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.unit.lab.client import Client

UNBOUND = ('', '', '', 'DOWN')
FREE = {'device_id': '', 'device_owner': '', 'binding:host_id': '', 'binding:profile': {}}


class Base(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=2)
        self.neutron = self.cloud.neutron
        self.client = Client(self.cloud)
        self.admin = Client(self.cloud, user='admin')
        self.there = Client(self.cloud, 'Pod2')
        self.network = self.neutron.add_network(cidr='10.0.0.0/29')

    def sent(self, status, answer):
        self.assertEqual(status, answer.status, answer.body)
        return next(iter(answer.json.values())) if answer.body else None

    def refused(self, status, kind, answer):
        error = self.sent(status, answer)
        self.assertEqual((kind, ''), (error['type'], error['detail']))
        return error['message']

    def port(self, **given):
        return self.neutron.add_port(self.network, **given)['id']

    def state(self, port):
        row = self.neutron.ports[port]
        return tuple(row[key] for key in ('device_id', 'device_owner', 'binding:host_id', 'status'))

    def try_server(self, *networks, client=None, **given):
        image = self.cloud.image['id']
        body = {'server': {'name': 's', 'flavorRef': '1', 'networks': networks, 'imageRef': image, **given}}
        return (client or self.client).nova('POST', '/servers', body, '2.60')

    def server(self, *networks, client=None, **given):
        made = self.sent(202, self.try_server(*networks, client=client, **given))['id']
        (client or self.client).pod.nova.settle()
        return made

    def show(self, server, client=None):
        return self.sent(200, (client or self.client).nova('GET', f'/servers/{server}', None, '2.60'))

    def act(self, server, client=None, status=202, **action):
        return self.sent(status, (client or self.client).nova('POST', f'/servers/{server}/action', action, '2.60'))

    def shown(self, server, client=None):
        rows = self.sent(200, (client or self.client).nova('GET', f'/servers/{server}/os-interface', None, '2.70'))
        return [row['port_id'] for row in rows]

    def delete(self, server, client=None):
        client = client or self.client
        self.assertEqual(204, client.nova('DELETE', f'/servers/{server}').status)
        client.pod.nova.settle()

    def assertBound(self, port, server, host='pod1-compute-1', status='ACTIVE'):
        self.assertEqual((server, 'compute:nova', host, status), self.state(port))


class TestNeutron(Base):
    def test_every_region_has_the_same_neutron(self):
        rows = {
            (row['region'], row['url'])
            for entry in self.cloud.keystone.catalog()
            for row in entry['endpoints']
            if entry['type'] == 'network'
        }
        self.assertEqual({(region, self.neutron.url) for region in ('RegionOne', 'Pod1', 'Pod2')}, rows)

    def test_resources_are_created_shown_changed_and_deleted(self):
        network = self.sent(201, self.client.neutron('POST', '/networks', {'network': {'name': 'n'}}))
        body = {'subnet': {'network_id': network['id'], 'cidr': '10.1.0.0/30', 'ip_version': 4}}
        subnet = self.sent(201, self.client.neutron('POST', '/subnets', body))
        self.assertEqual(
            ('10.1.0.1', [{'start': '10.1.0.2', 'end': '10.1.0.2'}]),
            (subnet['gateway_ip'], subnet['allocation_pools']),
        )
        body = {'port': {'network_id': network['id'], 'name': 'p'}}
        answer = self.client.neutron('POST', '/ports', body)
        port = self.sent(201, answer)
        self.assertEqual(1, len(answer.headers['x-openstack-request-id']))
        (group,) = port['security_groups']
        self.assertEqual('default', self.neutron.security_groups[group]['name'])
        self.assertEqual([{'subnet_id': subnet['id'], 'ip_address': '10.1.0.2'}], port['fixed_ips'])
        self.assertEqual(
            ('p', '', '', 'DOWN', True, '', [], self.cloud.project_id('demo')),
            tuple(
                port[key]
                for key in (
                    'name',
                    'device_id',
                    'device_owner',
                    'status',
                    'admin_state_up',
                    'dns_name',
                    'tags',
                    'project_id',
                )
            ),
        )
        path = f'/ports/{port["id"]}'
        changed = self.sent(200, self.client.neutron('PUT', path, {'port': {'name': 'q'}}))
        self.assertEqual(('q', 2), (changed['name'], changed['revision_number']))
        self.assertEqual(['b'], self.sent(200, self.client.neutron('PUT', path + '/tags', {'tags': ['b', 'b']})))
        self.assertEqual(201, self.client.neutron('PUT', path + '/tags/a').status)
        self.assertEqual(['a', 'b'], self.sent(200, self.client.neutron('GET', path))['tags'])
        self.refused(409, 'NetworkInUse', self.client.neutron('DELETE', f'/networks/{network["id"]}'))
        self.refused(409, 'SubnetInUse', self.client.neutron('DELETE', f'/subnets/{subnet["id"]}'))
        self.assertEqual(204, self.client.neutron('DELETE', path).status)
        message = self.refused(404, 'PortNotFound', self.client.neutron('GET', path))
        self.assertEqual(f'Port {port["id"]} could not be found.', message)
        self.assertEqual(204, self.client.neutron('DELETE', f'/networks/{network["id"]}').status)
        self.assertNotIn(subnet['id'], self.neutron.subnets)

    def test_lists_are_filtered_sorted_and_cut(self):
        first, second = self.port(name='b', device_id='x'), self.port(name='a')
        other = self.neutron.add_network(name='other')['id']
        for query, expected in (
            ('', [first, second]),
            ('device_id=x', [first]),
            (f'network_id={other}', []),
            (f'id={first}&id={second}&network_id={self.network["id"]}', [first, second]),
            ('sort_key=name', [second, first]),
            (f'limit=1&marker={first}', [second]),
            ('fixed_ips=ip_address=10.0.0.3', [second]),
            ('tenant_id=nobody', []),
            ('admin_state_up=true', [first, second]),
        ):
            rows = self.sent(200, self.client.neutron('GET', f'/ports?{query}'))
            self.assertEqual(expected, [row['id'] for row in rows], query)
        rows = self.sent(200, self.client.neutron('GET', '/ports?fields=id&fields=name&name=a'))
        self.assertEqual([{'id': second, 'name': 'a'}], rows)
        self.refused(400, 'InvalidInput', self.client.neutron('GET', '/ports?colour=red'))

    def test_projects_see_their_own_and_only_admins_see_bindings(self):
        port, alt = self.port(), Client(self.cloud, user='alt')
        self.refused(404, 'PortNotFound', alt.neutron('GET', f'/ports/{port}'))
        self.refused(404, 'PortNotFound', alt.neutron('PUT', f'/ports/{port}', {'port': {'name': 'x'}}))
        self.assertEqual([], self.sent(200, alt.neutron('GET', '/ports')))
        self.assertEqual([], self.sent(200, alt.neutron('GET', '/networks')))
        shared = self.neutron.add_network(name='shared', shared=True)
        self.assertEqual(['shared'], [row['name'] for row in self.sent(200, alt.neutron('GET', '/networks'))])
        self.refused(
            403, 'PolicyNotAuthorized', alt.neutron('PUT', f'/networks/{shared["id"]}', {'network': {'name': 'x'}})
        )
        body = {'port': {'network_id': shared['id'], 'fixed_ips': [{'ip_address': '10.0.0.9'}]}}
        self.refused(403, 'PolicyNotAuthorized', alt.neutron('POST', '/ports', body))
        self.assertNotIn('binding:host_id', self.sent(200, self.client.neutron('GET', f'/ports/{port}')))
        body = {'port': {'binding:host_id': 'h'}}
        message = self.refused(403, 'PolicyNotAuthorized', self.client.neutron('PUT', f'/ports/{port}', body))
        self.assertEqual('(rule:update_port and rule:update_port:binding:host_id) is disallowed by policy', message)
        changed = self.sent(200, self.admin.neutron('PUT', f'/ports/{port}', body))
        self.assertEqual(('h', 'ovs'), (changed['binding:host_id'], changed['binding:vif_type']))
        reader = Client(self.cloud, user='reader')
        self.refused(403, 'PolicyNotAuthorized', reader.neutron('DELETE', f'/ports/{port}'))
        self.assertEqual(401, self.client.neutron('GET', '/ports', X_Auth_Token='none').status)

    def test_addresses_and_macs_are_used_once(self):
        def create(**given):
            return self.client.neutron('POST', '/ports', {'port': {'network_id': self.network['id'], **given}})

        first = self.sent(201, create(fixed_ips=[{'ip_address': '10.0.0.4'}], mac_address='FA:16:3E:00:00:01'))
        self.assertEqual('fa:16:3e:00:00:01', first['mac_address'])
        self.refused(409, 'IpAddressAlreadyAllocated', create(fixed_ips=[{'ip_address': '10.0.0.4'}]))
        self.refused(400, 'InvalidIpForNetwork', create(fixed_ips=[{'ip_address': '10.9.0.4'}]))
        self.refused(409, 'MacAddressInUse', create(mac_address='fa:16:3e:00:00:01'))
        found = [self.sent(201, create())['fixed_ips'][0]['ip_address'] for _ in range(4)]
        self.assertEqual(['10.0.0.2', '10.0.0.3', '10.0.0.5', '10.0.0.6'], found)
        self.refused(409, 'IpAddressGenerationFailure', create())
        self.assertEqual([], self.sent(201, create(fixed_ips=[]))['fixed_ips'])
        self.client.neutron('DELETE', f'/ports/{first["id"]}')
        self.assertEqual('10.0.0.4', self.sent(201, create())['fixed_ips'][0]['ip_address'])

    def test_bodies_that_neutron_does_not_know_are_refused(self):
        for method, path, body in (
            ('POST', '/ports', {'port': {}}),
            ('POST', '/ports', {'port': {'network_id': self.network['id'], 'colour': 'red'}}),
            ('POST', '/ports', {'port': {'network_id': self.network['id'], 'id': self.network['id']}}),
            ('POST', '/ports', {'port': {'network_id': self.network['id'], 'fixed_ips': [5]}}),
            ('POST', '/ports', {'server': {}}),
            ('POST', '/ports', None),
            ('PUT', f'/ports/{self.port()}', {'port': {'status': 'ACTIVE'}}),
            ('PUT', f'/ports/{self.port()}', {'port': {'device_id': 5}}),
        ):
            self.refused(400, 'HTTPBadRequest', self.client.neutron(method, path, body))
        self.refused(404, 'HTTPNotFound', self.client.neutron('GET', '/trunks'))

    def test_floating_ip_is_of_one_port(self):
        outside = self.neutron.add_network('admin', 'public', '192.0.2.0/29', **{'router:external': True})
        port, other = self.port(), self.port()
        body = {'floatingip': {'floating_network_id': outside['id'], 'port_id': port}}
        floating = self.sent(201, self.client.neutron('POST', '/floatingips', body))
        self.assertEqual(
            ('192.0.2.2', '10.0.0.2', 'ACTIVE'),
            tuple(floating[key] for key in ('floating_ip_address', 'fixed_ip_address', 'status')),
        )
        self.refused(409, 'FloatingIPPortAlreadyAssociated', self.client.neutron('POST', '/floatingips', body))
        path = f'/floatingips/{floating["id"]}'
        moved = self.sent(200, self.client.neutron('PUT', path, {'floatingip': {'port_id': other}}))
        self.assertEqual('10.0.0.3', moved['fixed_ip_address'])
        self.client.neutron('DELETE', f'/ports/{other}')
        self.assertEqual(
            (None, 'DOWN'),
            tuple(self.sent(200, self.client.neutron('GET', path))[key] for key in ('port_id', 'status')),
        )
        body = {'floatingip': {'floating_network_id': self.network['id']}}
        self.refused(400, 'BadRequest', self.client.neutron('POST', '/floatingips', body))

    def test_group_of_a_port_is_not_deleted(self):
        group = self.sent(201, self.client.neutron('POST', '/security-groups', {'security_group': {'name': 'g'}}))
        port = self.port(security_groups=[group['id']])
        self.refused(409, 'SecurityGroupInUse', self.client.neutron('DELETE', f'/security-groups/{group["id"]}'))
        self.client.neutron('DELETE', f'/ports/{port}')
        self.assertEqual(204, self.client.neutron('DELETE', f'/security-groups/{group["id"]}').status)
        body = {'port': {'network_id': self.network['id'], 'security_groups': [group['id']]}}
        self.refused(404, 'SecurityGroupNotFound', self.client.neutron('POST', '/ports', body))


class TestPortsOfServers(Base):
    def test_created_and_given_ports_are_bound_to_the_server_and_its_host(self):
        given = self.port()
        server = self.server({'port': given, 'tag': 'nic'}, {'uuid': self.network['id'], 'fixed_ip': '10.0.0.5'})
        self.assertEqual('ACTIVE', self.show(server)['status'])
        ports = [port['id'] for port in self.neutron.ports_of(server)]
        self.assertEqual([given], ports[:1])
        for port in ports:
            self.assertBound(port, server)
        self.assertEqual(['s', 's'], [self.neutron.ports[port]['dns_name'] for port in ports])
        rows = self.sent(200, self.client.nova('GET', f'/servers/{server}/os-interface', None, '2.70'))
        self.assertEqual([(given, 'nic'), (ports[1], None)], [(row['port_id'], row['tag']) for row in rows])
        self.assertEqual(self.neutron.ports[given]['fixed_ips'], rows[0]['fixed_ips'])
        self.assertEqual(
            [True, False],
            [row['preserve_on_delete'] for row in self.client.pod.nova.servers[server]['interfaces']],
        )

    def test_addresses_have_macs_types_and_floating_ips(self):
        outside = self.neutron.add_network('admin', 'public', '192.0.2.0/29', **{'router:external': True})
        server = self.server({'uuid': self.network['id']})
        (port,) = self.neutron.ports_of(server)
        body = {'floatingip': {'floating_network_id': outside['id'], 'port_id': port['id']}}
        self.sent(201, self.client.neutron('POST', '/floatingips', body))
        self.assertEqual(
            {
                'private': [
                    {
                        'version': 4,
                        'addr': address,
                        'OS-EXT-IPS:type': kind,
                        'OS-EXT-IPS-MAC:mac_addr': port['mac_address'],
                    }
                    for address, kind in (('10.0.0.2', 'fixed'), ('192.0.2.2', 'floating'))
                ]
            },
            self.show(server)['addresses'],
        )

    def test_server_without_networks_of_neutron_has_made_up_interfaces_or_none(self):
        for networks, count in (('none', 0), ('auto', 1)):
            server = self.server(networks=networks)
            self.assertEqual((count, []), (len(self.shown(server)), self.neutron.ports_of(server)))
        empty = Client(Cloud(pods=1))
        server = self.server({'uuid': 'unknown'}, client=empty)
        self.assertEqual(1, len(self.shown(server, empty)))
        self.assertEqual({}, empty.cloud.neutron.ports)

    def test_ports_are_active_while_the_server_runs_on_a_host(self):
        server = self.server({'port': self.port()})
        (port,) = self.shown(server)
        self.act(server, **{'os-stop': None})
        self.assertBound(port, server, status='DOWN')
        self.act(server, **{'os-start': None})
        self.assertBound(port, server)
        self.act(server, shelve=None)
        self.assertEqual((server, 'compute:nova', '', 'DOWN'), self.state(port))
        self.act(server, unshelve=None)
        self.assertBound(port, server)

    def test_networks_that_nova_refuses_to_create_a_server_with(self):
        used = self.port()
        self.server({'port': used})
        private = self.neutron.add_network('alt')
        public = self.neutron.add_network('admin', 'public', **{'router:external': True})
        foreign = self.neutron.add_port(private)['id']
        empty = self.neutron.add_network(name='empty', cidr=None)['id']
        network, unknown = self.network['id'], self.cloud.image['id']
        for status, message, networks, given in (
            (409, f'Port {used} is still in use.', [{'port': used}], {}),
            (400, f'Port id {unknown} could not be found.', [{'port': unknown}], {}),
            (400, f'Port id {foreign} could not be found.', [{'port': foreign}], {}),
            (400, f'Network {unknown} could not be found.', [{'uuid': unknown}], {}),
            (400, f'Network {private["id"]} could not be found.', [{'uuid': private['id']}], {}),
            (400, f'Network {empty} requires a subnet', [{'uuid': empty}], {}),
            (403, 'It is not allowed to create an interface', [{'uuid': public['id']}], {}),
            (400, 'Fixed IP address 10.0.0.2 is already in use', [{'uuid': network, 'fixed_ip': '10.0.0.2'}], {}),
            (400, 'Failed to launch instances', [{'port': self.port()}], {'min_count': 2}),
            (400, 'Security group g is not found', [{'uuid': network}], {'security_groups': [{'name': 'g'}]}),
        ):
            answer = self.try_server(*networks, **given)
            self.assertEqual(status, answer.status, answer.body)
            self.assertIn(message, answer.message)

    def test_failed_build_unbinds_the_ports_of_its_request_whoever_has_them(self):
        first, second = self.port(), self.port()
        late = self.sent(202, self.try_server({'port': first}, {'port': second}))['id']
        self.neutron.ports[first]['device_id'] = 'another'
        self.client.pod.nova.settle()
        self.assertEqual('ERROR', self.show(late)['status'])
        self.assertEqual([UNBOUND, UNBOUND], [self.state(first), self.state(second)])
        self.assertEqual([], self.shown(late))

    def test_port_of_another_project_or_with_another_name_makes_the_build_fail(self):
        foreign = self.neutron.add_port(self.neutron.add_network('alt'))['id']
        for port in (foreign, self.port(dns_name='other')):
            server = self.server({'port': port}, client=self.admin)
            self.assertEqual('ERROR', self.show(server, self.admin)['status'], port)

    def test_attach_and_detach(self):
        server = self.server({'uuid': self.network['id']})
        given = self.port()
        path = f'/servers/{server}/os-interface'
        made = self.sent(
            200, self.client.nova('POST', path, {'interfaceAttachment': {'port_id': given, 'tag': 't'}}, '2.70')
        )
        self.assertEqual((given, 'ACTIVE', 't'), (made['port_id'], made['port_state'], made['tag']))
        self.assertBound(given, server)
        body = {'interfaceAttachment': {'net_id': self.network['id'], 'fixed_ips': [{'ip_address': '10.0.0.6'}]}}
        created = self.sent(200, self.client.nova('POST', path, body))['port_id']
        self.assertEqual(3, len(self.show(server)['addresses']['private']))
        for port in (given, created):
            self.assertEqual(202, self.client.nova('DELETE', f'{path}/{port}').status)
        self.assertEqual(UNBOUND, self.state(given))
        self.assertNotIn(created, self.neutron.ports)
        self.assertEqual(1, len(self.show(server)['addresses']['private']))

    def test_attachments_that_nova_refuses_change_no_port(self):
        used, free = self.port(), self.port()
        server, unknown = self.server({'port': used}), self.cloud.image['id']
        network, path = self.network['id'], f'/servers/{server}/os-interface'
        foreign = self.neutron.add_port(self.neutron.add_network('alt'))['id']
        for status, message, given in (
            (409, f'Port {used} is still in use.', {'port_id': used}),
            (404, f'Port id {unknown} could not be found.', {'port_id': unknown}),
            (400, f'Port {foreign} not usable for instance {server}.', {'port_id': foreign}),
            (404, f'Network {unknown} could not be found.', {'net_id': unknown}),
            (409, 'Fixed IP 10.0.0.3 is already', {'net_id': network, 'fixed_ips': [{'ip_address': '10.0.0.3'}]}),
            (400, 'Must not input both', {'net_id': network, 'port_id': free}),
        ):
            answer = self.client.nova('POST', path, {'interfaceAttachment': given})
            self.assertEqual(status, answer.status, answer.body)
            self.assertIn(message, answer.message)
        self.act(server, shelve=None)
        answer = self.client.nova('POST', path, {'interfaceAttachment': {'port_id': free}})
        self.assertEqual((409, UNBOUND), (answer.status, self.state(free)))
        self.assertIn("Cannot 'attach_interface'", answer.message)

    def test_security_groups_are_those_of_the_ports(self):
        self.sent(201, self.client.neutron('POST', '/security-groups', {'security_group': {'name': 'g'}}))
        server = self.server({'uuid': self.network['id']}, security_groups=[{'name': 'g'}])
        names = lambda: [row['name'] for row in self.show(server).get('security_groups', [])]  # noqa: E731
        self.assertEqual(['g'], names())
        self.act(server, addSecurityGroup={'name': 'default'})
        self.assertEqual(['g', 'default'], names())
        listed = self.sent(200, self.client.nova('GET', f'/servers/{server}/os-security-groups'))
        self.assertEqual(['default', 'g'], [row['name'] for row in listed])
        self.act(server, removeSecurityGroup={'name': 'g'})
        self.assertEqual(['default'], names())
        self.act(server, status=404, removeSecurityGroup={'name': 'g'})
        self.act(server, status=404, addSecurityGroup={'name': 'unknown'})

    def test_deletion_of_a_server_deletes_created_ports_and_unbinds_given_ones(self):
        given = self.port()
        server = self.server({'port': given}, {'uuid': self.network['id']})
        self.delete(server)
        self.assertEqual([given], list(self.neutron.ports))
        self.assertEqual(UNBOUND, self.state(given))
        self.assertEqual('', self.neutron.ports[given]['dns_name'])


class TestPortsThatLeaveTheirServer(Base):
    def hand_over(self, port):
        """Unbind a port in Neutron, and create a server with it in the other pod."""
        self.sent(200, self.admin.neutron('PUT', f'/ports/{port}', {'port': FREE}))
        server = self.server({'port': port}, client=self.there)
        self.assertBound(port, server, 'pod2-compute-1')
        return server

    def test_created_port_survives_its_server_once_its_device_is_cleared(self):
        source = self.server({'uuid': self.network['id']})
        (port,) = self.shown(source)
        address = self.neutron.ports[port]['fixed_ips']
        target = self.hand_over(port)
        self.assertEqual([], self.shown(source))
        self.assertEqual(address[0]['ip_address'], self.show(source)['addresses']['private'][0]['addr'])
        self.delete(source)
        self.assertBound(port, target, 'pod2-compute-1')
        self.assertEqual(address, self.neutron.ports[port]['fixed_ips'])

    def test_given_port_is_unbound_by_deletion_of_its_old_server_whoever_has_it(self):
        port = self.port()
        source = self.server({'port': port})
        target = self.hand_over(port)
        self.delete(source)
        self.assertEqual(UNBOUND, self.state(port))
        self.assertEqual('ACTIVE', self.show(target, self.there)['status'])

    def test_given_port_is_left_alone_once_nova_has_forgotten_it(self):
        for forget in (self.by_event, self.by_detachment):
            port = self.port()
            source = self.server({'port': port})
            self.act(source, **{'os-stop': None})
            forget(source, port)
            self.assertEqual({}, self.show(source)['addresses'])
            target = self.hand_over(port)
            self.delete(source)
            self.assertBound(port, target, 'pod2-compute-1')

    def by_event(self, server, port):
        self.sent(200, self.admin.neutron('PUT', f'/ports/{port}', {'port': FREE}))
        events = {'events': [{'name': 'network-vif-deleted', 'server_uuid': server, 'tag': port}]}
        self.sent(200, self.admin.nova('POST', '/os-server-external-events', events))

    def by_detachment(self, server, port):
        self.assertEqual(202, self.client.nova('DELETE', f'/servers/{server}/os-interface/{port}').status)

    def test_states_of_the_old_server_do_not_change_a_port_that_left(self):
        source = self.server({'port': self.port()})
        (port,) = self.shown(source)
        target = self.hand_over(port)
        for action in ('os-stop', 'os-start', 'shelve'):
            self.act(source, **{action: None})
            self.assertBound(port, target, 'pod2-compute-1')

    def test_nova_forgets_a_port_that_neutron_deletes(self):
        server = self.server({'port': self.port()})
        (port,) = self.shown(server)
        self.neutron.notifies = False
        other = self.server({'port': self.port()})
        (unseen,) = self.shown(other)
        self.client.neutron('DELETE', f'/ports/{unseen}')
        self.assertEqual(1, len(self.show(other)['addresses']))
        self.neutron.notifies = True
        self.client.neutron('DELETE', f'/ports/{port}')
        self.assertEqual({}, self.show(server)['addresses'])

    def test_deletion_is_done_before_the_next_request_to_neutron(self):
        server = self.server({'uuid': self.network['id']})
        self.assertEqual(204, self.client.nova('DELETE', f'/servers/{server}').status)
        self.assertEqual([], self.sent(200, self.client.neutron('GET', '/ports')))
