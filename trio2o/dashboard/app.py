# SPDX-License-Identifier: Apache-2.0
"""The dashboard as a pecan application: a controller for each path."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pecan
from oslo_config import cfg
from oslo_utils import uuidutils
from pecan.core import ExplicitPecan

from trio2o import exception
from trio2o.dashboard import listings, session, source, views
from trio2o.dashboard.checks import Checks
from trio2o.dashboard.listings import Listing
from trio2o.dashboard.pages import Pages
from trio2o.dashboard.request import Request, Response, redirect
from trio2o.dashboard.source import ApiError, Denied, Json, NotSignedIn, NotThere, Source
from trio2o.pods.health_check import HealthCache, PodHealth, Thresholds, check_health
from trio2o.pods.identity import Login
from trio2o.pods.stopped_comparisons import stopped_comparisons

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

_ROWS, _FEW_ROWS = 50, 8
_MANY = '1000'
_VERBS = ('pause', 'resume', 'cancel', 'confirm', 'revert', 'abandon', 'sweep')


def make(conf: cfg.ConfigOpts, runtime: Runtime, api: Callable[..., Any]) -> ExplicitPecan:
    """:param api: the Admin API, from the check of the token on"""
    pages = Pages(conf)
    return ExplicitPecan(
        SimpleNamespace(dashboard=Dashboard(conf, runtime, api, pages)),
        hooks=[Checks(conf), pages],
        request_cls=Request,
        response_cls=Response,
        force_canonical=False,
        guess_content_type_from_ext=False,
    )


class Dashboard:
    """The controllers of the pages.

    Pecan takes each name of a path as the name of an attribute. So all attributes that are no controllers begin with
    an underscore, and ``Checks`` refuses such names.
    """

    def __init__(self, conf: cfg.ConfigOpts, runtime: Runtime, api: Callable[..., Any], pages: Pages) -> None:
        self._runtime = runtime
        self._api = api
        self._pages = pages
        self._thresholds = Thresholds.of(conf, timeout=conf.dashboard.probe_timeout)
        self._health_cache = HealthCache(self._check_health, conf.dashboard.probe_seconds)

    @pecan.expose()
    def index(self, request: Request, response: Response) -> Response:
        """GET /dashboard: the pods of all zones, and the first rows of all lists."""
        api = self._source(request)
        pods = api.get('/pods')['pods']
        usages = _or_none(lambda: api.get('/usages')['usages'])
        bindings = _or_none(lambda: api.get('/bindings', limit=_MANY)['pod_bindings'])
        jobs = _or_none(lambda: api.get('/jobs', limit=str(_FEW_ROWS))['jobs'])
        replicas = _or_none(lambda: api.get('/replicas', limit=str(_FEW_ROWS))['replicas'])
        health, trouble = self._health()
        zones = views.zones(pods, usages or [], bindings or [], health)
        names = _names(pods)
        return self._pages.page(
            request,
            'overview.html',
            api,
            zones=zones,
            counts=views.counts(zones),
            trouble=trouble,
            listings=[
                (listings.BINDINGS, _first_rows(listings.BINDINGS, bindings, names)),
                (listings.JOBS, _first_rows(listings.JOBS, jobs, names)),
                (listings.REPLICAS, _first_rows(listings.REPLICAS, replicas, names)),
            ],
        )

    @pecan.expose()
    def pods(self, request: Request, response: Response, pod_id: str = '') -> Response:
        """GET /dashboard/pods/{pod_id}."""
        if not uuidutils.is_uuid_like(pod_id):
            raise NotThere() if request.session.token else NotSignedIn()
        api = self._source(request)
        pod = api.get(f'/pods/{pod_id}')['pod']
        usages = _or_none(lambda: api.get('/usages', pod_id=pod_id)['usages']) or []
        bindings = _or_none(lambda: api.get('/bindings', pod_id=pod_id, limit=_MANY)['pod_bindings']) or []
        drains = _or_none(lambda: api.get('/move-groups', kind='drain', source_pod_id=pod_id, limit='1')) or {}
        health, trouble = self._health()
        card = views.card(pod, usages, len(bindings), health.get(pod['pod_id']))
        return self._pages.page(
            request,
            'pod.html',
            api,
            pod=pod,
            card=card,
            usages=usages,
            drains=drains.get('move_groups', []),
            trouble=trouble,
        )

    @pecan.expose()
    def bindings(self, request: Request, response: Response) -> Response:
        """GET /dashboard/bindings, in the same way jobs and replicas."""
        return self._listing(request, listings.BINDINGS)

    @pecan.expose()
    def jobs(self, request: Request, response: Response) -> Response:
        return self._listing(request, listings.JOBS)

    @pecan.expose()
    def replicas(self, request: Request, response: Response) -> Response:
        return self._listing(request, listings.REPLICAS)

    @pecan.expose(generic=True)
    def moves(self, request: Request, response: Response) -> Response:
        """GET /dashboard/moves: those under way, or with ``active=false`` those that have ended."""
        api = self._source(request)
        query = request.query
        filters = {'active': query.get('active') or 'true'}
        marker = {'marker': query['marker']} if query.get('marker') else {}
        found = api.get('/moves', limit=str(_ROWS), **filters, **marker)
        return self._pages.page(
            request,
            'moves.html',
            api,
            moves=found['moves'],
            next_marker=source.next_marker(found, 'moves'),
            query=filters,
            is_admin=api.is_admin,
        )

    @moves.when(method='POST')
    def steer_move(self, request: Request, response: Response) -> Response:
        """POST /dashboard/moves: pause, resume, cancel, confirm, revert, abandon or sweep a move; 303 to the list."""
        self._steer(request, 'moves')
        return redirect(f'{request.root}/moves')

    @pecan.expose(route='move-groups', generic=True)
    def move_groups(self, request: Request, response: Response, group_id: str = '') -> Response:
        """GET /dashboard/move-groups: those under way, or with ``active=false`` those that have ended.

        GET /dashboard/move-groups/{group_id}: a group and its members, or with ``state`` those in this state.
        """
        if group_id:
            return self._move_group(request, group_id)
        api = self._source(request)
        query = request.query
        filters = {name: query[name] for name in ('kind', 'source_pod_id') if query.get(name)}
        filters['active'] = query.get('active') or 'true'
        marker = {'marker': query['marker']} if query.get('marker') else {}
        found = api.get('/move-groups', limit=str(_ROWS), **filters, **marker)
        return self._pages.page(
            request,
            'move_groups.html',
            api,
            groups=found['move_groups'],
            next_marker=source.next_marker(found, 'move_groups'),
            query=filters,
        )

    @move_groups.when(method='POST')
    def steer_move_group(self, request: Request, response: Response) -> Response:
        """POST /dashboard/move-groups: pause, resume, cancel, confirm or revert a group; 303 to its page."""
        return redirect(f'{request.root}/move-groups/{self._steer(request, "move-groups")}')

    @pecan.expose(generic=True)
    def login(self, request: Request, response: Response) -> Response:
        """GET /dashboard/login: the form to sign in."""
        return self._pages.login(request)

    @login.when(method='POST')
    def sign_in(self, request: Request, response: Response) -> Response:
        """POST /dashboard/login: 303 with the cookies of a session; the form again with 401 or 503."""
        form = request.form
        token, origin = form.get('token', '').strip(), session.BROUGHT
        given = {name: value for name, value in form.items() if name not in ('password', 'token', 'form')}
        try:
            if not token:
                token, origin = self._runtime.identity.sign_in(_login_of(form)), session.MADE
            if not session.is_token(token):
                return self._pages.login(request, 401, 'That is no token.', given)
            Source(self._api, request.environ, token).get('/pods', limit='1')
        except exception.Unauthorized:
            return self._pages.login(request, 401, 'Keystone does not know this user, password and scope.', given)
        except exception.ServiceUnavailable as error:
            return self._pages.login(request, 503, error.message, given)
        except NotSignedIn:
            return self._pages.login(request, 401, 'This token is not valid, or has expired.', given)
        except (Denied, NotThere, ApiError):
            pass  # the page itself says so
        return redirect(
            request.root,
            request.cookie(session.TOKEN, session.token_value(token, origin)),
            # Another secret from now on: who could see the form before need not be who is signed in.
            request.cookie(session.FORM, session.new_secret()),
        )

    @pecan.expose(generic=True)
    def logout(self, request: Request, response: Response) -> None:
        """GET /dashboard/logout: 405."""
        pecan.abort(405, headers={'Allow': 'POST'})

    @logout.when(method='POST')
    def sign_out(self, request: Request, response: Response) -> Response:
        """POST /dashboard/logout: 303 to the form to sign in."""
        if request.session.token and request.session.origin == session.MADE:
            self._runtime.identity.sign_out(request.session.token)
        return redirect(f'{request.root}/login', request.cookie(session.TOKEN, ''))

    @pecan.expose(route='style.css')
    def style(self, request: Request, response: Response) -> Response:
        return Response(headerlist=[('Content-Type', 'text/css; charset=utf-8')], body=_file('style.css'))

    @pecan.expose(route='icon.svg')
    def icon(self, request: Request, response: Response) -> Response:
        return Response(headerlist=[('Content-Type', 'image/svg+xml')], body=_file('icon.svg'))

    def _move_group(self, request: Request, group_id: str) -> Response:
        if not uuidutils.is_uuid_like(group_id):
            raise NotThere() if request.session.token else NotSignedIn()
        api = self._source(request)
        query = request.query
        filters = {'state': query['state']} if query.get('state') else {}
        marker = {'marker': query['marker']} if query.get('marker') else {}
        group = api.get(f'/move-groups/{group_id}')['move_group']
        found = api.get(f'/move-groups/{group_id}/members', limit=str(_ROWS), **filters, **marker)
        return self._pages.page(
            request,
            'move_group.html',
            api,
            group=group,
            members=found['members'],
            next_marker=source.next_marker(found, 'members'),
            query=filters,
            chosen=filters.get('state', ''),
            is_admin=api.is_admin,
        )

    def _steer(self, request: Request, collection: str) -> str:
        """Send the verb of a form to the Admin API, and return the id of what it steers."""
        id_, verb = request.form.get('id', ''), request.form.get('verb', '')
        if verb not in _VERBS or not uuidutils.is_uuid_like(id_):
            pecan.abort(400)
        self._source(request).post(f'/{collection}/{id_}/{verb}')
        return id_

    def _source(self, request: Request) -> Source:
        return Source(self._api, request.environ, request.session.token)

    def _listing(self, request: Request, listing: Listing) -> Response:
        api = self._source(request)
        query = request.query
        filters = {name: query[name] for name in listing.filters if query.get(name)}
        marker = {'marker': query['marker']} if query.get('marker') else {}
        found = api.get(f'/{listing.name}', limit=str(_ROWS), **filters, **marker)
        names = _names(_or_none(lambda: api.get('/pods')['pods']) or [])
        return self._pages.page(
            request,
            'listing.html',
            api,
            listing=listing,
            rows=[listing.row(item, names) for item in found[listing.collection]],
            next_marker=source.next_marker(found, listing.collection),
            query=filters,
        )

    def _health(self) -> tuple[Mapping[str, PodHealth], str]:
        try:
            return self._health_cache.health(), ''
        except exception.ServiceUnavailable as error:
            return {}, error.message

    def _check_health(self) -> list[PodHealth]:
        runtime = self._runtime
        pods = runtime.registry.snapshot().pods
        stopped = stopped_comparisons(runtime.db, pods)
        return check_health(runtime.client, runtime.identity, runtime.pod_threads, pods, self._thresholds, stopped)


def _first_rows(listing: Listing, items: list[Json] | None, names: Mapping[str, str]) -> list[Any] | None:
    return None if items is None else [listing.row(item, names) for item in items[:_FEW_ROWS]]


def _names(pods: list[Json]) -> dict[str, str]:
    return {pod['pod_id']: pod['pod_name'] for pod in pods}


def _or_none(ask: Callable[[], Any]) -> Any:
    """Return the answer, or None if the policy denies it to this user."""
    try:
        return ask()
    except Denied:
        return None


def _login_of(form: Mapping[str, str]) -> Login:
    return Login(
        username=form.get('username', ''),
        password=form.get('password', ''),
        user_domain=form.get('user_domain', '') or 'Default',
        project='' if form.get('scope') == 'system' else form.get('project', ''),
        project_domain=form.get('project_domain', '') or 'Default',
    )


@functools.cache
def _file(name: str) -> bytes:
    return importlib.resources.files('trio2o.dashboard').joinpath(name).read_bytes()
