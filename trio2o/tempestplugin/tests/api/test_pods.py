# SPDX-License-Identifier: Apache-2.0
"""/pods of the Admin API."""

from __future__ import annotations

from tempest import config
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc
from tempest.lib.common.utils import data_utils

from trio2o.tempestplugin.tests import base

CONF = config.CONF
FIELDS = {'pod_id', 'pod_name', 'az_name', 'pod_az_name', 'dc_name', 'state', 'state_reason', 'resource_affinity_tag'}


class TestPods(base.BaseTrio2oTest):
    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        cls.pods = cls.all_pods()
        if not cls.pods:
            raise cls.skipException('no pod is registered')

    @decorators.attr(type='smoke')
    @decorators.idempotent_id('6d1d3b3e-1f8e-4f0c-8c3b-0b6c9a7b52c1')
    def test_registered_pods_are_listed(self) -> None:
        for pod in self.pods:
            self.assertEqual(set(), FIELDS - set(pod))
            self.assertEqual(pod['pod_name'], self.admin.show_pod(pod['pod_id'])['pod']['pod_name'])

    @decorators.idempotent_id('0a8b8f2c-4f6a-4b0c-9a57-3f6a3f0f4a5e')
    def test_pods_filtered_by_zone_and_name_match(self) -> None:
        pod = self.pods[0]
        named = self.admin.list_pods(pod_name=pod['pod_name'])['pods']
        self.assertEqual([pod['pod_id']], [found['pod_id'] for found in named])
        in_zone = self.admin.list_pods(az_name=pod['az_name'])['pods']
        self.assertIn(pod['pod_id'], [found['pod_id'] for found in in_zone])
        self.assertEqual([], self.admin.list_pods(az_name='trio2o-no-such-zone')['pods'])

    @decorators.idempotent_id('4fb0ac84-30ef-4f2e-8c39-fa7f8f9f0b1d')
    def test_pages_of_pods_make_the_whole_list(self) -> None:
        names = [pod['pod_name'] for pod in self.admin.list_pods()['pods']]
        first = self.admin.list_pods(limit=1)['pods']
        rest = self.admin.list_pods(marker=first[0]['pod_id'])['pods']
        self.assertEqual(names, [pod['pod_name'] for pod in first + rest])

    @decorators.idempotent_id('b7a2b9a5-15ef-4f05-8f4b-4f27e6bb7c11')
    def test_list_has_one_top_region(self) -> None:
        tops = [pod for pod in self.admin.list_pods()['pods'] if not pod['az_name']]
        self.assertLessEqual(len(tops), 1)
        if tops:
            self.assertRaises(lib_exc.Conflict, self.admin.create_pod, pod_name=tops[0]['pod_name'])

    @decorators.idempotent_id('90de6a0a-7dbd-4ab0-b8b2-4d3a6d3a26d1')
    def test_changed_pod_shows_the_change(self) -> None:
        pod = self.pods[0]
        wanted = data_utils.rand_name('dc', prefix=CONF.resource_name_prefix)
        self.addCleanup(self.admin.update_pod, pod['pod_id'], dc_name=pod['dc_name'])
        self.assertEqual(wanted, self.admin.update_pod(pod['pod_id'], dc_name=wanted)['pod']['dc_name'])
        shown = self.admin.show_pod(pod['pod_id'])['pod']
        self.assertEqual((wanted, pod['az_name']), (shown['dc_name'], shown['az_name']))

    @decorators.attr(type='negative')
    @decorators.idempotent_id('d9d6ba4b-e6bb-4b65-a6d2-8e5f0b0ce0e3')
    def test_second_pod_of_one_name_is_409(self) -> None:
        pod = self.pods[0]
        self.assertRaises(lib_exc.Conflict, self.admin.create_pod, pod_name=pod['pod_name'], az_name=pod['az_name'])

    @decorators.attr(type='negative')
    @decorators.idempotent_id('7f0ac9b1-18b4-4b1a-9b0a-0c2f59e2d7c7')
    def test_pod_without_region_in_keystone_is_refused(self) -> None:
        """A pod is a region of Keystone's; a name that is none is refused, and so is no name."""
        name = data_utils.rand_name('no-region', prefix=CONF.resource_name_prefix)
        self.assertRaises(lib_exc.UnprocessableEntity, self.admin.create_pod, pod_name=name, az_name='az1')
        self.assertRaises(lib_exc.UnprocessableEntity, self.admin.create_pod, pod_name='', az_name='az1')
        self.assertRaises(lib_exc.UnprocessableEntity, self.admin.create_pod, az_name='az1')

    @decorators.attr(type='negative')
    @decorators.idempotent_id('1e0d9ed4-8d4b-43f4-9dc2-3a7e31b1a5c0')
    def test_invalid_state_is_refused(self) -> None:
        self.assertRaises(lib_exc.UnprocessableEntity, self.admin.update_pod, self.pods[0]['pod_id'], state='sleeping')

    @decorators.attr(type='negative')
    @decorators.idempotent_id('2c4a0a3e-97dd-4a3b-8f57-2f5a0fd6b6c8')
    def test_unknown_pod_is_404(self) -> None:
        unknown = data_utils.rand_uuid()
        self.assertRaises(lib_exc.NotFound, self.admin.show_pod, unknown)
        self.assertRaises(lib_exc.NotFound, self.admin.update_pod, unknown, dc_name='x')
        self.assertRaises(lib_exc.NotFound, self.admin.delete_pod, unknown)

    @decorators.attr(type='negative')
    @decorators.idempotent_id('f7b4bd0e-37a3-44c4-8d8d-05b1d5b3a8d2')
    def test_pods_are_refused_to_tenants(self) -> None:
        pod = self.pods[0]
        self.assertRaises(lib_exc.Forbidden, self.tenant.list_pods)
        self.assertRaises(lib_exc.Forbidden, self.tenant.show_pod, pod['pod_id'])
        self.assertRaises(lib_exc.Forbidden, self.tenant.update_pod, pod['pod_id'], state='disabled')
        self.assertRaises(lib_exc.Forbidden, self.tenant.delete_pod, pod['pod_id'])
