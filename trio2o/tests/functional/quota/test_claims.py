# SPDX-License-Identifier: Apache-2.0
"""Creates claim quota over all pods, and created resources are counted."""

from trio2o.db import quotas, routings
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.quota.base import QuotaCase

#: A UUID that no resource has.
MISSING = '4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'


class TestServers(QuotaCase):
    limits = {'instances': 3, 'cores': 20}

    def test_server_is_counted(self):
        self.server()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_server_is_counted_for_its_user(self):
        self.server()
        rows = quotas.usage(self.db, self.project, self.cloud.lab.user_id('demo'))
        self.assertEqual({'instances': 1, 'cores': 2, 'ram': 512}, {name: row.in_use for name, row in rows.items()})

    def test_limit_applies_to_servers_of_all_zones(self):
        for zone in ('az1', 'az2', 'az1'):
            self.server(zone=zone)
        for zone in ('az1', 'az2', None):
            answer = self.boot(status=403, zone=zone)
            self.assertEqual(
                {
                    'forbidden': {
                        'code': 403,
                        'message': 'Quota exceeded for instances: Requested 1, but already used 3 of 3 instances',
                    }
                },
                answer.json,
            )
        self.assertUsed(instances=3, cores=6, ram=1536)

    def test_refusal_names_all_exceeded_limits(self):
        self.make_flavor('huge', vcpus=21, ram=1)
        answer = self.boot(status=403, flavor='huge', min_count=4)
        self.assertEqual(
            'Quota exceeded for cores, instances: Requested 84, 4, but already used 0, 0 of 20, 3 cores, instances',
            answer.fault,
        )

    def test_refused_create_is_not_sent_to_pods(self):
        for _ in range(3):
            self.server()
        self.cloud.lab.clear_logs()
        self.boot(status=403)
        self.assertEqual([], [each for each in self.cloud.pod('Pod1').nova.requests if each.method == 'POST'])

    def test_other_project_has_its_own_limit(self):
        for _ in range(3):
            self.server()
        self.boot(as_='alt')

    def test_create_refused_by_pod_leaves_no_claim(self):
        self.boot(status=400, imageRef='no-such-image')
        self.assertEqual({}, self.used())
        self.assertEqual([], self.claims())

    def test_create_without_reachable_pod_leaves_no_claim(self):
        for name in ('Pod1', 'Pod2'):
            self.cloud.pod(name).nova.faults.add(Refuse())
        self.boot(status=503)
        self.assertEqual({}, self.used())
        self.assertEqual([], self.claims())

    def test_deleted_server_makes_room_for_another(self):
        servers = [self.server(zone='az1') for _ in range(3)]
        self.boot(status=403)
        answer = self.cloud.nova.delete(f'/servers/{servers[0]}')
        self.assertEqual(204, answer.status)
        self.boot(zone='az2')
        self.assertUsed(instances=3, cores=6, ram=1536)

    def test_resource_without_routing_is_counted_when_found(self):
        server_id, volume_id = self.server(zone='az1'), self.volume(size=2)
        for kind, id_ in (('server', server_id), ('volume', volume_id)):
            routings.delete(self.db, routings.get(self.db, kind, id_).id)
            self.cloud.runtime.locator.forget(kind, id_)
        self.assertEqual({}, self.used())
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{server_id}').status)
        self.assertEqual(200, self.cloud.cinder.get(f'/volumes/{volume_id}').status)
        self.assertUsed(instances=1, cores=2, volumes=1, gigabytes=2)


class TestServersWithCount(QuotaCase):
    limits = {'instances': 5}

    def test_max_count_is_reduced_to_free_quota(self):
        self.server()
        self.boot(min_count=2, max_count=10)
        self.wait_for(instances=5)
        answer = self.boot(status=403, min_count=1, max_count=2)
        self.assertEqual(
            'Quota exceeded for instances: Requested 1-2, but already used 5 of 5 instances', answer.fault
        )

    def test_min_count_over_quota_is_refused_with_403(self):
        self.server()
        answer = self.boot(status=403, min_count=5, max_count=6)
        self.assertEqual(
            'Quota exceeded for instances: Requested 5-6, but already used 1 of 5 instances', answer.fault
        )
        self.assertUsed(instances=1)

    def test_reservation_counts_all_servers(self):
        answer = self.boot(min_count=3, return_reservation_id=True)
        self.assertIn('reservation_id', answer.json)
        self.wait_for(instances=3)

    def wait_for(self, **wanted):
        self.cloud.runtime.background.submit(lambda: None).result()
        for _ in range(50):
            self.settle()
            if not self.claims():
                break
        self.assertUsed(**wanted)


class TestVolumes(QuotaCase):
    limits = {'volumes': 3, 'gigabytes': 10}

    def test_volume_is_counted_for_its_type_too(self):
        self.volume(size=4)
        self.assertUsed(volumes=1, gigabytes=4, volumes___DEFAULT__=1, gigabytes___DEFAULT__=4)

    def test_source_of_other_project_is_404_for_any_size(self):
        hidden = self.volume(size=5)
        snapshot = {'volume_id': hidden, 'force': True}
        hidden_snapshot = self.cloud.cinder.post('/snapshots', {'snapshot': snapshot})['snapshot']['id']
        self.volume(size=6, as_='alt')
        for name, source in (('source_volid', hidden), ('snapshot_id', hidden_snapshot)):
            refused = [self.make_volume(404, None, as_='alt', **{name: each}) for each in (source, MISSING)]
            self.assertEqual(refused[1].text, refused[0].text.replace(source, MISSING))

    def test_create_over_limit_of_volumes_is_refused_with_413(self):
        for zone in ('az1', 'az2', 'az1'):
            self.volume(zone=zone)
        answer = self.make_volume(status=413)
        self.assertEqual(
            {
                'overLimit': {
                    'code': 413,
                    'message': 'VolumeLimitExceeded: Maximum number of volumes allowed (3) exceeded for quota '
                    "'volumes'.",
                    'retryAfter': '0',
                }
            },
            answer.json,
        )
        self.assertEqual('0', answer.headers['Retry-After'])

    def test_create_over_limit_of_gigabytes_is_refused_with_413(self):
        self.volume(size=6, zone='az1')
        answer = self.make_volume(status=413, size=5, zone='az2')
        self.assertEqual(
            'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. '
            'Requested 5G, quota is 10G and 6G has been consumed.',
            answer.fault,
        )
