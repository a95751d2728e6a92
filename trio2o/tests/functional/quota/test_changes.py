# SPDX-License-Identifier: Apache-2.0
"""Quota usage after a resource was created: changes through the gateway, and changes directly in a pod."""

import uuid
from datetime import timedelta

import sqlalchemy

from trio2o.db import quotas, routings, server_group_copies, transfer_keys
from trio2o.db.database import utcnow
from trio2o.db.records import QuotaClaim, Routing
from trio2o.lab.emulated.faults import BalancerAnswers, DropAfter, Refuse, Status, StatusAfter
from trio2o.quota.settle import Settler
from trio2o.tests.functional.quota.base import QuotaCase


class ChangesCase(QuotaCase):
    def act(self, server_id, action, given=None, status=202, as_='demo'):
        answer = self.cloud.nova.post(f'/servers/{server_id}/action', {action: given}, as_=as_)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def act_on_volume(self, volume_id, action, given, status=202):
        answer = self.cloud.cinder.post(f'/volumes/{volume_id}/action', {action: given}, version='3.60')
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def post(self, path, status=202, as_='demo', version='3.60', **body):
        answer = self.cloud.cinder.post(path, body, as_=as_, version=version)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def recount(self):
        self.cloud.runtime.jobs.submit('recount_quota', self.project, {'project_id': self.project})
        self.cloud.run_jobs()

    def make_type(self, name):
        answer = self.cloud.cinder.post('/types', {'volume_type': {'name': name}}, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        return name


class TestServers(ChangesCase):
    limits = {'cores': 8, 'instances': 4}

    def setUp(self):
        super().setUp()
        self.make_flavor('f4', vcpus=4, ram=1024)

    def test_deleted_server_is_not_counted(self):
        for how in (
            lambda each: self.cloud.nova.delete(f'/servers/{each}'),
            lambda each: self.act(each, 'forceDelete'),
        ):
            server = self.server()
            self.assertIn(how(server).status, (202, 204))
            self.settle()
            self.assertEqual({}, self.used())
            self.assertFalse(routings.get(self.db, 'server', server).is_live)

    def test_server_answered_404_is_not_counted(self):
        server = self.server()
        self.cloud.nova.delete(f'/servers/{server}')
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{server}').status)
        self.assertEqual({}, self.used())

    def test_confirmed_resize_counts_new_size(self):
        server = self.server()
        self.act(server, 'resize', {'flavorRef': 'f4'})
        # Until the resize is confirmed or reverted, the larger size counts.
        self.settle()
        self.assertUsed(instances=1, cores=4, ram=1024)
        self.act(server, 'confirmResize', status=204)
        self.settle()
        self.assertUsed(instances=1, cores=4, ram=1024)

    def test_reverted_resize_counts_old_size(self):
        server = self.server()
        self.act(server, 'resize', {'flavorRef': 'f4'})
        self.settle()
        self.act(server, 'revertResize')
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_resize_to_smaller_flavor_counts_larger_until_confirmed(self):
        server = self.server(flavor='f4')
        self.act(server, 'resize', {'flavorRef': 'f1'})
        self.settle()
        self.assertUsed(instances=1, cores=4, ram=1024)
        self.act(server, 'confirmResize', status=204)
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_shelve_and_rebuild_do_not_change_usage(self):
        """As in Nova: a server that is shelved counts, and one that is rebuilt is the same."""
        server = self.server()
        self.act(server, 'shelve')
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)
        self.act(server, 'unshelve')
        self.settle()
        self.act(server, 'rebuild', {'imageRef': self.cloud.lab.image['id']})
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)
        self.recount()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_soft_deleted_server_is_not_counted_and_restore_over_quota_is_403(self):
        """A soft-deleted server does not count; restoring it claims its resources again."""
        server = self.server(zone='az1')
        row = self.cloud.pod('Pod1').nova.servers[server]
        row['vm_state'] = 'soft-delete'
        self.recount()
        self.assertEqual({}, self.used())
        for _ in range(4):
            self.server(zone='az2')
        answer = self.act(server, 'restore', status=403)
        self.assertIn('Quota exceeded for cores, instances: Requested 2, 1, but already used 8, 4', answer.fault)

    def test_resize_over_quota_is_refused_with_403(self):
        server = self.server()
        self.server(flavor='f4')
        self.server()
        answer = self.act(server, 'resize', {'flavorRef': 'f4'}, status=403)
        self.assertEqual('Quota exceeded for cores: Requested 2, but already used 8 of 8 cores', answer.fault)
        self.assertUsed(instances=3, cores=8, ram=2048)

    def test_refused_resize_leaves_no_claim(self):
        server = self.server()
        self.act(server, 'resize', {'flavorRef': 'no-such'}, status=400)
        self.assertUsed(instances=1, cores=2, ram=512)
        self.assertEqual([], self.claims())

    def test_resize_without_answer_is_counted_after_settling(self):
        server = self.server(zone='az1')
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(times=1, method='POST'))
        self.act(server, 'resize', {'flavorRef': 'f4'}, status=504)
        self.assertEqual({'instances': (1, 0), 'cores': (2, 2), 'ram': (512, 512)}, self.used())
        self.settle()
        self.assertUsed(instances=1, cores=4, ram=1024)

    def test_resize_answered_error_after_work_is_504_and_counted_after_settling(self):
        for status in (500, 502, 504):
            server = self.server(zone='az1')
            self.cloud.pod('Pod1').nova.faults.add(StatusAfter(status=status, times=1, method='POST'))
            answer = self.act(server, 'resize', {'flavorRef': 'f4'}, status=504)
            self.assertIn('check the resource before you retry', answer.fault)
            self.assertEqual({'instances': (1, 0), 'cores': (2, 2), 'ram': (512, 512)}, self.used())
            self.settle()
            self.assertUsed(instances=1, cores=4, ram=1024)
            self.act(server, 'confirmResize', status=204)
            self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
            self.settle()
            self.assertEqual({}, self.used())

    def test_resize_answered_error_without_work_leaves_no_claim_after_settling(self):
        server = self.server(zone='az1')
        self.cloud.pod('Pod1').nova.faults.add(Status(status=502, times=1, method='POST'))
        self.act(server, 'resize', {'flavorRef': 'f4'}, status=504)
        self.settle()
        self.assertEqual((2, 2), self.used()['cores'])  # the pod may still begin with it
        long_ago = utcnow() - timedelta(hours=1)
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago))
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)
        self.assertEqual([], self.claims())

    def test_resize_answered_503_leaves_no_claim(self):
        server = self.server(zone='az1')
        self.cloud.pod('Pod1').nova.faults.add(Status(status=503, times=1, method='POST'))
        self.act(server, 'resize', {'flavorRef': 'f4'}, status=503)
        self.assertEqual([], self.claims())

    def test_delete_answered_error_after_work_is_504_and_settled(self):
        for status in (500, 502, 504):
            for delete in (
                lambda each: self.cloud.nova.delete(f'/servers/{each}'),
                lambda each: self.cloud.nova.post(f'/servers/{each}/action', {'forceDelete': None}),
            ):
                server = self.server(zone='az1')
                faults = self.cloud.pod('Pod1').nova.faults
                faults.add(StatusAfter(status=status, times=1, path='/servers'))
                answer = delete(server)
                self.assertEqual(504, answer.status, answer.text)
                self.assertIn(server, answer.fault)
                faults.clear()
                self.settle()
                self.assertEqual({}, self.used())
                self.assertFalse(routings.get(self.db, 'server', server).is_live)

    def test_create_answered_error_after_work_is_counted_after_settling(self):
        for status in (500, 502, 504):
            self.cloud.pod('Pod1').nova.faults.add(StatusAfter(status=status, times=1, method='POST'))
            self.boot(status=504, zone='az1')
            self.assertEqual({'instances': (0, 1), 'cores': (0, 2), 'ram': (0, 512)}, self.used())
            self.assertEqual(['unknown'], [claim.state for claim in self.claims()])
            self.settle()
            self.assertUsed(instances=1, cores=2, ram=512)
            (server,) = [each['id'] for each in self.cloud.nova.get('/servers')['servers']]
            self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server}').status)
            self.settle()

    def test_create_without_answer_is_counted_after_settling(self):
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(times=1, method='POST', path='/servers'))
        self.boot(status=504, zone='az1')
        self.assertEqual({'instances': (0, 1), 'cores': (0, 2), 'ram': (0, 512)}, self.used())
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_server_created_directly_in_pod_is_counted_by_recount(self):
        self.server()
        self.cloud.lab.add_servers('Pod2', 'demo', 2)
        self.recount()
        self.assertEqual(3, self.used()['instances'][0])

    def test_server_with_another_id_in_its_pod_is_counted_once(self):
        server = self.server(zone='az1')
        routing = routings.get(self.db, 'server', server)
        routings.update(self.db, routing.id, top_id=str(uuid.uuid4()))
        self.recount()
        self.assertUsed(instances=1, cores=2, ram=512)
        self.assertIsNone(routings.get(self.db, 'server', server))

    def test_server_deleted_directly_in_pod_is_removed_by_recount(self):
        server = self.server(zone='az2')
        self.cloud.direct('Pod2').delete(f'/servers/{server}')
        self.recount()
        self.assertEqual({}, self.used())

    def test_wrong_counters_are_corrected_by_recount(self):
        self.server()
        with self.db.writer() as connection:
            quotas.add(connection, {(self.project, '', 'instances'): 7}, {(self.project, '', 'cores'): 3})
        self.recount()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_recount_with_unreachable_pod_keeps_its_servers(self):
        server = self.server(zone='az2')
        self.cloud.pod('Pod2').nova.faults.add(Refuse())
        self.recount()
        self.assertUsed(instances=1)
        self.assertTrue(routings.get(self.db, 'server', server).is_live)

    def test_server_group_is_counted_until_deleted(self):
        body = {'server_group': {'name': 'g', 'policies': ['anti-affinity']}}
        group = self.cloud.nova.post('/os-server-groups', body)['server_group']['id']
        self.assertUsed(server_groups=1)
        self.assertEqual(204, self.cloud.nova.delete(f'/os-server-groups/{group}').status)
        self.assertEqual({}, self.used())


class TestServerGroups(ChangesCase):
    limits = {'server_groups': 2}

    def make(self, status=200, client=None, name='g'):
        body = {'server_group': {'name': name, 'policies': ['anti-affinity']}}
        answer = (client or self.cloud.nova).post('/os-server-groups', body)
        self.assertEqual(status, answer.status, answer.text)
        return answer['server_group']['id'] if answer.status == 200 else answer

    def test_create_over_limit_is_refused_with_403(self):
        self.make()
        self.make()
        answer = self.make(403)
        self.assertEqual('Quota exceeded, too many server groups.', answer.fault)

    def test_group_created_directly_in_pod_is_counted_and_copies_are_not(self):
        group = self.make()
        # A group with a copy in the other pod counts once.
        for zone in ('az1', 'az2'):
            hints = {'group': group}
            body = {'name': 's', 'flavorRef': 'f1', 'imageRef': self.cloud.lab.image['id'], 'availability_zone': zone}
            answer = self.cloud.nova.post('/servers', {'server': body, 'os:scheduler_hints': hints})
            self.assertEqual(202, answer.status, answer.text)
        born = self.make(client=self.cloud.direct('Pod2'), name='born')
        self.assertEqual(2, len(self.cloud.pod('Pod2').nova.groups))
        for count in (self.recount, self.compare):
            count()
            self.assertUsed(server_groups=2)
        self.assertEqual(403, self.make(403).status)
        self.assertEqual(204, self.cloud.direct('Pod2').delete(f'/os-server-groups/{born}').status)
        self.recount()
        self.assertUsed(server_groups=1)

    def test_full_reconciliation_counts_groups_of_pods(self):
        self.make(client=self.cloud.direct('Pod2'))
        self.compare()
        self.assertUsed(server_groups=1)
        self.cloud.pod('Pod2').nova.groups.clear()
        self.compare()
        self.assertUsed(server_groups=0)

    def test_groups_on_several_pages_are_counted(self):
        for pod in ('Pod1', 'Pod2'):
            self.cloud.pod(pod).nova.settings.max_limit = 2
        for _ in range(5):
            self.make(client=self.cloud.direct('Pod2'))
        self.recount()
        self.assertUsed(server_groups=5)

    def test_copy_being_made_is_not_counted(self):
        """While the id of the copy is unknown, it looks like any other group of the project in that pod."""
        group = self.make()
        pod_id = self.cloud.pod_ids['Pod2']
        copy, _is_mine = server_group_copies.begin(self.db, group, pod_id, self.project, 60.0)
        made = self.make(client=self.cloud.direct('Pod2'))
        self.recount()
        self.assertUsed(server_groups=1)
        server_group_copies.record_made(self.db, copy.id, made)
        self.recount()
        self.assertUsed(server_groups=1)

    def compare(self):
        for pod_id in self.cloud.pod_ids.values():
            self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, 'is_full': True})
        self.cloud.run_jobs()


class TestVolumes(ChangesCase):
    limits = {'gigabytes': 20, 'snapshots': 1, 'backups': 1, 'groups': 1}

    def test_deleted_volume_is_not_counted(self):
        volume = self.volume(size=4)
        self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{volume}').status)
        self.settle()
        self.assertEqual({}, self.used())

    def test_extended_volume_counts_new_size(self):
        volume = self.volume(size=4)
        self.act_on_volume(volume, 'os-extend', {'new_size': 10})
        self.settle()
        self.assertUsed(volumes=1, gigabytes=10, gigabytes___DEFAULT__=10)

    def test_extend_answered_error_after_work_is_504_and_counted_after_settling(self):
        for number, status in enumerate((500, 502, 504), 1):
            volume = self.volume(size=1, zone='az1')
            self.cloud.pod('Pod1').cinder.faults.add(StatusAfter(status=status, times=1, method='POST'))
            answer = self.act_on_volume(volume, 'os-extend', {'new_size': 3}, status=504)
            self.assertIn(volume, answer.fault)
            self.assertEqual((3 * number - 2, 2), self.used()['gigabytes'])
            self.settle()
            self.assertUsed(volumes=number, gigabytes=3 * number)

    def test_delete_of_volume_answered_error_after_work_is_504_and_settled(self):
        for status in (500, 502, 504):
            volume = self.volume(size=4, zone='az1')
            self.cloud.pod('Pod1').cinder.faults.add(StatusAfter(status=status, times=1, method='DELETE'))
            self.assertEqual(504, self.cloud.cinder.delete(f'/volumes/{volume}').status)
            self.settle()
            self.assertEqual({}, self.used())

    def test_extend_of_volume_whose_size_is_unknown_is_503_and_not_sent(self):
        volume = self.volume(zone='az1')
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.update(Routing.__table__).values(deltas=None))
        pod = self.cloud.pod('Pod1').cinder
        pod.faults.add(Status(500, method='GET'))
        self.act_on_volume(volume, 'os-extend', {'new_size': 90}, status=503)
        self.post('/backups', status=503, backup={'volume_id': volume})
        self.assertEqual(1, pod.volumes[volume]['size'])
        pod.faults.clear()
        self.act_on_volume(volume, 'os-extend', {'new_size': 90}, status=413)

    def test_extend_over_quota_is_refused_with_413(self):
        volume = self.volume(size=4)
        answer = self.act_on_volume(volume, 'os-extend', {'new_size': 21}, status=413)
        self.assertEqual(
            'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. '
            'Requested 17G, quota is 20G and 4G has been consumed.',
            answer.fault,
        )
        self.assertUsed(volumes=1, gigabytes=4)

    def test_retyped_volume_counts_for_new_type(self):
        self.make_type('gold')
        volume = self.volume(size=4)
        self.act_on_volume(volume, 'os-retype', {'new_type': 'gold', 'migration_policy': 'on-demand'})
        self.settle()
        self.assertUsed(volumes=1, gigabytes=4, gigabytes_gold=4, volumes_gold=1, gigabytes___DEFAULT__=0)

    def test_limit_of_type_applies_to_retype_and_create(self):
        self.make_type('gold')
        body = {'quota_set': {'gigabytes_gold': 5}}
        self.assertEqual(200, self.cloud.cinder.put(f'/os-quota-sets/{self.project}', body, as_='admin').status)
        volume = self.volume(size=6)
        given = {'new_type': 'gold', 'migration_policy': 'on-demand'}
        answer = self.act_on_volume(volume, 'os-retype', given, status=413)
        self.assertIn('exceeds allowed gigabytes_gold quota. Requested 6G, quota is 5G', answer.fault)
        self.volume(size=5, volume_type='gold')
        self.make_volume(status=413, size=1, volume_type='gold')

    def test_snapshots_are_counted_and_limited(self):
        volume = self.volume(size=4)
        snapshot = self.post('/snapshots', snapshot={'volume_id': volume})['snapshot']['id']
        self.assertUsed(volumes=1, snapshots=1, gigabytes=8, snapshots___DEFAULT__=1)
        answer = self.post('/snapshots', status=413, snapshot={'volume_id': volume})
        self.assertEqual('SnapshotLimitExceeded: Maximum number of snapshots allowed (1) exceeded', answer.fault)
        self.cloud.cinder.delete(f'/snapshots/{snapshot}')
        self.settle()
        self.assertUsed(volumes=1, snapshots=0, gigabytes=4)

    def test_volume_from_snapshot_counts_for_type_of_snapshot(self):
        self.make_type('gold')
        volume = self.volume(size=4, volume_type='gold')
        snapshot = self.post('/snapshots', snapshot={'volume_id': volume})['snapshot']['id']
        self.volume(size=None, snapshot_id=snapshot)
        self.assertUsed(volumes=2, gigabytes=12, gigabytes_gold=12)

    def test_backups_are_counted_and_limited(self):
        volume = self.volume(size=4)
        backup = self.post('/backups', backup={'volume_id': volume})['backup']['id']
        self.assertUsed(volumes=1, gigabytes=4, backups=1, backup_gigabytes=4)
        answer = self.post('/backups', status=413, backup={'volume_id': volume})
        self.assertEqual('BackupLimitExceeded: Maximum number of backups allowed (1) exceeded', answer.fault)
        self.post(f'/backups/{backup}/restore', restore={})
        self.settle()
        self.assertUsed(volumes=2, gigabytes=8, backups=1, backup_gigabytes=4)
        self.cloud.cinder.delete(f'/backups/{backup}')
        self.settle()
        self.assertUsed(volumes=2, backups=0, backup_gigabytes=0)

    def test_accepted_transfer_moves_usage_to_other_project(self):
        volume = self.volume(size=4)
        self.post('/snapshots', snapshot={'volume_id': volume})
        transfer = self.post('/volume-transfers', transfer={'volume_id': volume})['transfer']
        path = f'/volume-transfers/{transfer["id"]}/accept'
        self.post(path, as_='alt', accept={'auth_key': transfer['auth_key']})
        self.assertEqual({}, self.used())
        alt = self.cloud.project_id('alt')
        self.assertUsed(alt, volumes=1, snapshots=1, gigabytes=8)

    def test_accept_without_answer_moves_usage_after_settling(self):
        volume = self.volume(size=3, zone='az1')
        transfer = self.post('/volume-transfers', transfer={'volume_id': volume})['transfer']
        self.cloud.pod('Pod1').cinder.faults.add(DropAfter(method='POST'))
        self.assertEqual(504, self.accept(transfer, transfer['auth_key']).status)
        self.cloud.pod('Pod1').cinder.faults.clear()
        other = self.cloud.project_id('alt')
        self.assertEqual((0, 3), self.used(other)['gigabytes'])
        with self.db.writer() as connection:
            long_ago = utcnow() - timedelta(hours=1)
            connection.execute(
                sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago, expires_at=long_ago)
            )
        Settler(self.cloud.runtime).settle_due()
        self.assertUsed(volumes=0, gigabytes=0)
        self.assertUsed(other, volumes=1, gigabytes=3)

    def test_transfer_over_quota_is_refused_with_413(self):
        volume = self.volume(size=4)
        transfer = self.post('/volume-transfers', transfer={'volume_id': volume})['transfer']
        self.volume(size=18, as_='alt')
        path = f'/volume-transfers/{transfer["id"]}/accept'
        answer = self.post(path, status=413, as_='alt', accept={'auth_key': transfer['auth_key']})
        self.assertIn('Requested 4G, quota is 20G and 18G has been consumed.', answer.fault)
        self.assertUsed(volumes=1, gigabytes=4)

    def test_wrong_key_of_transfer_is_400_for_any_size(self):
        transfers = [self.transfer(size) for size in (1, 15)]
        self.volume(size=18, as_='alt')
        self.cloud.lab.clear_logs()
        answers = [self.accept(transfer, 'wrong') for transfer in transfers]
        self.assertEqual({400}, {answer.status for answer in answers})
        texts = [answer.text.replace(each['id'], '') for answer, each in zip(answers, transfers, strict=True)]
        self.assertEqual(texts[0], texts[1])
        seen = [each for name in self.cloud.pod_ids for each in self.cloud.pod(name).cinder.requests]
        self.assertEqual({'POST'}, {each.method for each in seen}, 'the service account has read something')
        self.assertEqual([], self.claims(self.cloud.project_id('alt')))

    def test_transfer_with_unknown_key_needs_room_for_one_gib(self):
        transfer = self.transfer(4)
        transfer_keys.purge(self.db, utcnow() + timedelta(hours=1))
        full = self.volume(size=20, as_='alt')
        for key in ('wrong', transfer['auth_key']):
            answer = self.accept(transfer, key)
            self.assertEqual(413, answer.status, answer.text)
            self.assertIn('Requested 1G, quota is 20G and 20G has been consumed.', answer.fault)
        self.cloud.cinder.delete(f'/volumes/{full}', as_='alt')
        self.assertEqual(400, self.accept(transfer, 'wrong').status)
        self.assertEqual(202, self.accept(transfer, transfer['auth_key']).status)
        self.assertUsed(self.cloud.project_id('alt'), volumes=1, gigabytes=4)

    def test_pod_that_hides_size_of_transfer_gets_no_accept(self):
        transfer = self.transfer(4)
        self.cloud.pod('Pod1').cinder.faults.add(Status(500, path='/volumes/', method='GET'))
        self.cloud.pod('Pod2').cinder.faults.add(Status(500, path='/volumes/', method='GET'))
        self.assertEqual(503, self.accept(transfer, transfer['auth_key']).status)
        self.assertUsed(volumes=1, gigabytes=4)

    def lost_accepts(self):
        """Yield after a pod was set to accept a transfer without a clear answer."""
        for fault in (
            DropAfter(times=1, method='POST', path='/accept'),
            StatusAfter(status=500, times=1, method='POST', path='/accept'),
            BalancerAnswers(status=504, is_processed=True, times=1, method='POST', path='/accept'),
            BalancerAnswers(form='json', status=503, is_processed=True, times=1, method='POST', path='/accept'),
        ):
            faults = self.cloud.pod('Pod1').cinder.faults
            faults.add(fault)
            yield
            faults.clear()

    def test_accept_without_clear_answer_is_504_and_usage_moves_after_settling(self):
        alt = self.cloud.project_id('alt')
        for number, _lost in enumerate(self.lost_accepts()):
            volume = self.volume(size=4, zone='az1')
            self.post('/snapshots', snapshot={'volume_id': volume})
            transfer = self.post('/volume-transfers', transfer={'volume_id': volume})['transfer']
            answer = self.accept(transfer, transfer['auth_key'])
            self.assertEqual(504, answer.status, answer.text)
            self.assertIn(transfer['id'], answer.fault)
            self.assertEqual((0, 8), self.used(alt).get('gigabytes'))
            self.assertEqual((8, 0), self.used()['gigabytes'])
            self.settle(alt)
            self.assertUsed(alt, volumes=1, snapshots=1, gigabytes=8)
            self.assertEqual({}, self.used(), number)
            self.assertEqual([], self.claims(alt))
            self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{volume}?cascade=true', as_='alt').status)
            self.settle(alt)
            self.assertEqual({}, self.used(alt))

    def test_unrecorded_transfer_accepted_without_answer_is_504_and_usage_moves_after_settling(self):
        transfer = self.transfer(4, zone='az1')
        routings.delete(self.db, routings.get(self.db, 'transfer', transfer['id']).id)
        self.cloud.runtime.locator.forget('transfer', transfer['id'])
        for _lost in self.lost_accepts():
            break
        self.assertEqual(504, self.accept(transfer, transfer['auth_key']).status)
        alt = self.cloud.project_id('alt')
        self.settle(alt)
        self.assertUsed(alt, volumes=1, gigabytes=4)
        self.assertEqual({}, self.used())

    def test_transfer_not_accepted_keeps_claim_until_it_expires(self):
        alt, transfer = self.cloud.project_id('alt'), self.transfer(4, zone='az1')
        self.cloud.pod('Pod1').cinder.faults.add(Status(status=502, times=1, method='POST', path='/accept'))
        self.assertEqual(504, self.accept(transfer, transfer['auth_key']).status)
        self.settle(alt)
        self.assertEqual((0, 4), self.used(alt)['gigabytes'])
        long_ago = utcnow() - timedelta(hours=1)
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago))
        self.settle(alt)
        self.assertEqual({}, self.used(alt))
        self.assertUsed(volumes=1, gigabytes=4)
        self.assertEqual(202, self.accept(transfer, transfer['auth_key']).status)
        self.assertUsed(alt, volumes=1, gigabytes=4)

    def test_accept_refused_by_pod_leaves_no_claim(self):
        transfer = self.transfer(4, zone='az1')
        self.cloud.pod('Pod1').cinder.faults.add(Status(status=503, times=1, method='POST', path='/accept'))
        self.assertEqual(503, self.accept(transfer, transfer['auth_key']).status)
        self.assertEqual([], self.claims(self.cloud.project_id('alt')))

    def transfer(self, size, **given):
        volume = self.volume(size=size, **given)
        return self.post('/volume-transfers', transfer={'volume_id': volume})['transfer']

    def accept(self, transfer, key):
        path = f'/volume-transfers/{transfer["id"]}/accept'
        return self.cloud.cinder.post(path, {'accept': {'auth_key': key}}, as_='alt')

    def test_boot_from_volume_claims_gigabytes(self):
        mapping = {
            'boot_index': 0,
            'source_type': 'image',
            'destination_type': 'volume',
            'uuid': self.cloud.lab.image['id'],
        }
        self.boot(zone='az1', block_device_mapping_v2=[{**mapping, 'volume_size': 5}])
        self.assertEqual((0, 5), self.used()['gigabytes'])
        answer = self.boot(status=403, block_device_mapping_v2=[{**mapping, 'volume_size': 16}])
        self.assertIn('Quota exceeded for gigabytes: Requested 16, but already used', answer.fault)


class TestGroups(ChangesCase):
    limits = {'groups': 2, 'volumes': 2}

    def test_groups_and_their_volumes_are_counted_until_deleted(self):
        kind = self.cloud.cinder.post('/group_types', {'group_type': {'name': 'g'}}, as_='admin', version='3.11')
        body = {'group_type': kind['group_type']['id'], 'volume_types': ['__DEFAULT__'], 'name': 'g'}
        group = self.post('/groups', group=body)['group']['id']
        self.assertUsed(groups=1)
        self.volume(size=3, group_id=group, volume_type='__DEFAULT__')
        self.post('/groups/action', **{'create-from-src': {'source_group_id': group, 'name': 'copy'}})
        self.settle()
        self.assertUsed(groups=2, volumes=2, gigabytes=6)
        answer = self.post('/groups/action', status=413, **{'create-from-src': {'source_group_id': group}})
        self.assertIn('GroupLimitExceeded: Maximum number of groups allowed (2) exceeded', answer.fault)
        self.post(f'/groups/{group}/action', delete={'delete-volumes': True})
        self.settle()
        self.settle()
        self.assertUsed(groups=1, volumes=1, gigabytes=3)
