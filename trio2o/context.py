# SPDX-License-Identifier: Apache-2.0
"""The caller of a request: an oslo.context made of the headers that keystonemiddleware sets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from oslo_context import context

from trio2o import compat


class RequestContext(context.RequestContext):
    """The caller of one request, with the tokens that are passed on to pods.

    ``global_request_id`` is what the client sent as X-OpenStack-Request-ID; ``request_id`` is ours.
    ``has_access_rules`` says that the token is that of an application credential with access rules.
    ``is_for_own_project`` says that the policy admits the caller only to what belongs to the project of the token.
    """

    FROM_DICT_EXTRA_KEYS: list[str] = []

    def __init__(
        self, *args: Any, service_token: str | None = None, has_access_rules: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.service_token = service_token
        self.has_access_rules = has_access_rules
        self.is_for_own_project = False

    @classmethod
    def from_wsgi(cls, environ: dict[str, Any]) -> RequestContext:
        roles = environ.get('HTTP_X_ROLES') or ''
        service_roles = environ.get('HTTP_X_SERVICE_ROLES') or ''
        get = environ.get
        return cls(
            auth_token=get('HTTP_X_AUTH_TOKEN'),
            service_token=get('HTTP_X_SERVICE_TOKEN'),
            has_access_rules=has_access_rules(environ),
            user_id=get('HTTP_X_USER_ID'),
            project_id=get('HTTP_X_PROJECT_ID'),
            domain_id=get('HTTP_X_DOMAIN_ID'),
            user_domain_id=get('HTTP_X_USER_DOMAIN_ID'),
            project_domain_id=get('HTTP_X_PROJECT_DOMAIN_ID'),
            system_scope=get('HTTP_OPENSTACK_SYSTEM_SCOPE'),
            roles=[role.strip() for role in roles.split(',') if role],
            service_roles=[role.strip() for role in service_roles.split(',') if role],
            request_id=get('openstack.request_id'),
            global_request_id=get('openstack.global_request_id'),
        )

    @property
    def may_see_all(self) -> bool:
        """Whether the policy of the gateway takes the caller for an admin.

        Used to narrow a search; pods decide what is allowed.
        """
        return bool(self.is_admin)

    def may_know(self, project_id: str) -> bool:
        """Whether the caller may learn, even from an error, of the resources of a project."""
        return self.may_see_all or self.project_id == project_id


def has_access_rules(environ: dict[str, Any]) -> bool:
    """Whether the token of a request is that of an application credential with access rules."""
    token = (environ.get('keystone.token_info') or {}).get('token', {})
    return (token.get('application_credential') or {}).get('access_rules') is not None


@contextlib.contextmanager
def working_for(request_id: str | None) -> Iterator[RequestContext]:
    """Context manager for work after the answer to a request: log lines and calls to pods carry the request's id.

    :param request_id: None: the work is for no request, and gets a new id
    """
    try:
        yield RequestContext(request_id=request_id)
    finally:
        compat.clear_current_context()


def current_request_id() -> str | None:
    """The id of the request that this thread works for; None if there is none."""
    current = context.get_current()
    return current.request_id if current is not None else None
