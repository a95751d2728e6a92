# SPDX-License-Identifier: Apache-2.0
"""What a plan finds, one test for each finding; the pods are asked, and nothing is changed."""

from trio2o.tests.functional.moves.base import MovesCase


class ChecksCase(MovesCase):
    def found(self, resource_type, resource_id):
        """Return the codes of the findings of a move to Pod2, by level."""
        codes = {}
        for finding in self.plan(resource_type, resource_id).findings:
            codes.setdefault(finding.level, set()).add(finding.code)
        return codes

    def blockers(self, resource_type, resource_id):
        return self.found(resource_type, resource_id).get('blocker', set())

    def nova(self, pod='Pod1'):
        return self.cloud.pod(pod).nova

    def cinder(self, pod='Pod1'):
        return self.cloud.pod(pod).cinder


class TestVolumes(ChecksCase):
    def test_volume_without_findings(self):
        self.assertEqual({}, self.found('volume', self.volume()))

    def test_fields_of_volume_that_block(self):
        cases = {
            'state': {'status': 'error'},
            'encryption': {'encryption_key_id': 'x'},
            'group': {'group_id': '11111111-2222-3333-4444-555555555555'},
            'metadata': {'metadata': {str(number): 'x' for number in range(128)}},
        }
        for code, fields in cases.items():
            volume = self.volume()
            self.cinder().volumes[volume].update(fields)
            self.assertEqual({code}, self.blockers('volume', volume), fields)

    def test_volume_with_snapshots_blocks(self):
        volume = self.volume()
        self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})
        self.assertEqual({'snapshots'}, self.blockers('volume', volume))

    def test_missing_volume_type_blocks(self):
        volume = self.volume()
        record = self.cinder().volumes[volume]
        self.cinder().types[record['type_id']]['name'] = 'only-here'
        self.assertEqual({'volume_type'}, self.blockers('volume', volume))

    def test_volume_of_several_servers_blocks(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        self.cinder().attach_volume(volume, '11111111-2222-3333-4444-555555555555', '/dev/vdb')
        self.assertEqual({'multiattach'}, self.blockers('server', server))


class TestPods(ChecksCase):
    def test_no_role_in_project_blocks(self):
        volume = self.volume()
        del self.cloud.lab.keystone.users['trio2o'].roles['demo']
        self.assertEqual({'access'}, self.blockers('volume', volume))

    def test_pod_that_takes_nothing_new_blocks(self):
        volume = self.volume()
        self.cloud.set_pod('Pod2', state='draining')
        self.assertEqual({'pod_state'}, self.blockers('volume', volume))

    def test_other_glance_blocks(self):
        volume = self.volume()
        endpoints = self.cloud.lab.keystone.endpoints
        endpoints[:] = [row for row in endpoints if (row.region, row.service_type) != ('Pod2', 'image')]
        self.cloud.lab.keystone.add_endpoint('Pod2', 'image', 'http://other.glance.test:9292', 'glance')
        self.cloud.runtime.pod_endpoints.forget()
        self.assertEqual({'image_service'}, self.blockers('volume', volume))

    def test_quota_of_project_in_target_blocks(self):
        volume, server = self.volume(), self.server()
        project = self.cloud.project_id()
        for service, limits in (('nova', {'cores': 0}), ('cinder', {'gigabytes': 0})):
            client = self.cloud.direct('Pod2', service)
            answer = client.put(f'/os-quota-sets/{project}', {'quota_set': limits}, as_='admin')
            self.assertEqual(200, answer.status, answer.text)
        self.assertEqual({'quota'}, self.blockers('volume', volume))
        self.assertEqual({'quota'}, self.blockers('server', server))

    def test_capacity_that_target_has_not_blocks(self):
        server, volume = self.server(), self.volume(size=7)
        self.capacity('Pod2', vcpus=1, gigabytes=7)
        self.assertEqual(set(), self.blockers('server', server) | self.blockers('volume', volume))
        self.capacity('Pod2', vcpus=0, gigabytes=6)
        self.assertEqual({'capacity'}, self.blockers('server', server))
        self.assertEqual({'capacity'}, self.blockers('volume', volume))

    def test_capacity_that_other_moves_use_blocks_until_they_have_built(self):
        servers = [self.server() for _ in range(3)]
        self.capacity('Pod2', vcpus=2)
        first = self.start('server', servers[0])
        self.assertEqual(set(), self.blockers('server', servers[1]))
        self.start('server', servers[1])
        self.assertEqual({'capacity'}, self.blockers('server', servers[2]))
        self.run_move(first, until='built')
        self.assertEqual(set(), self.blockers('server', servers[2]))

    def capacity(self, pod, vcpus, gigabytes=1000):
        """Let a pod have a capacity, and let Trio2o read it."""
        emulated = self.cloud.pod(pod)
        emulated.placement.capacity[''] = {'VCPU': vcpus, 'MEMORY_MB': 100000, 'DISK_GB': 100000}
        emulated.placement.ratios, emulated.placement.reserved = {}, {}
        emulated.cinder.capacity_gb = gigabytes
        self.cloud.runtime.jobs.submit('collect_usage', 'all', None)
        self.cloud.run_jobs()
        self.cloud.runtime.registry.refresh()


class TestServers(ChecksCase):
    def test_server_without_blockers(self):
        found = self.found('server', self.server())
        self.assertEqual({'note'}, set(found))
        self.assertLessEqual({'instance_id', 'user', 'console_log'}, found['note'])

    def test_states_that_block(self):
        for fields in (
            {'vm_state': 'paused'},
            {'vm_state': 'error'},
            {'vm_state': 'resized'},
            {'vm_state': 'shelved_offloaded'},
            {'task_state': 'rebooting'},
        ):
            server = self.server()
            self.assertEqual('ACTIVE', self.show(server)['status'])
            self.nova().servers[server].update(fields)
            self.assertEqual({'state'}, self.blockers('server', server), fields)

    def test_flavors_that_block(self):
        for specs, code in (
            ({'pci_passthrough:alias': 'gpu:1'}, 'device'),
            ({'resources:VGPU': '1'}, 'device'),
            ({'hw:tpm_version': '2.0'}, 'vtpm'),
        ):
            flavor = self.make_flavor(id=f'f-{code}-{next(iter(specs))[-4:]}', name=f'{specs}')
            server = self.server(flavorRef=flavor['id'])
            self.nova().flavors[flavor['id']]['extra_specs'].update(specs)
            self.assertEqual({code}, self.blockers('server', server), specs)

    def test_flavor_that_only_the_source_has_blocks(self):
        flavor = self.make_flavor(id='f1', name='f1')
        server = self.server(flavorRef=flavor['id'])
        del self.nova('Pod2').flavors['f1']
        self.assertEqual({'flavor'}, self.blockers('server', server))
        del self.nova('Pod1').flavors['f1']
        self.assertEqual({'flavor'}, self.blockers('server', server))

    def test_server_with_shares_blocks(self):
        server = self.server()
        self.nova().servers[server]['shares'] = [{'share_id': 'x'}]
        self.assertEqual({'shares'}, self.blockers('server', server))

    def test_ports_that_neutron_does_not_know_block(self):
        server = self.server(networks='auto')
        self.assertEqual({'port'}, self.blockers('server', server))

    def test_ports_block_without_a_shared_neutron(self):
        keystone = self.cloud.lab.keystone
        server = self.server(networks='auto')
        without = [row for row in keystone.endpoints if (row.region, row.service_type) != ('Pod2', 'network')]
        self.patch(keystone, 'endpoints', without)
        self.cloud.runtime.pod_endpoints.forget()
        self.assertEqual({'network_service'}, self.blockers('server', server))

    def test_losses_and_notes(self):
        flavor = self.make_flavor(id='f2', name='f2', ephemeral=1)
        server = self.server(flavorRef=flavor['id'], config_drive=True)
        self.cloud.nova.post(f'/servers/{server}/action', {'os-stop': None})
        self.cloud.nova.post(f'/servers/{server}/action', {'lock': None})
        found = self.found('server', server)
        self.assertEqual({'ephemeral'}, found['loss'])
        self.assertLessEqual({'locked', 'power_state', 'config_drive'}, found['note'])

    def make_flavor(self, ephemeral=0, **given):
        body = {'ram': 64, 'vcpus': 1, 'disk': 1, 'OS-FLV-EXT-DATA:ephemeral': ephemeral, **given}
        answer = self.cloud.nova.post('/flavors', {'flavor': body}, as_='admin', version='2.1')
        self.assertEqual(200, answer.status, answer.text)
        return answer['flavor']
