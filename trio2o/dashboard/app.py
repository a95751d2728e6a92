# SPDX-License-Identifier: Apache-2.0
"""The dashboard as a WSGI application: its paths and forms, and the security headers of its answers."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import jinja2
from oslo_config import cfg

from trio2o import exception
from trio2o.dashboard import session, source, views
from trio2o.dashboard.session import Session
from trio2o.dashboard.source import ApiError, Denied, NotSignedIn, NotThere, Source
from trio2o.db.session import utcnow
from trio2o.pods.health_check import HealthCache, PodHealth, Thresholds, check_health
from trio2o.pods.identity import Login
from trio2o.web.numbers import parse_number
from trio2o.web.request_state import RequestState

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

PREFIX = '/dashboard'
LOGIN = f'{PREFIX}/login'

_MOST_FORM = 16384
_ROWS, _FEW_ROWS = 50, 8
_MANY = '1000'
_POD = re.compile(rf'{PREFIX}/pods/([^/]+)')

_FILES = {'style.css': 'text/css; charset=utf-8', 'icon.svg': 'image/svg+xml'}

_HEADERS = [
    ('Cache-Control', 'no-store'),
    (
        'Content-Security-Policy',
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
    ),
    ('Referrer-Policy', 'same-origin'),
    ('X-Content-Type-Options', 'nosniff'),
    ('X-Frame-Options', 'DENY'),
]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes = b''


@dataclass(frozen=True)
class Visit:
    """One request of a browser.

    :ivar path: begins with ``PREFIX``; ``root`` is that prefix as the browser knows it, behind a proxy perhaps another
    """

    environ: dict[str, Any]
    path: str
    session: Session
    query: Mapping[str, str]

    @property
    def is_secure(self) -> bool:
        return RequestState.of(self.environ).base_url.startswith('https:')

    @property
    def root(self) -> str:
        return urlsplit(RequestState.of(self.environ).base_url).path.rstrip('/') + PREFIX

    def cookie(self, name: str, value: str) -> tuple[str, str]:
        return session.cookie(name, value, self.root, self.is_secure)

    def source(self, api: Callable[..., Any]) -> Source:
        return Source(api, self.environ, self.session.token)


@dataclass(frozen=True)
class Listing:
    """One of the lists that have a page of their own.

    :ivar columns: heading -> field of an item
    :ivar filters: query parameters that pass on to the API
    """

    title: str
    path: str
    collection: str
    columns: Mapping[str, str]
    filters: tuple[str, ...] = ()


LISTINGS = {
    f'{PREFIX}/bindings': Listing(
        'Bindings',
        '/bindings',
        'pod_bindings',
        {
            'Project': 'tenant_id',
            'Pod': 'pod_name',
            'Zone': 'az_name',
            'Group': 'affinity_group',
            'By hand': 'is_pinned',
            'Since': 'started_at',
        },
        ('pod_id',),
    ),
    f'{PREFIX}/jobs': Listing(
        'Jobs',
        '/jobs',
        'jobs',
        {
            'Type': 'type',
            'Resource': 'of',
            'State': 'state',
            'Tries': 'attempts',
            'Submitted': 'created_at',
            'Ended': 'finished_at',
            'Request': 'request_id',
            'Error': 'error',
        },
        ('state',),
    ),
    f'{PREFIX}/replicas': Listing(
        'Replicas out of sync',
        '/replicas',
        'replicas',
        {
            'Pod': 'pod_name',
            'Kind': 'kind',
            'Key': 'key',
            'State': 'state',
            'Tries': 'attempts',
            'Last try': 'updated_at',
            'Error': 'error',
        },
        ('pod_id',),
    ),
}


def make(conf: cfg.ConfigOpts, runtime: Runtime, api: Callable[..., Any]) -> Page:
    """:param api: the Admin API, from the check of the token on"""
    return Page(conf, runtime, api)


class Page:
    """The WSGI application."""

    def __init__(self, conf: cfg.ConfigOpts, runtime: Runtime, api: Callable[..., Any]) -> None:
        self._options = conf.dashboard
        self._region = conf.region_name
        self._runtime = runtime
        self._api = api
        self._limits = Thresholds.of(conf, timeout=conf.dashboard.probe_timeout)
        self._watch = HealthCache(self._look, conf.dashboard.probe_seconds)
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader('trio2o.dashboard'),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(time=views.time_text, job_mood=views.job_mood)
        files = importlib.resources.files('trio2o.dashboard')
        self._files = {
            f'{PREFIX}/{name}': Reply(200, [('Content-Type', kind)], files.joinpath(name).read_bytes())
            for name, kind in _FILES.items()
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        query = dict(parse_qsl(environ.get('QUERY_STRING', ''), max_num_fields=20))
        path = environ.get('PATH_INFO', '').rstrip('/')
        visit = Visit(environ, path, Session.of(environ), query)
        reply = self._reply(visit)
        length = ('Content-Length', str(len(reply.body)))
        start_response(f'{reply.status} {responses.get(reply.status, "Unknown")}', [*reply.headers, *_HEADERS, length])
        return [] if environ['REQUEST_METHOD'] == 'HEAD' else [reply.body]

    def _reply(self, visit: Visit) -> Reply:
        method = visit.environ['REQUEST_METHOD']
        post = {LOGIN: self._sign_in, f'{PREFIX}/logout': self._sign_out}.get(visit.path)
        if not self._options.enabled:
            return self._message(visit, 404, 'There is no such page', '')
        if method == 'POST' and post is not None:
            return self._posted(visit, post)
        if method not in ('GET', 'HEAD') or (post is not None and visit.path != LOGIN):
            reply = self._message(visit, 405, 'Method not allowed', 'The dashboard is read-only.')
            return Reply(reply.status, [*reply.headers, ('Allow', 'POST' if post else 'GET, HEAD')], reply.body)
        return self._shown(visit)

    # -- looking --

    def _shown(self, visit: Visit) -> Reply:
        if visit.path in self._files:
            return self._files[visit.path]
        if visit.path == LOGIN:
            return self._login(visit)
        pod = _POD.fullmatch(visit.path)
        try:
            if visit.path == PREFIX:
                return self._overview(visit)
            if visit.path in LISTINGS:
                return self._listing(visit, LISTINGS[visit.path])
            if pod:
                return self._pod(visit, pod[1])
        except NotSignedIn:
            return self._signed_out(visit)
        except Denied as error:
            return self._message(visit, 403, 'You are not allowed to see this page', str(error))
        except ApiError as error:
            return self._message(visit, error.status, 'The Admin API answered with an error', str(error))
        except NotThere:
            pass
        return self._message(visit, 404, 'There is no such page', '')

    def _overview(self, visit: Visit) -> Reply:
        api = visit.source(self._api)
        pods = api.get('/pods')['pods']
        usages = _or_none(lambda: api.get('/usages')['usages'])
        bindings = _or_none(lambda: api.get('/bindings', limit=_MANY)['pod_bindings'])
        jobs = _or_none(lambda: api.get('/jobs', limit=str(_FEW_ROWS))['jobs'])
        replicas = _or_none(lambda: api.get('/replicas', limit=str(_FEW_ROWS)))
        health, trouble = self._health()
        zones = views.zones(pods, usages or [], bindings or [], health)
        names = {pod['pod_id']: pod['pod_name'] for pod in pods}
        return self._page(
            visit,
            'overview.html',
            api,
            zones=zones,
            counts=views.counts(zones),
            trouble=trouble,
            listings=[
                self._few('bindings', bindings, names),
                self._few('jobs', jobs, names),
                self._few('replicas', None if replicas is None else replicas['replicas'], names),
            ],
        )

    def _few(self, name: str, items: list[source.Json] | None, names: Mapping[str, str]) -> source.Json:
        listing = LISTINGS[f'{PREFIX}/{name}']
        rows = None if items is None else [_row(listing, item, names) for item in items[:_FEW_ROWS]]
        return {'name': name, 'listing': listing, 'rows': rows}

    def _listing(self, visit: Visit, listing: Listing) -> Reply:
        api = visit.source(self._api)
        wanted = {name: visit.query[name] for name in (*listing.filters, 'marker') if visit.query.get(name)}
        found = api.get(listing.path, limit=str(_ROWS), **wanted)
        pods = _or_none(lambda: api.get('/pods')['pods']) or []
        names = {pod['pod_id']: pod['pod_name'] for pod in pods}
        return self._page(
            visit,
            'listing.html',
            api,
            name=visit.path.rpartition('/')[2],
            listing=listing,
            rows=[_row(listing, item, names) for item in found[listing.collection]],
            next_marker=source.next_marker(found, listing.collection),
            query={name: value for name, value in wanted.items() if name != 'marker'},
        )

    def _pod(self, visit: Visit, pod_id: str) -> Reply:
        api = visit.source(self._api)
        pod = api.get(f'/pods/{pod_id}')['pod']
        usages = _or_none(lambda: api.get('/usages', pod_id=pod_id)['usages']) or []
        bindings = _or_none(lambda: api.get('/bindings', pod_id=pod_id, limit=_MANY)['pod_bindings']) or []
        health, trouble = self._health()
        card = views.card(pod, usages, len(bindings), health.get(pod['pod_id']))
        return self._page(visit, 'pod.html', api, pod=pod, card=card, usages=usages, trouble=trouble)

    def _health(self) -> tuple[Mapping[str, PodHealth], str]:
        try:
            return self._watch.health(), ''
        except exception.ServiceUnavailable as error:
            return {}, error.message

    def _look(self) -> list[PodHealth]:
        runtime = self._runtime
        pods = runtime.registry.snapshot().pods
        return check_health(runtime.client, runtime.identity, runtime.executor, pods, self._limits)

    # -- signing in and out --

    def _login(
        self, visit: Visit, status: int = 200, error: str = '', given: Mapping[str, str] | None = None
    ) -> Reply:
        return self._page(visit, 'login.html', None, status, error=error, given=given or {})

    def _signed_out(self, visit: Visit) -> Reply:
        """Redirect to the sign-in form, and delete the cookie of a token that is no longer valid."""
        headers = [('Location', f'{visit.root}/login')]
        if visit.session.token:
            headers.append(visit.cookie(session.TOKEN, ''))
        return Reply(303, headers)

    def _posted(self, visit: Visit, handler: Callable[[Visit, Mapping[str, str]], Reply]) -> Reply:
        form = _form(visit.environ)
        if form is None:
            return self._message(visit, 400, 'This form cannot be read', '')
        if not _is_from_here(visit.environ) or not visit.session.takes(form):
            return self._login(visit, 403, 'This form is out of date. Please try again.')
        return handler(visit, form)

    def _sign_in(self, visit: Visit, form: Mapping[str, str]) -> Reply:
        token, origin = form.get('token', '').strip(), session.BROUGHT
        given = {name: value for name, value in form.items() if name not in ('password', 'token', 'form')}
        try:
            if not token:
                token, origin = self._runtime.identity.sign_in(_login_of(form)), session.MADE
            if not session.is_token(token):
                return self._login(visit, 401, 'That is no token.', given)
            Source(self._api, visit.environ, token).get('/pods', limit='1')
        except exception.Unauthorized:
            return self._login(visit, 401, 'Keystone does not know this user, password and scope.', given)
        except exception.ServiceUnavailable as error:
            return self._login(visit, 503, error.message, given)
        except NotSignedIn:
            return self._login(visit, 401, 'This token is not valid, or has expired.', given)
        except (Denied, NotThere, ApiError):
            pass  # the page itself says so
        made = visit.cookie(session.TOKEN, session.token_value(token, origin))
        # Another secret from now on: who could see the form before need not be who is signed in.
        secret = visit.cookie(session.FORM, session.new_secret())
        return Reply(303, [('Location', visit.root), made, secret])

    def _sign_out(self, visit: Visit, form: Mapping[str, str]) -> Reply:
        if visit.session.token and visit.session.origin == session.MADE:
            self._runtime.identity.sign_out(visit.session.token)
        return Reply(303, [('Location', f'{visit.root}/login'), visit.cookie(session.TOKEN, '')])

    # -- answers --

    def _message(self, visit: Visit, status: int, title: str, text: str) -> Reply:
        return self._page(visit, 'message.html', None, status, title=title, text=text)

    def _page(self, visit: Visit, template: str, api: Source | None, status: int = 200, **values: Any) -> Reply:
        headers = [('Content-Type', 'text/html; charset=utf-8')]
        secret = visit.session.secret
        if not secret:
            secret = session.new_secret()
            headers.append(visit.cookie(session.FORM, secret))
        text = self._templates.get_template(template).render(
            prefix=visit.root,
            region=self._region,
            now=utcnow().replace(microsecond=0),
            refresh=self._options.refresh_seconds if api is not None else 0,
            secret=secret,
            is_signed_in=bool(visit.session.token),
            user=api.user if api is not None else '',
            project=api.project if api is not None else '',
            **values,
        )
        return Reply(status, headers, text.encode())


def _or_none(ask: Callable[[], Any]) -> Any:
    """Return the answer, or None if the policy denies it to this user."""
    try:
        return ask()
    except Denied:
        return None


def _row(listing: Listing, item: source.Json, names: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Cells of one line: field and value, ids of pods made names."""
    pod_id = item.get('pod_id') or (item.get('payload') or {}).get('pod_id', '')
    more = {'pod_name': names.get(pod_id, pod_id), 'of': names.get(item.get('resource_key', ''))}
    whole = {**more, **{name: value for name, value in item.items() if value is not None or name not in more}}
    whole['of'] = whole['of'] or item.get('resource_key', '')
    return [(field, whole.get(field)) for field in listing.columns.values()]


def _login_of(form: Mapping[str, str]) -> Login:
    return Login(
        username=form.get('username', ''),
        password=form.get('password', ''),
        user_domain=form.get('user_domain', '') or 'Default',
        project='' if form.get('scope') == 'system' else form.get('project', ''),
        project_domain=form.get('project_domain', '') or 'Default',
    )


def _form(environ: Mapping[str, Any]) -> dict[str, str] | None:
    """The fields of a form; None for what is none."""
    kind = environ.get('CONTENT_TYPE', '').partition(';')[0].strip().lower()
    length = parse_number(environ.get('CONTENT_LENGTH') or '')
    if kind != 'application/x-www-form-urlencoded' or length is None or length > _MOST_FORM:
        return None
    try:
        body = environ['wsgi.input'].read(length).decode()
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=20))
    except (OSError, ValueError):
        return None


def _is_from_here(environ: dict[str, Any]) -> bool:
    """Whether the browser says that the form was on a page of the dashboard; older browsers name only the origin."""
    site = environ.get('HTTP_SEC_FETCH_SITE')
    if site is not None:
        return bool(site == 'same-origin')
    origin = environ.get('HTTP_ORIGIN')
    if origin is None:
        return True
    # Proxies may ask us under another name than browsers ask them.
    ours = {environ.get('HTTP_HOST', ''), urlsplit(RequestState.of(environ).base_url).netloc} - {''}
    try:
        return urlsplit(origin).netloc in ours
    except ValueError:
        return False
