# SPDX-License-Identifier: Apache-2.0
"""Policy rules, made from the rows of the operation table, and the check before every handler.

A pod checks its own policy for what it does with the caller's token. The rules of such rows are ``@`` by default, and
their check is skipped unless an operator's policy file changes them. Other rows name a role.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable

from oslo_config import cfg
from oslo_policy import policy

from trio2o import compat, exception
from trio2o.context import RequestContext
from trio2o.web.operations import ADMIN, ANY, READER, Operation
from trio2o.web.service import Service

#: A reader in a project is a tenant. The Admin API shows the whole system, so its readers need the system scope.
_AUDITOR = '(role:reader and system_scope:all)'
CHECKS = {ANY: '@', ADMIN: 'role:admin', READER: f'role:admin or {_AUDITOR}'}

_ADMINS = (
    'Whom the gateway takes for an admin. Keep it the same as context_is_admin in the policies of the pods. It allows '
    'nothing by itself, as the pods decide with their own policies.'
)

#: Seconds between two looks at the policy file.
RELOAD_SECONDS = 2.0


def rule_name(service: Service, operation: Operation) -> str:
    """Return the name of the policy rule of an operation, such as ``nova_apigw:servers.create``."""
    return f'{service.name}:{re.sub(r"[^A-Za-z0-9_.:-]", "_", operation.name)}'


def own_rule_name(service: Service, name: str) -> str:
    """Return the name of a rule that admits projects to operations on what belongs to them: ``api:moves.own``."""
    return f'{service.name}:{name}'


def admin_rule_name(service: Service) -> str:
    """Return the name of the policy rule that says who the admins of a service are."""
    return f'{service.name}:context_is_admin'


class _Rule(policy.DocumentedRuleDefault):
    """A rule that enforcers share: nothing changes one, and copying hundreds takes a good part of a start."""

    def __deepcopy__(self, memo: object) -> _Rule:
        return self


def rules_of(service: Service) -> Iterable[policy.RuleDefault]:
    """Make a documented rule for each row of a service, and those that several rows share."""
    if service.service_type:
        yield policy.RuleDefault(admin_rule_name(service), CHECKS[ADMIN], _ADMINS)
    for name in dict.fromkeys(operation.own_rule for operation in service.operations if operation.own_rule):
        rows = [operation for operation in service.operations if operation.own_rule == name]
        yield _Rule(
            own_rule_name(service, name),
            '!',
            'Whom this rule admits may do the following with what belongs to the project of the token. They see no '
            'pods. By default nobody is admitted.',
            [{'method': row.method, 'path': service.prefix + row.path} for row in rows],
        )
    for operation in service.operations:
        description = f'{operation.method} {operation.path}' + (f' ({operation.action})' if operation.action else '')
        yield _Rule(
            rule_name(service, operation),
            CHECKS[operation.role],
            description,
            [{'method': operation.method, 'path': service.prefix + operation.path}],
        )


@functools.cache
def _defaults(service: Service) -> list[policy.RuleDefault]:
    return list(rules_of(service))


class Policies:
    """The policy of one service."""

    def __init__(self, conf: cfg.ConfigOpts, service: Service) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.suppress_deprecation_warnings = True
        self._enforcer.register_defaults(_defaults(service))
        self._names = {operation.name: rule_name(service, operation) for operation in service.operations}
        self._service = service
        self._admin_rule = admin_rule_name(service) if service.service_type else None
        self._loaded_at = 0.0

    def check(self, operation: Operation, context: RequestContext) -> None:
        """Check the rule of an operation, and set in the context whether the caller is an admin.

        If only the ``own_rule`` of the operation admits the caller, ``context.is_for_own_project`` is set.

        :raises Forbidden: the rule does not allow the call
        """
        now = time.monotonic()
        if not self._loaded_at or now - self._loaded_at > RELOAD_SECONDS:
            self._enforcer.load_rules()
            self._loaded_at = now
        if self._admin_rule is not None:
            context.is_admin = self._is_admin(self._admin_rule, context)
        name = self._names[operation.name]
        if context.domain_id and not self._service.service_type:
            # The administrators of a domain are not those of the cloud.
            raise exception.Forbidden(f"Policy doesn't allow {name} to be performed with a token of a domain.")
        if compat.allows_everybody(self._enforcer.rules[name]):
            return
        if self._allows(name, context):
            return
        if operation.own_rule and context.project_id:
            context.is_for_own_project = self._allows(own_rule_name(self._service, operation.own_rule), context)
        if not context.is_for_own_project:
            raise exception.Forbidden(f"Policy doesn't allow {name} to be performed.")

    def _allows(self, name: str, context: RequestContext) -> bool:
        target = {'project_id': context.project_id, 'user_id': context.user_id}
        return bool(self._enforcer.enforce(name, target, context.to_policy_values()))

    def _is_admin(self, name: str, context: RequestContext) -> bool:
        if self._service.has_project_admins_only and not context.project_id:
            return False
        rule = self._enforcer.rules[name]
        if compat.is_single_role(rule):
            # Every request is checked: a role alone needs no more than the roles.
            return bool(rule({}, {'roles': context.roles}, self._enforcer))
        return self._allows(name, context)
