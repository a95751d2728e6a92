# SPDX-License-Identifier: Apache-2.0
"""Trio2o's own identity: one keystoneauth session per process and account, for the calls that Trio2o makes itself.

Requests of tenants do not use it: they carry the tenant's token.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import cachetools
from keystoneauth1 import adapter, exceptions, loading, plugin
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import generic
from oslo_config import cfg
from oslo_context import context

from trio2o import exception
from trio2o.conf import service_auth

LOG = logging.getLogger(__name__)

#: Entries of Keystone's catalog, each with the endpoints of a service in all regions.
Catalog = list[dict[str, Any]]

#: All failures of a call to Keystone: unreachable, slow, wrong password. Callers treat them alike.
FAILURES = (exceptions.ClientException,)


#: Projects for which an account keeps a session with a token.
_MOST_PROJECTS = 64


@dataclass(frozen=True)
class Login:
    """Credentials of a user who signs in to the dashboard.

    :ivar project: '' for the system scope
    """

    username: str
    password: str = field(repr=False)
    user_domain: str
    project: str
    project_domain: str


class Account:
    """A user in Keystone that Trio2o itself uses, its sessions and its token.

    :ivar section: the section of the configuration with its credentials
    """

    def __init__(self, conf: cfg.ConfigOpts, section: str, transport: Any = None, in_project: str = '') -> None:
        """
        :param transport: a ``requests`` adapter used in place of the network
        :param in_project: id of the project that tokens are for; '': the one of the section
        """
        self.section = section
        self._in_project = in_project
        self._projects: cachetools.LRUCache[str, Account] = cachetools.LRUCache(_MOST_PROJECTS)
        self._conf = conf
        self._transport = transport
        self._session: ks_session.Session | None = None
        self._pod_session: ks_session.Session | None = None

    @property
    def session(self) -> ks_session.Session:
        if self._session is None:
            auth = loading.load_auth_from_conf_options(self._conf, self.section, **self._scope())
            session = loading.load_session_from_conf_options(self._conf, self.section, auth=auth)
            if session.timeout is None:
                session.timeout = self._conf.pods.read_timeout
            if self._transport is not None:
                session.mount('http://', self._transport)
            self._session = session
        return self._session

    def _scope(self) -> dict[str, Any]:
        """Return options that replace those of the section."""
        if not self._in_project:
            return {}
        others = ('project_name', 'project_domain_id', 'project_domain_name', 'domain_id', 'domain_name')
        return {'project_id': self._in_project, 'system_scope': None, **dict.fromkeys(others)}

    def in_project(self, project_id: str) -> Account:
        """Return the account of the same user whose tokens are for another project.

        What it creates belongs to that project. Keystone gives such tokens only to users with a role in it.
        """
        account = self._projects.get(project_id)
        if account is None:
            account = Account(self._conf, self.section, self._transport, project_id)
            self._projects[project_id] = account
        return account

    @property
    def pod_session(self) -> ks_session.Session:
        """The session for calls to pods. It follows no redirects: the token would go to wherever a pod says."""
        if self._pod_session is None:
            ours = self.session
            session = ks_session.Session(
                auth=ours.auth, verify=ours.verify, cert=ours.cert, timeout=ours.timeout, redirect=False
            )
            if self._transport is not None:
                session.mount('http://', self._transport)
            self._pod_session = session
        return self._pod_session

    def token(self) -> str:
        """Return a valid token.

        :raises ServiceUnavailable: Keystone gives no token
        """
        try:
            return self.session.get_token() or ''
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no token: {type(error).__name__}') from error

    def headers(self) -> list[tuple[str, str]]:
        """Headers for a call of Trio2o itself to a pod: its token, and the id of the request or job it is for.

        :raises ServiceUnavailable: Keystone gives no token
        """
        headers = [('X-Auth-Token', self.token()), ('User-Agent', 'trio2o')]
        current = context.get_current()
        if current is not None:
            headers.append(('X-OpenStack-Request-ID', current.global_id))
        return headers

    def forget_token(self) -> None:
        self.session.invalidate()

    def project_id(self) -> str | None:
        """Id of the account's project, which Keystone puts into endpoint URLs that have a place for one."""
        return self.session.get_project_id()


class Identity(Account):
    """The user of ``[service_auth]``, for Keystone and all pods that have no account of their own."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Any = None) -> None:
        super().__init__(conf, service_auth.GROUP, transport)
        self._accounts: dict[str, Account] = {}

    def account_of(self, pod_name: str) -> Account:
        """Return the account for calls to a pod: no other pod gets its token."""
        account = self._accounts.get(pod_name)
        if account is None:
            account = self
            if service_auth.has_own_section(self._conf, pod_name):
                account = Account(self._conf, service_auth.section_of(pod_name), self._transport)
            account = self._accounts.setdefault(pod_name, account)
        return account

    def sign_in(self, login: Login) -> str:
        """Get a token for a user with a password, from the Keystone that ``[service_auth]`` names.

        :raises Unauthorized: Keystone refused the credentials
        :raises ServiceUnavailable: Keystone does not answer
        """
        ours: Any = self.session
        scope: dict[str, Any] = {'system_scope': 'all'}
        if login.project:
            scope = {'project_name': login.project, 'project_domain_name': login.project_domain}
        auth = generic.Password(
            ours.auth.auth_url,
            username=login.username,
            password=login.password,
            user_domain_name=login.user_domain,
            **scope,
        )
        theirs = ks_session.Session(verify=ours.verify, cert=ours.cert, timeout=ours.timeout)
        if self._transport is not None:
            theirs.mount('http://', self._transport)
        try:
            return str(auth.get_access(theirs).auth_token)
        except (exceptions.Unauthorized, exceptions.BadRequest, exceptions.Forbidden, exceptions.NotFound) as error:
            raise exception.Unauthorized('Keystone refused the credentials.') from error
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no token: {type(error).__name__}') from error

    def sign_out(self, token: str) -> None:
        """Revoke a token of ``sign_in``. A failure is only logged, as the token expires anyway."""
        keystone = self._keystone()
        headers = {'X-Auth-Token': token, 'X-Subject-Token': token}
        try:
            keystone.delete('/auth/tokens', headers=headers, authenticated=False)
        except FAILURES as error:
            LOG.warning('Failed to revoke a token: %s', type(error).__name__)

    def _keystone(self) -> adapter.Adapter:
        """Return an adapter for the Keystone of our token.

        It is the one that gave the token: to look its endpoint up in the catalog would take longer than the request,
        as the catalog has the endpoints of all pods.
        """
        interface: Any = plugin.AUTH_INTERFACE  # an object, which the types of keystoneauth do not allow
        return adapter.Adapter(self.session, interface=interface, version='3')

    def catalog(self) -> Catalog:
        """Read Keystone's catalog as it is now, not as it was when our token was made.

        :raises ServiceUnavailable: Keystone does not answer
        """
        try:
            keystone = self._keystone()
            answer = keystone.get('/auth/catalog', raise_exc=True)
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no catalog: {type(error).__name__}') from error
        entries: Catalog = answer.json()['catalog']
        return entries

    def has_project(self, project_id: str) -> bool:
        """Whether Keystone has a project.

        :raises ServiceUnavailable: Keystone does not answer, or refuses the request
        """
        return self.keystone(f'/projects/{quote(project_id, safe="")}') is not None

    def has_user(self, user_id: str) -> bool:
        """Whether Keystone has a user.

        :raises ServiceUnavailable: Keystone does not answer, or refuses the request
        """
        return self.keystone(f'/users/{quote(user_id, safe="")}') is not None

    def user_ids(self) -> list[str]:
        """Return the ids of all users that Keystone lists for us; none if its policy forbids it.

        :raises ServiceUnavailable: Keystone does not answer
        """
        try:
            answer = self._keystone().get('/users', raise_exc=False)
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no users: {type(error).__name__}') from error
        if answer.status_code == 403:
            return []
        try:
            return [user['id'] for user in answer.json()['users']]
        except (LookupError, TypeError, ValueError) as error:
            raise exception.ServiceUnavailable(f'Keystone gave no users: {answer.status_code}') from error

    def keystone(self, path: str) -> Any:
        """GET a path of Keystone's v3 API.

        :returns: the document; None if Keystone itself answers that there is no such object
        :raises ServiceUnavailable: Keystone does not answer, or refuses the request
        """
        try:
            answer = self._keystone().get(path, raise_exc=True)
        except exceptions.NotFound as error:
            if _is_missing(error.response):
                return None
            raise exception.ServiceUnavailable('Something in front of Keystone answered 404') from error
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no answer: {type(error).__name__}') from error
        return answer.json()

    def project(self, project_id: str, tree: str) -> dict[str, Any] | None:
        """Read a project with the tree above it (``parents_as_ids``) or below it (``subtree_as_ids``)."""
        document = self.keystone(f'/projects/{quote(project_id, safe="")}?{tree}')
        return None if document is None else dict(document['project'])


def _is_missing(answer: Any) -> bool:
    """Return whether a 404 is Keystone's own word on an object, and not that of a balancer or about a wrong path."""
    try:
        error = answer.json()['error']
        return error['code'] == 404 and error['message'].startswith('Could not find')
    except (AttributeError, LookupError, TypeError, ValueError):
        return False
