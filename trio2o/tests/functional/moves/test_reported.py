# SPDX-License-Identifier: Apache-2.0
"""Failures that users of other tools report, as far as no other module of this folder is about them."""

from trio2o.lab.emulated.neutron import kinds
from trio2o.tests.functional.moves.base import MovesCase


class TestReported(MovesCase):
    def new_type(self, name):
        answer = self.cloud.cinder.post('/types', {'volume_type': {'name': name}}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.run_jobs(1000)

    def test_each_volume_keeps_its_type_and_its_image_metadata(self):
        for name in ('gold', 'silver'):
            self.new_type(name)
        volumes = [self.volume(volume_type=name) for name in ('silver', 'gold')]
        for at, volume in enumerate(volumes):
            self.show_volume(volume)
            body = {'os-set_image_metadata': {'metadata': {'hw_machine_type': 'q35', 'number': str(at)}}}
            answer = self.cloud.cinder.post(f'/volumes/{volume}/action', body)
            self.assertEqual(200, answer.status, answer.text)
        server = self.server(volumes=volumes)
        names = ('volume_type', 'volume_image_metadata', 'bootable', 'metadata')
        before = [[self.show_volume(volume)[name] for name in names] for volume in volumes]
        self.assertEqual(['silver', 'gold'], [row[0] for row in before])
        self.assertEqual('1', before[1][1]['number'])
        self.move('server', server)
        self.assertEqual(before, [[self.show_volume(volume)[name] for name in names] for volume in volumes])

    def test_names_that_the_target_has_already_do_not_matter(self):
        others = [self.volume('az2', name='data'), self.server('az2', name='web')]
        volume = self.volume(name='data')
        server = self.server(volumes=[volume], name='web')
        self.disk('volume', volume).write(b'mine')
        self.disk('volume', others[0]).write(b'another')
        checksums = [self.disk('volume', each).checksum() for each in (volume, others[0])]
        self.move('server', server)
        self.assertEqual(checksums, [self.disk('volume', each).checksum() for each in (volume, others[0])])
        self.assertEqual({server, others[1]}, {each['id'] for each in self.cloud.nova.get('/servers')['servers']})
        self.assertEqual({volume, others[0]}, {each['id'] for each in self.cloud.cinder.get('/volumes')['volumes']})

    def test_all_addresses_of_all_cards_stay(self):
        neutron = self.cloud.lab.neutron
        network = neutron.add_network('demo', cidr='10.0.0.0/28')
        public = neutron.add_network('demo', name='public', cidr='203.0.113.0/28', **{'router:external': True})
        fixed = [{'ip_address': '10.0.0.7'}, {'ip_address': '10.0.0.5'}]
        ports = [neutron.add_port(network, fixed_ips=fixed), neutron.add_port(network)]
        # Neutron keeps what it is given, Nova shows small letters.
        ports[1]['mac_address'] = ports[1]['mac_address'].upper()
        server = self.server(networks=[{'port': port['id']} for port in ports])
        self.assertEqual('ACTIVE', self.show(server)['status'])
        given = {'floating_network_id': public['id'], 'port_id': ports[0]['id']}
        floating = neutron.create(kinds.FLOATING_IP, network['project_id'], given)
        before = self.addresses(neutron, ports)
        self.move('server', server)
        self.assertEqual(before, self.addresses(neutron, ports))
        self.assertEqual(ports[0]['id'], neutron.floating_ips[floating['id']]['port_id'])
        self.assertEqual(floating['floating_ip_address'], neutron.floating_ips[floating['id']]['floating_ip_address'])

    def addresses(self, neutron, ports):
        return [[neutron.ports[port['id']][name] for name in ('mac_address', 'fixed_ips', 'status')] for port in ports]

    def test_tokens_that_expire_meanwhile_are_replaced(self):
        seen = set()
        transport = self.cloud.transport
        send = transport.request

        def request(method, url, headers, *args, **kwargs):
            seen.update(value for name, value in headers if name.lower() == 'x-auth-token')
            return send(method, url, headers, *args, **kwargs)

        server = self.server(volumes=[self.volume()])
        transport.request = request
        move_id = self.start('server', server)
        for state in ('frozen', 'copied', 'verified', 'built'):
            self.run_move(move_id, until=state)
            self.assertGreater(len(seen), 0)
            self.cloud.lab.keystone.revoked.update(seen)
            seen.clear()
        move = self.run_move(move_id)
        self.assertEqual('confirmed', move.status, move.error)
