# SPDX-License-Identifier: Apache-2.0
"""Keystone: the part of v3 that keystoneauth's password plug-in, keystonemiddleware and discovery use.

A token contains its data and a signature, so pods in other processes can validate it, as with Fernet tokens.
"""

import base64
import dataclasses
import datetime
import hashlib
import hmac
import uuid
from typing import Any

from trio2o.lab.emulated import service, unified, wire
from trio2o.lab.emulated.clock import Clock

_KEY = b'the emulated cloud signs with this'
ROLES = ('admin', 'manager', 'member', 'reader', 'service')
IMPLIED = {'admin': ('manager', 'member', 'reader'), 'manager': ('member', 'reader'), 'member': ('reader',)}


@dataclasses.dataclass(frozen=True)
class Token:
    """The data of a valid token. Without a project it is scoped to a domain, or to the whole system."""

    user_id: str
    user: str
    project_id: str
    project: str
    roles: tuple[str, ...]
    issued_at: float
    expires_at: float
    audit_id: str
    #: Those of the application credential that the token is of.
    access_rules: tuple[dict[str, str], ...] | None = None
    domain_id: str = ''

    @property
    def is_admin(self) -> bool:
        """Whether the default policies of Nova and Cinder take the caller for an administrator."""
        return 'admin' in self.roles

    def with_admin_role(self, name: str) -> 'Token':
        """Return the token as a service reads it whose policy gives this role the rights of an administrator."""
        if name == 'admin':
            return self
        roles = [role for role in self.roles if role != 'admin']
        return dataclasses.replace(self, roles=(*roles, 'admin') if name in roles else tuple(roles))


@dataclasses.dataclass
class User:
    """A user, the password and the roles in each project."""

    name: str
    password: str
    id: str = ''
    roles: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = self.id or _id('user', self.name)


INTERFACES = ('public', 'internal', 'admin')


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One row of the catalog."""

    region: str
    service_type: str
    service_name: str
    url: str
    interfaces: tuple[str, ...] = INTERFACES

    @property
    def service_id(self) -> str:
        """The id of the service, which is the same in every region."""
        return _id('service', self.service_type)


def _id(*words: str) -> str:
    return hashlib.md5('/'.join(words).encode(), usedforsecurity=False).hexdigest()


def _iso(seconds: float) -> str:
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return when.strftime('%Y-%m-%dT%H:%M:%S.%fZ')


class Keystone(service.Service):
    """One Keystone for all pods."""

    def __init__(
        self, url: str = 'http://keystone.test:5000', clock: Clock | None = None, log_size: int | None = 10000
    ) -> None:
        self.routes = ROUTES
        super().__init__(clock, log_size)
        self.url = url
        self.users: dict[str, User] = {}
        self.projects: dict[str, str] = {}  # name to id
        self.endpoints: list[Endpoint] = []
        self.parents: dict[str, str] = {}  # project id to the id of its parent
        self.limit_model = 'flat'
        self.registered_limits: list[dict[str, Any]] = []
        self.limits: list[dict[str, Any]] = []
        self.revoked: set[str] = set()
        self._read: dict[str, Token] = {}
        self._catalog: list[dict[str, Any]] = []
        self._catalog_of: list[Endpoint] = []

    # -- for tests --

    def add_project(self, name: str) -> str:
        """Create a project; the same name has the same id in every run."""
        return self.projects.setdefault(name, _id('project', name))

    def add_user(self, name: str, password: str = 'secret', roles: dict[str, tuple[str, ...]] | None = None) -> User:
        """Create a user with roles in projects (by name)."""
        user = self.users.setdefault(name, User(name, password))
        for project, given in (roles or {}).items():
            self.add_project(project)
            user.roles[project] = tuple(given)
        return user

    def add_endpoint(
        self, region: str, service_type: str, url: str, name: str = '', interfaces: tuple[str, ...] = INTERFACES
    ) -> None:
        """Add an endpoint to the catalog."""
        self.endpoints.append(Endpoint(region, service_type, name or service_type, url, interfaces))

    def issue_token(
        self,
        user: str,
        project: str,
        roles: tuple[str, ...] | None = None,
        expires_in: float = 3600.0,
        access_rules: tuple[dict[str, str], ...] | None = None,
        domain_id: str = '',
    ) -> str:
        """Create a token without HTTP. The default of ``roles`` is the user's roles in the project.

        :param project: '' for a token that is scoped to a domain or to the system
        :param access_rules: method, path and service of each request that is allowed; None: all are
        :param domain_id: '' for a token that is not scoped to a domain
        """
        known = self.add_user(user)
        given = roles if roles is not None else known.roles.get(project, ())
        complete = sorted({*given, *(more for role in given for more in IMPLIED.get(role, ()))})
        now = self.clock.now().replace(tzinfo=datetime.UTC).timestamp()
        fields = [
            known.id,
            user,
            self.add_project(project) if project else '',
            project,
            complete,
            now,
            now + expires_in,
            uuid.uuid4().hex[:22],
            access_rules,
            domain_id,
        ]
        text = base64.urlsafe_b64encode(wire.dumps(fields)).rstrip(b'=').decode()
        return 'gAAAA' + text + _signature(text)

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        self.revoked.add(token)

    def find(self, text: str) -> Token | None:
        """Read a token; None if it is unknown, revoked or expired."""
        token = self._read.get(text) or self._parse(text)
        if token is None or text in self.revoked:
            return None
        now = self.clock.now().replace(tzinfo=datetime.UTC).timestamp()
        return token if now < token.expires_at else None

    def _parse(self, text: str) -> Token | None:
        packed, signature = text[5:-16], text[-16:]
        if not text.startswith('gAAAA') or not hmac.compare_digest(_signature(packed).encode(), signature.encode()):
            return None
        fields = wire.loads(base64.urlsafe_b64decode(packed + '=' * (-len(packed) % 4)))
        fields[4] = tuple(fields[4])
        if len(self._read) > 10000:
            self._read.clear()
        return self._read.setdefault(text, Token(*fields))

    # -- HTTP --

    def render(self, request: wire.Request, refusal: wire.Refusal) -> wire.Response:
        title = wire.REASONS.get(refusal.status, 'Error')
        body = {'error': {'code': refusal.status, 'message': refusal.message, 'title': title}}
        return wire.reply(body, refusal.status, refusal.headers)

    def respond(self, request: wire.Request) -> wire.Response:
        if len(request.path) > 1 and request.path.endswith('/') and request.path != '/v3/':
            request.path = request.path.rstrip('/')
        response = super().respond(request)
        response.headers += [('Vary', 'X-Auth-Token'), ('x-openstack-request-id', request.request_id)]
        return response

    def caller(self, request: wire.Request) -> Token:
        """Return the caller's own token.

        :raises Refusal: the token is missing or not valid
        """
        token = self.find(request.headers.get('x-auth-token', ''))
        if token is None:
            raise wire.Refusal(
                401,
                'The request you have made requires authentication.',
                [('WWW-Authenticate', f'Keystone uri="{self.url}/v3"')],
            )
        return token

    def catalog(self) -> list[dict[str, Any]]:
        """Return the catalog in the format of tokens, made again only after a change: with 1,000 pods it is large."""
        if self._catalog_of != self.endpoints:
            self._catalog, self._catalog_of = self._new_catalog(), list(self.endpoints)
        return self._catalog

    def _new_catalog(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for row in self.endpoints:
            entry = found.setdefault(
                row.service_id,
                {'id': row.service_id, 'type': row.service_type, 'name': row.service_name, 'endpoints': []},
            )
            entry['endpoints'] += [
                {
                    'id': _id('endpoint', row.region, row.service_type, interface),
                    'interface': interface,
                    'region': row.region,
                    'region_id': row.region,
                    'url': row.url,
                }
                for interface in row.interfaces
            ]
        return list(found.values())


def _signature(text: str) -> str:
    return hmac.new(_KEY, text.encode(), 'sha256').hexdigest()[:16]


def _version(keystone: Keystone, request: wire.Request) -> dict[str, Any]:
    return {
        'id': 'v3.14',
        'status': 'stable',
        'updated': '2020-04-07T00:00:00Z',
        'links': [{'rel': 'self', 'href': f'{request.base}/v3/'}],
        'media-types': [{'base': 'application/json', 'type': 'application/vnd.openstack.identity-v3+json'}],
    }


def list_versions(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /: 300."""
    return wire.reply({'versions': {'values': [_version(keystone, request)]}}, 300)


def show_version(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3."""
    return wire.reply({'version': _version(keystone, request)})


def _token_body(keystone: Keystone, token: Token, methods: list[str], with_catalog: bool = True) -> dict[str, Any]:
    domain = {'id': 'default', 'name': 'Default'}
    body: dict[str, Any] = {
        'methods': methods,
        'user': {'domain': domain, 'id': token.user_id, 'name': token.user, 'password_expires_at': None},
        'audit_ids': [token.audit_id],
        'expires_at': _iso(token.expires_at),
        'issued_at': _iso(token.issued_at),
        'roles': [{'id': _id('role', role), 'name': role} for role in token.roles],
    }
    if token.project_id:
        body['project'] = {'domain': domain, 'id': token.project_id, 'name': token.project}
        body['is_domain'] = False
    elif token.domain_id:
        body['domain'] = {'id': token.domain_id, 'name': token.domain_id}
    else:
        body['system'] = {'all': True}
    if token.access_rules is not None:
        body['application_credential'] = {'id': _id('credential', token.audit_id), 'access_rules': token.access_rules}
    if with_catalog:
        body['catalog'] = keystone.catalog()
    return {'token': body}


def create_token(keystone: Keystone, request: wire.Request) -> wire.Response:
    """POST /v3/auth/tokens with a password or a token, scoped to a project."""
    try:
        auth = wire.loads(request.body)['auth']
        identity = auth['identity']
        methods = identity['methods']
    except (ValueError, KeyError, TypeError):
        raise wire.Refusal(400, "'auth' is a required property") from None
    refused = wire.Refusal(401, 'The request you have made requires authentication.')
    if 'password' in methods:
        wanted = identity['password']['user']
        user = next(
            (
                known
                for known in keystone.users.values()
                if wanted.get('id', known.id) == known.id and wanted.get('name', known.name) == known.name
            ),
            None,
        )
        if user is None or user.password != wanted.get('password'):
            raise refused
    elif 'token' in methods:
        shown = keystone.find(identity['token']['id'])
        if shown is None:
            raise refused
        user = keystone.users[shown.user]
    else:
        raise refused
    scope = auth.get('scope')
    wanted = scope.get('project', {}) if isinstance(scope, dict) else {}
    project = next(
        (
            name
            for name in user.roles
            if wanted.get('name', name) == name
            and wanted.get('id', keystone.projects[name]) == keystone.projects[name]
        ),
        None,
    )
    if project is None:
        raise refused
    text = keystone.issue_token(user.name, project)
    token = keystone.find(text)
    assert token is not None
    return wire.reply(
        _token_body(keystone, token, methods, not request.has('nocatalog')), 201, [('X-Subject-Token', text)]
    )


def show_token(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/auth/tokens: 404 for a subject that is unknown or has expired."""
    keystone.caller(request)
    text = request.headers.get('x-subject-token', '')
    token = keystone.find(text)
    if token is None:
        raise wire.Refusal(404, 'Failed to validate token')
    return wire.reply(
        _token_body(keystone, token, ['password'], not request.has('nocatalog')), 200, [('X-Subject-Token', text)]
    )


def delete_token(keystone: Keystone, request: wire.Request) -> wire.Response:
    """DELETE /v3/auth/tokens: revoke a token."""
    keystone.caller(request)
    keystone.revoke(request.headers.get('x-subject-token', ''))
    return wire.empty()


def show_catalog(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/auth/catalog."""
    keystone.caller(request)
    return wire.reply({'catalog': keystone.catalog(), 'links': {'self': f'{request.base}/v3/auth/catalog'}})


def _collection(request: wire.Request, name: str, rows: list[dict[str, Any]]) -> wire.Response:
    for row in rows:
        row['links'] = {'self': f'{request.base}/v3/{name}/{row["id"]}'}
    href = f'{request.base}{request.path}' + (f'?{request.query}' if request.query else '')
    return wire.reply({name: rows, 'links': {'next': None, 'previous': None, 'self': href}})


def _filtered(request: wire.Request, rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    for name in names:
        if request.has(name):
            rows = [row for row in rows if str(row.get(name)) == request.last(name)]
    return rows


def list_endpoints(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/endpoints, by region, service or interface."""
    keystone.caller(request)
    rows = [
        {
            'id': _id('endpoint', row.region, row.service_type, interface),
            'interface': interface,
            'region': row.region,
            'region_id': row.region,
            'service_id': row.service_id,
            'url': row.url,
            'enabled': True,
        }
        for row in keystone.endpoints
        for interface in row.interfaces
    ]
    return _collection(request, 'endpoints', _filtered(request, rows, 'region_id', 'service_id', 'interface'))


def list_services(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/services, by type or name."""
    keystone.caller(request)
    rows = {
        row.service_id: {
            'id': row.service_id,
            'type': row.service_type,
            'name': row.service_name,
            'enabled': True,
            'description': '',
        }
        for row in keystone.endpoints
    }
    return _collection(request, 'services', _filtered(request, list(rows.values()), 'type', 'name'))


def list_regions(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/regions."""
    keystone.caller(request)
    names = dict.fromkeys(row.region for row in keystone.endpoints)
    return _collection(
        request, 'regions', [{'id': name, 'description': '', 'parent_region_id': None} for name in names]
    )


def show_region(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/regions/{id}."""
    keystone.caller(request)
    name = request.args['id']
    if all(row.region != name for row in keystone.endpoints):
        raise wire.Refusal(404, f'Could not find region: {name}.')
    return wire.reply(
        {
            'region': {
                'id': name,
                'description': '',
                'parent_region_id': None,
                'links': {'self': f'{request.base}/v3/regions/{name}'},
            }
        }
    )


def _project(name: str, project_id: str) -> dict[str, Any]:
    return {
        'id': project_id,
        'name': name,
        'domain_id': 'default',
        'enabled': True,
        'description': '',
        'is_domain': False,
        'parent_id': 'default',
        'options': {},
        'tags': [],
    }


def list_projects(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/projects, by name."""
    keystone.caller(request)
    rows = [_project(name, found) for name, found in keystone.projects.items()]
    return _collection(request, 'projects', _filtered(request, rows, 'name'))


def show_project(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/projects/{id}."""
    keystone.caller(request)
    wanted = request.args['id']
    for name, found in keystone.projects.items():
        if found == wanted:
            row = _project(name, found)
            if request.has('parents_as_ids'):
                row['parents'] = unified.parents(keystone, found)
            if request.has('subtree_as_ids'):
                row['subtree'] = unified.subtree(keystone, found)
            return wire.reply({'project': row})
    raise wire.Refusal(404, f'Could not find project: {wanted}.')


def _user(user: User) -> dict[str, Any]:
    return {
        'id': user.id,
        'name': user.name,
        'domain_id': 'default',
        'enabled': True,
        'password_expires_at': None,
        'options': {},
    }


def list_users(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/users, by name."""
    keystone.caller(request)
    return _collection(request, 'users', _filtered(request, [_user(user) for user in keystone.users.values()], 'name'))


def show_user(keystone: Keystone, request: wire.Request) -> wire.Response:
    """GET /v3/users/{id}."""
    keystone.caller(request)
    wanted = request.args['id']
    for user in keystone.users.values():
        if user.id == wanted:
            return wire.reply({'user': _user(user)})
    raise wire.Refusal(404, f'Could not find user: {wanted}.')


ROUTES = [
    wire.Route('GET', '/', list_versions),
    wire.Route('GET', '/v3', show_version),
    wire.Route('GET', '/v3/', show_version),
    wire.Route('POST', '/v3/auth/tokens', create_token),
    wire.Route('GET', '/v3/auth/tokens', show_token),
    wire.Route('HEAD', '/v3/auth/tokens', show_token),
    wire.Route('DELETE', '/v3/auth/tokens', delete_token),
    wire.Route('GET', '/v3/auth/catalog', show_catalog),
    wire.Route('GET', '/v3/auth/projects', list_projects),
    wire.Route('GET', '/v3/endpoints', list_endpoints),
    wire.Route('GET', '/v3/services', list_services),
    wire.Route('GET', '/v3/regions', list_regions),
    wire.Route('GET', '/v3/regions/{id}', show_region),
    wire.Route('GET', '/v3/projects', list_projects),
    wire.Route('GET', '/v3/projects/{id}', show_project),
    wire.Route('GET', '/v3/users', list_users),
    wire.Route('GET', '/v3/users/{id}', show_user),
    *unified.ROUTES,
]
