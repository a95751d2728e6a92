# SPDX-License-Identifier: Apache-2.0
"""Trio2o's own identity: one keystoneauth session a process, for what it does of its own accord.

Requests of tenants never pass here; they travel with the tenant's token.
"""

from __future__ import annotations

from typing import Any

from keystoneauth1 import adapter, exceptions, loading
from keystoneauth1 import session as ks_session
from oslo_config import cfg
from oslo_context import context

from trio2o import exception
from trio2o.conf import service_auth

#: What Keystone can do to us: down, slow, wrong password. Callers see it as one kind of failure.
FAILURES = (exceptions.ClientException,)


class Identity:
    """The service user of ``[service_auth]``."""

    def __init__(self, conf: cfg.ConfigOpts, http_adapter: Any = None) -> None:
        """:param http_adapter: a ``requests`` adapter that stands in for the network"""
        self._conf = conf
        self._http_adapter = http_adapter
        self._session: ks_session.Session | None = None

    @property
    def session(self) -> ks_session.Session:
        if self._session is None:
            group = service_auth.GROUP
            auth = loading.load_auth_from_conf_options(self._conf, group)
            session = loading.load_session_from_conf_options(self._conf, group, auth=auth)
            if session.timeout is None:
                session.timeout = self._conf.pods.read_timeout
            if self._http_adapter is not None:
                session.mount('http://', self._http_adapter)
            self._session = session
        return self._session

    def headers(self) -> list[tuple[str, str]]:
        """The headers for a call of our own to a pod: token, and the id of the request or job it is for.

        :raises ServiceUnavailable: Keystone gives no token
        """
        try:
            headers = [('X-Auth-Token', self.session.get_token() or ''), ('User-Agent', 'trio2o')]
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no token: {type(error).__name__}') from error
        current = context.get_current()
        if current is not None:
            headers.append(('X-OpenStack-Request-ID', current.global_id))
        return headers

    def forget_token(self) -> None:
        self.session.invalidate()

    def catalog(self) -> list[dict[str, Any]]:
        """Keystone's catalog as it is now, not as it was when our token was made.

        :raises ServiceUnavailable: Keystone does not answer
        """
        try:
            keystone = adapter.Adapter(self.session, service_type='identity', version='3')
            answer = keystone.get('/auth/catalog', raise_exc=True)
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no catalog: {type(error).__name__}') from error
        entries: list[dict[str, Any]] = answer.json()['catalog']
        return entries

    def project_id(self) -> str | None:
        """Our own project, which Keystone writes into endpoint URLs that ask for one."""
        return self.session.get_project_id()
