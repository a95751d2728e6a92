# SPDX-License-Identifier: Apache-2.0
"""/bindings of the Admin API."""

from __future__ import annotations

from typing import Any

from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc
from tempest.lib.common.utils import data_utils, test_utils

from trio2o.tempestplugin.tests import base


class TestBindings(base.BaseTrio2oTest):
    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        pods = cls.all_pods()
        if not pods:
            raise cls.skipException('no pod is registered')
        cls.pod = pods[0]

    def bind(self) -> dict[str, Any]:
        """Bind a project that nobody has to the first pod."""
        project = data_utils.rand_uuid_hex()
        binding: dict[str, Any] = self.admin.create_binding(tenant_id=project, pod_id=self.pod['pod_id'])[
            'pod_binding'
        ]
        self.addCleanup(test_utils.call_and_ignore_notfound_exc, self.admin.delete_binding, binding['id'])
        return binding

    @decorators.attr(type='smoke')
    @decorators.idempotent_id('3f9c4a75-cc22-44b6-a4fa-e5f5d9e9c201')
    def test_bound_project_is_listed_until_it_is_unbound(self) -> None:
        binding = self.bind()
        self.assertEqual(self.pod['pod_id'], binding['pod_id'])
        self.assertEqual(binding['id'], self.admin.show_binding(binding['id'])['pod_binding']['id'])
        self.admin.delete_binding(binding['id'])
        self.assertRaises(lib_exc.NotFound, self.admin.show_binding, binding['id'])
        self.assertRaises(lib_exc.NotFound, self.admin.delete_binding, binding['id'])

    @decorators.idempotent_id('8bb5e19e-83ac-4f96-9b0e-5a7a5c3f4f42')
    def test_ended_bindings_of_project_are_listed_as_history(self) -> None:
        binding = self.bind()
        project = binding['tenant_id']
        listed = self.admin.list_bindings(tenant_id=project)['pod_bindings']
        self.assertEqual([binding['id']], [found['id'] for found in listed])
        self.admin.delete_binding(binding['id'])
        self.assertEqual([], self.admin.list_bindings(tenant_id=project)['pod_bindings'])
        history = self.admin.list_bindings(tenant_id=project, history='true')['pod_bindings']
        self.assertEqual([binding['id']], [found['id'] for found in history])
        self.assertIsNotNone(history[0]['ended_at'])

    @decorators.attr(type='negative')
    @decorators.idempotent_id('5b1f7c92-03ed-4d43-b0ce-9b2e6b0a9f03')
    def test_second_binding_of_project_in_zone_is_refused(self) -> None:
        binding = self.bind()
        self.assertRaises(
            lib_exc.Conflict,
            self.admin.create_binding,
            tenant_id=binding['tenant_id'],
            pod_id=self.pod['pod_id'],
        )

    @decorators.attr(type='negative')
    @decorators.idempotent_id('c28bfa29-9a2c-4f2c-9b4c-17ad4d5d8fd4')
    def test_binding_to_unknown_pod_is_refused(self) -> None:
        project = data_utils.rand_uuid_hex()
        refused = lib_exc.UnprocessableEntity
        self.assertRaises(refused, self.admin.create_binding, tenant_id=project, pod_id=data_utils.rand_uuid())
        self.assertRaises(refused, self.admin.create_binding, tenant_id=project, pod_id='')
        self.assertRaises(refused, self.admin.create_binding, tenant_id='', pod_id=self.pod['pod_id'])
        tops = [pod for pod in self.admin.list_pods()['pods'] if not pod['az_name']]
        for top in tops:
            self.assertRaises(refused, self.admin.create_binding, tenant_id=project, pod_id=top['pod_id'])

    @decorators.attr(type='negative')
    @decorators.idempotent_id('ee5c1a62-c5be-4e3b-92b5-4b1d3a9cdd05')
    def test_bindings_are_refused_to_tenants(self) -> None:
        project = self.os_primary.credentials.project_id
        self.assertRaises(lib_exc.Forbidden, self.tenant.list_bindings)
        self.assertRaises(lib_exc.Forbidden, self.tenant.create_binding, tenant_id=project, pod_id=self.pod['pod_id'])
