# SPDX-License-Identifier: Apache-2.0
"""The private parts of libraries that Trio2o uses exist in the installed releases, and work as expected."""

import io

import testtools
from keystoneauth1 import plugin
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_context import context
from oslo_policy import policy

from trio2o import compat
from trio2o.conf import new_config


class TestContext(testtools.TestCase):
    def test_cleared_context_is_none(self):
        context.RequestContext(request_id='req-one')
        compat.clear_current_context()
        self.assertIsNone(context.get_current())

    def test_clearing_twice_is_no_error(self):
        compat.clear_current_context()
        compat.clear_current_context()


class TestHeaderLines(testtools.TestCase):
    def test_lines_to_the_empty_one_are_read(self):
        file = io.BytesIO(b'a: b\r\n c\r\n\r\nbody')
        self.assertEqual([b'a: b\r\n', b' c\r\n', b'\r\n'], compat.read_header_lines(file))
        self.assertEqual(b'body', file.read())


class TestIdentityHeaders(testtools.TestCase):
    def test_headers_that_policies_read_are_named(self):
        names = compat.identity_headers()
        for name in ('X-User-Id', 'X-Project-Id', 'X-Roles', 'X-Service-Roles', 'X-Identity-Status'):
            self.assertIn(name, names)
        self.assertIn('openstack-system-scope', [name.lower() for name in names])


class TestAuthProtocol(testtools.TestCase):
    def test_adapter_serves_both_schemes(self):
        middleware = auth_token.AuthProtocol(None, {'oslo_config_config': new_config(files=[])})
        adapter = object()
        compat.mount_on_auth_protocol(middleware, adapter)
        for url in ('http://keystone', 'https://keystone'):
            self.assertIs(adapter, middleware._session.session.get_adapter(url))

    def test_tokens_are_validated_at_the_url_that_gives_them(self):
        middleware = auth_token.AuthProtocol(None, {'oslo_config_config': new_config(files=[])})
        compat.validate_where_tokens_are_given(middleware)
        self.assertIs(plugin.AUTH_INTERFACE, middleware._identity_server._adapter.interface)


class TestPolicy(testtools.TestCase):
    def test_only_always_true_rule_allows_everybody(self):
        enforcer = policy.Enforcer(new_config(files=[]))
        for name, check in (('open', '@'), ('closed', '!'), ('admin', 'role:admin')):
            enforcer.register_default(policy.RuleDefault(name, check))
        enforcer.load_rules()
        found = {name: compat.allows_everybody(enforcer.rules[name]) for name in ('open', 'closed', 'admin')}
        self.assertEqual({'open': True, 'closed': False, 'admin': False}, found)

    def test_only_single_role_is_one(self):
        rules = {'role': 'role:admin', 'open': '@', 'two': 'role:admin or role:operator', 'rule': 'rule:role'}
        enforcer = policy.Enforcer(new_config(files=[]))
        for name, check in rules.items():
            enforcer.register_default(policy.RuleDefault(name, check))
        enforcer.load_rules()
        found = {name: compat.is_single_role(enforcer.rules[name]) for name in rules}
        self.assertEqual({'role': True, 'open': False, 'two': False, 'rule': False}, found)
        self.assertTrue(enforcer.rules['role']({}, {'roles': ['Admin']}, enforcer))


class TestMessaging(testtools.TestCase):
    def test_options_are_registered_with_other_configuration(self):
        found = dict(compat.messaging_options())
        self.assertIn('oslo_messaging_metrics', found)
        conf = cfg.ConfigOpts()
        for group, options in found.items():
            conf.register_opts(options, group=group)
        self.assertFalse(conf.oslo_messaging_metrics.metrics_enabled)
