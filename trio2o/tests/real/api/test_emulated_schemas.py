# SPDX-License-Identifier: Apache-2.0
"""Answers of the emulated Nova conform to Nova's schemas, at each microversion.

Needs Nova's package but no running pod. It is not a unit test, because importing Nova registers its
options with the global configuration.
"""

import importlib
import importlib.util
import json
import os
import unittest

from trio2o.lab.emulated.topology import Cloud

# controller module, class, method, path
READS = [
    ('servers', 'ServersController', 'index', '/servers'),
    ('servers', 'ServersController', 'index', '/servers?limit=1'),
    ('servers', 'ServersController', 'detail', '/servers/detail?limit=1'),
    ('servers', 'ServersController', 'show', '/servers/{server}'),
    ('server_metadata', 'ServerMetadataController', 'index', '/servers/{server}/metadata'),
    ('server_tags', 'ServerTagsController', 'index', '/servers/{server}/tags'),
    ('ips', 'IPsController', 'index', '/servers/{server}/ips'),
    ('attach_interfaces', 'InterfaceAttachmentController', 'index', '/servers/{server}/os-interface'),
    ('volume_attachments', 'VolumeAttachmentController', 'index', '/servers/{server}/os-volume_attachments'),
    ('volume_attachments', 'VolumeAttachmentController', 'show', '/servers/{server}/os-volume_attachments/{volume}'),
    ('instance_actions', 'InstanceActionsController', 'index', '/servers/{server}/os-instance-actions'),
    ('instance_actions', 'InstanceActionsController', 'show', '/servers/{server}/os-instance-actions/{action}'),
    ('server_migrations', 'ServerMigrationsController', 'index', '/servers/{server}/migrations'),
    ('flavors', 'FlavorsController', 'index', '/flavors'),
    ('flavors', 'FlavorsController', 'detail', '/flavors/detail'),
    ('flavors', 'FlavorsController', 'show', '/flavors/1'),
    ('flavors_extraspecs', 'FlavorExtraSpecsController', 'index', '/flavors/1/os-extra_specs'),
    ('keypairs', 'KeypairController', 'index', '/os-keypairs'),
    ('keypairs', 'KeypairController', 'show', '/os-keypairs/key'),
    ('server_groups', 'ServerGroupController', 'index', '/os-server-groups'),
    ('server_groups', 'ServerGroupController', 'show', '/os-server-groups/{group}'),
    ('limits', 'LimitsController', 'index', '/limits'),
    ('quota_sets', 'QuotaSetsController', 'show', '/os-quota-sets/{project}'),
    ('quota_sets', 'QuotaSetsController', 'detail', '/os-quota-sets/{project}/detail'),
    ('quota_sets', 'QuotaSetsController', 'defaults', '/os-quota-sets/{project}/defaults'),
    ('quota_classes', 'QuotaClassSetsController', 'show', '/os-quota-class-sets/default'),
    ('availability_zone', 'AvailabilityZoneController', 'index', '/os-availability-zone'),
    ('availability_zone', 'AvailabilityZoneController', 'detail', '/os-availability-zone/detail'),
    ('services', 'ServiceController', 'index', '/os-services'),
    ('hypervisors', 'HypervisorsController', 'index', '/os-hypervisors'),
    ('hypervisors', 'HypervisorsController', 'detail', '/os-hypervisors/detail'),
    ('aggregates', 'AggregateController', 'index', '/os-aggregates'),
    ('migrations', 'MigrationsController', 'index', '/os-migrations'),
    ('simple_tenant_usage', 'SimpleTenantUsageController', 'show', '/os-simple-tenant-usage/{project}'),
]


@unittest.skipUnless(importlib.util.find_spec('nova'), "Nova's schemas are not installed")
class TestNovaSchemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', 'true')
        cls.cloud = cloud = Cloud(pods=1)
        cls.pod = pod = cloud.pod('Pod1')
        cls.transport = cloud.transport()
        known = {'project': cloud.project_id('demo')}
        known['volume'] = cloud.add_volumes('Pod1', 'demo')[0]['id']
        answer = cls.send(
            'POST', '/servers', 'demo', 1, {'server': {'name': 's', 'flavorRef': '1', 'imageRef': cloud.image['id']}}
        )
        known['server'] = answer['server']['id']
        known['action'] = pod.nova.servers[known['server']]['actions'][0]['request_id']
        cls.send(
            'POST',
            f'/servers/{known["server"]}/os-volume_attachments',
            'demo',
            1,
            {'volumeAttachment': {'volumeId': known['volume']}},
        )
        cls.send('POST', '/os-keypairs', 'demo', 2, {'keypair': {'name': 'key', 'public_key': 'ssh-rsa AAAA me'}})
        cls.send('POST', '/os-aggregates', 'admin', 1, {'aggregate': {'name': 'a'}})
        group = cls.send(
            'POST', '/os-server-groups', 'demo', 64, {'server_group': {'name': 'g', 'policy': 'affinity'}}
        )
        known['group'] = group['server_group']['id']
        cls.known = known

    @classmethod
    def send(cls, method, path, user, minor, body=None):
        status, _, payload = cls.transport.request(
            method,
            cls.pod.nova_url + path,
            {
                'X-Auth-Token': cls.cloud.token(user, 'demo'),
                'Content-Type': 'application/json',
                'OpenStack-API-Version': f'compute 2.{minor}',
            },
            json.dumps(body).encode() if body is not None else None,
        )
        if status in (403, 404):
            return None
        assert status < 300, (status, payload)
        return json.loads(payload)

    def test_answers_conform_to_schemas_of_nova(self):
        for module, controller, method, path in READS:
            loaded = importlib.import_module(f'nova.api.openstack.compute.{module}')
            schemas = getattr(getattr(loaded, controller), method).response_body_schemas
            for user in ('demo', 'admin'):
                user = 'demo' if 'keypairs' in path else user
                self._hold(schemas, user, path)

    def _hold(self, schemas, user, path):
        validators = importlib.import_module('nova.api.validation.validators')
        answered = 0
        for schema, low, high in schemas._schemas:
            last = 104 if high.is_null() else high.ver_minor
            for minor in sorted({max(1, low.ver_minor), max(1, last)}):
                with self.subTest(path=path, user=user, minor=minor):
                    answer = self.send('GET', path.format(**self.known), user, minor)
                    if answer is None:
                        continue
                    answered += 1
                    validators._SchemaValidator(schema, False, True).validate(answer)
        if user == 'admin':
            self.assertTrue(answered, path)
