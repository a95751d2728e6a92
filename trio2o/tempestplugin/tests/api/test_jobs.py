# SPDX-License-Identifier: Apache-2.0
"""/jobs, /replicas and /usages of the Admin API."""

from __future__ import annotations

from functools import partial

from tempest import config
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc
from tempest.lib.common.utils import data_utils, test_utils
from tempest.lib.services.compute import flavors_client

from trio2o.tempestplugin.tests import base

CONF = config.CONF


class TestJobs(base.BaseTrio2oTest):
    @decorators.attr(type='smoke')
    @decorators.idempotent_id('d2b6f0f0-9a7f-4b8a-8d4e-51c1c0f1bb01')
    def test_shown_job_has_its_history(self) -> None:
        jobs = self.admin.list_jobs(limit=5)['jobs']
        self.assertNotEqual([], jobs)
        for job in jobs:
            shown = self.admin.show_job(job['id'])['job']
            self.assertEqual(job['type'], shown['type'])
            self.assertIn('history', shown)

    @decorators.idempotent_id('7de6f6fb-0e55-4f9b-9a6b-9a16b6b64c02')
    def test_filtered_jobs_match_the_filters(self) -> None:
        job = self.admin.list_jobs(limit=1)['jobs'][0]
        same = self.admin.list_jobs(type=job['type'])['jobs']
        self.assertEqual({job['type']}, {found['type'] for found in same})
        self.assertEqual([], self.admin.list_jobs(resource_key=data_utils.rand_uuid())['jobs'])

    @decorators.attr(type='negative')
    @decorators.idempotent_id('c0ad0d6c-53e5-4a9a-9a5c-39bd0bfb0d03')
    def test_unknown_job_is_404(self) -> None:
        for call in (self.admin.show_job, self.admin.redo_job, self.admin.cancel_job):
            self.assertRaises(lib_exc.NotFound, call, data_utils.rand_uuid())

    @decorators.attr(type='negative')
    @decorators.idempotent_id('a51a7a1d-8b35-4c1b-a9b8-25f9d4a2ce04')
    def test_jobs_are_refused_to_tenants(self) -> None:
        job = self.admin.list_jobs(limit=1)['jobs'][0]
        self.assertRaises(lib_exc.Forbidden, self.tenant.list_jobs)
        self.assertRaises(lib_exc.Forbidden, self.tenant.show_job, job['id'])
        self.assertRaises(lib_exc.Forbidden, self.tenant.redo_job, job['id'])


class TestReplicas(base.BaseTrio2oTest):
    @decorators.idempotent_id('5d8b3b44-1f0a-4a0e-b8a1-6e6ac9a1df05')
    def test_summary_of_replicas_names_every_pod(self) -> None:
        summarised = {pod['pod_id'] for pod in self.admin.list_replicas()['pods']}
        self.assertEqual({pod['pod_id'] for pod in self.all_pods()}, summarised)

    @decorators.idempotent_id('0b4f8a0c-5a4b-4f52-9c39-6a3fb5a9ef06')
    def test_new_flavor_is_created_in_every_pod(self) -> None:
        flavors = self.os_admin.flavors_client
        name = data_utils.rand_name('trio2o-flavor', prefix=CONF.resource_name_prefix)
        flavor = flavors.create_flavor(name=name, ram=64, vcpus=1, disk=0)['flavor']
        self.addCleanup(test_utils.call_and_ignore_notfound_exc, flavors.delete_flavor, flavor['id'])

        def is_out_of_sync() -> bool:
            return any(replica['top_id'] == flavor['id'] for replica in self.admin.list_replicas()['replicas'])

        # Before the first try nothing is out of sync yet, so look into the pods too if that is allowed.
        if CONF.trio2o.pods_reachable:
            for pod in [pod['pod_name'] for pod in self.all_pods()]:
                self.until(partial(self.has_flavor, pod, flavor['id']), f'flavor {flavor["id"]} is not in {pod}')
        self.until(lambda: not is_out_of_sync(), f'flavor {flavor["id"]} is not in every pod')

    def has_flavor(self, pod_name: str, flavor_id: str) -> bool:
        client = self.direct(flavors_client.FlavorsClient, 'compute', pod_name)
        try:
            client.show_flavor(flavor_id)
        except lib_exc.NotFound:
            return False
        return True


class TestUsages(base.BaseTrio2oTest):
    @decorators.idempotent_id('e3a5f7a9-6c1b-4d8e-9f02-1b7d5c3a8e07')
    def test_usages_of_pods_are_listed(self) -> None:
        names = {pod['pod_name'] for pod in self.all_pods()}
        for usage in self.admin.list_usages()['usages']:
            self.assertIn(usage['pod_name'], names)

    @decorators.attr(type='negative')
    @decorators.idempotent_id('f4b6d8c0-7d2c-4e9f-8a13-2c8e6d4b9f08')
    def test_usages_are_refused_to_tenants(self) -> None:
        self.assertRaises(lib_exc.Forbidden, self.tenant.list_usages)
        self.assertRaises(lib_exc.Forbidden, self.tenant.list_replicas)
