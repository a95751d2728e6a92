# SPDX-License-Identifier: Apache-2.0
"""Paths that need no token: health, metrics, version documents, the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from oslo_config import cfg
from oslo_middleware import healthcheck

from trio2o import exception, metrics
from trio2o.web import microversion
from trio2o.web.call import Answer
from trio2o.web.middleware.fault_wrapper import FaultWrapper
from trio2o.web.request_state import RequestState

if TYPE_CHECKING:
    from trio2o.runtime import Runtime
    from trio2o.web.service import Service

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Any]


class PublicPaths:
    """WSGI middleware: answers requests that need no token, and passes on those below the prefix of the API."""

    def __init__(self, app: WSGIApp, service: Service, runtime: Runtime) -> None:
        conf = runtime.conf
        self._app = app
        self._service = service
        self._runtime = runtime
        self._public_endpoint = (conf[service.name].public_endpoint or '').rstrip('/')
        # The headers of a proxy say it for each request; without them, the operator says it for all.
        self._is_always_https = (
            self._public_endpoint.startswith('https:') and not conf.oslo_middleware.enable_proxy_headers_parsing
        )
        self._prefixes = tuple(f'{prefix}/' for prefix in (service.prefix, *service.aliases))
        self._monitoring = _monitoring(conf, runtime.database_metrics if conf[service.name].metrics else None)
        # Mounted applications use the API as clients do, so they get answers and no exceptions.
        api = FaultWrapper(app, service)
        self._mounts = {prefix: make(conf, runtime, api) for prefix, make in service.mounts.items()}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        state = RequestState.of(environ)
        state.base_url = self._public_endpoint or _host_url(environ)
        path = environ.get('PATH_INFO', '')
        page = self._service.pages.get(path)
        if page is not None:
            state.operation = 'versions'
            return self._page(environ, path, page).send(environ, start_response)
        if path.startswith(self._prefixes):
            return self._app(environ, start_response)
        monitoring = self._monitoring.get(path)
        if monitoring is not None and _is_literal(environ, path):
            state.operation = None
            return monitoring(environ, start_response)
        for prefix, mounted in self._mounts.items():
            if path == prefix or path.startswith(f'{prefix}/'):
                state.operation = prefix.strip('/')
                state.is_https = self._is_always_https or environ['wsgi.url_scheme'] == 'https'
                return mounted(environ, start_response)
        if self._service.other_paths is None:
            raise exception.RouteNotFound()
        supported = self._runtime.versions(self._service)
        return self._service.other_paths(path, state.base_url, supported).send(environ, start_response)

    def _page(self, environ: dict[str, Any], path: str, page: Callable[..., Answer]) -> Answer:
        """Answer with a version document, which has version headers below the prefix."""
        service = self._service
        if service.follows_http and environ['REQUEST_METHOD'] not in _READS:
            raise exception.MethodNotAllowed(sorted(_READS))
        supported = self._runtime.versions(service)
        answer = page(RequestState.of(environ).base_url, supported)
        if service.version_name and supported and path.startswith(service.prefix):
            headers = {name: environ[key] for name, key in _VERSION_KEYS.items() if isinstance(environ.get(key), str)}
            version = microversion.negotiate(service, headers, supported)
            answer.headers.extend(microversion.response_headers(service, version))
        return answer


class Health(Protocol):
    """Something that may have stopped working while its process lives."""

    def problem(self) -> str:
        """Return what is wrong, for operators; empty if nothing is."""
        ...


class Monitoring:
    """WSGI application: the health and the metrics of an XJob worker."""

    def __init__(self, conf: cfg.ConfigOpts, collector: Any, health: Health) -> None:
        self._applications = _monitoring(conf, collector)
        self._health = health

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ.get('PATH_INFO', '')
        problem = self._health.problem() if path == '/healthcheck' else ''
        if problem:
            body = f'{problem}\n'.encode()
            headers = [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))]
            start_response('503 Service Unavailable', headers)
            return [body]
        application = self._applications.get(path)
        if application is not None:
            return application(environ, start_response)
        body = b'There is /metrics and /healthcheck.\n'
        start_response('404 Not Found', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
        return [body]


#: Keys of the path as the client sent it: set by eventlet, by uWSGI and cheroot, by gunicorn.
_RAW_PATHS = ('RAW_PATH_INFO', 'REQUEST_URI', 'RAW_URI')


def _is_literal(environ: dict[str, Any], path: str) -> bool:
    """Return whether a path was sent without percent-encoding.

    So a proxy in front can deny access to a path without a rule for each encoding of it.
    """
    whole = environ.get('SCRIPT_NAME', '') + path
    raw: str = next((environ[key] for key in _RAW_PATHS if environ.get(key)), whole)
    # Some clients send the host before the path.
    return raw.partition('?')[0].endswith(whole)


def _monitoring(conf: cfg.ConfigOpts, collector: Any) -> dict[str, WSGIApp]:
    """:param collector: collector of metrics from the database; None: metrics are switched off"""
    applications: dict[str, WSGIApp] = {'/healthcheck': healthcheck.Healthcheck(None, conf)}
    if collector is not None:
        applications['/metrics'] = metrics.application(collector, collector.is_called)
    return applications


_READS = frozenset({'GET', 'HEAD'})
_VERSION_KEYS = {
    'openstack-api-version': 'HTTP_OPENSTACK_API_VERSION',
    'x-openstack-nova-api-version': 'HTTP_X_OPENSTACK_NOVA_API_VERSION',
}


def _host_url(environ: dict[str, Any]) -> str:
    """Return the scheme, the authority and the path prefix that the client used."""
    scheme: str = environ['wsgi.url_scheme']
    host = environ.get('HTTP_HOST')
    if not host:
        host = f'{environ["SERVER_NAME"]}:{environ["SERVER_PORT"]}'
    # That of a WSGI server, or of a proxy (``X-Forwarded-Prefix``).
    prefix = environ.get('SCRIPT_NAME', '').strip('/')
    return f'{scheme}://{host}/{prefix}' if prefix else f'{scheme}://{host}'
