# SPDX-License-Identifier: Apache-2.0
"""What is answered before any token is looked at: health, metrics, version documents."""

from __future__ import annotations

from collections.abc import Callable
from http.client import responses
from typing import TYPE_CHECKING, Any

from oslo_config import cfg
from oslo_middleware import healthcheck

from trio2o import exception, metrics
from trio2o.web import faults, microversion
from trio2o.web.call import Answer
from trio2o.web.middleware import request_metrics

if TYPE_CHECKING:
    from trio2o.runtime import Runtime
    from trio2o.web.dispatch import Versions
    from trio2o.web.service import Service

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Front:
    """Serves the open paths and passes everything below the API's prefix on."""

    def __init__(
        self, app: WSGIApp, service: Service, conf: cfg.ConfigOpts, versions: Versions, runtime: Runtime
    ) -> None:
        self._app = app
        self._service = service
        self._versions = versions
        self._public_endpoint = (conf[service.name].public_endpoint or '').rstrip('/')
        self._prefixes = tuple(f'{prefix}/' for prefix in (service.prefix, *service.aliases))
        self._mounted = _monitoring(conf, runtime.figures if conf[service.name].metrics else None)
        self._below = {prefix: make(conf, runtime, app) for prefix, make in service.mounts.items()}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ.get('PATH_INFO', '')
        environ['trio2o.base_url'] = self._public_endpoint or _host_url(environ)
        page = self._service.pages.get(path)
        if page is None:
            if path.startswith(self._prefixes):
                return self._app(environ, start_response)
            mounted = self._mounted.get(path)
            if mounted is not None and _is_literal(environ, path):
                environ[request_metrics.OPERATION] = ''
                return mounted(environ, start_response)
            for prefix, below in self._below.items():
                if path == prefix or path.startswith(f'{prefix}/'):
                    environ[request_metrics.OPERATION] = prefix.strip('/')
                    return below(environ, start_response)
        answer = self._open_answer(environ, path, page)
        return _send(answer, start_response, has_body=environ['REQUEST_METHOD'] != 'HEAD')

    def _open_answer(self, environ: dict[str, Any], path: str, page: Callable[..., Answer] | None) -> Answer:
        service = self._service
        accept = environ.get('HTTP_ACCEPT', '')
        supported = self._versions()
        try:
            if page is None:
                if service.other_paths is None:
                    raise exception.RouteNotFound()
                return service.other_paths(path, environ['trio2o.base_url'], supported)
            environ[request_metrics.OPERATION] = 'versions'
            if service.follows_http and environ['REQUEST_METHOD'] not in _READS:
                raise exception.MethodNotAllowed(sorted(_READS))
            answer = page(environ['trio2o.base_url'], supported)
            if service.version_name and supported and path.startswith(service.prefix):
                headers = {
                    name: environ[key] for name, key in _VERSION_KEYS.items() if isinstance(environ.get(key), str)
                }
                version = microversion.negotiate(service, headers, supported)
                answer.headers.extend(microversion.response_headers(service, version))
            return answer
        except exception.Trio2oException as error:
            return faults.answer(service, error, None, accept)


class Monitoring:
    """Health and metrics of a process that serves nothing else."""

    def __init__(self, conf: cfg.ConfigOpts, figures: Any) -> None:
        self._mounted = _monitoring(conf, figures)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        mounted = self._mounted.get(environ.get('PATH_INFO', ''))
        if mounted is not None:
            return mounted(environ, start_response)
        body = b'There is /metrics and /healthcheck.\n'
        start_response('404 Not Found', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
        return [body]


#: What servers call the path as it was sent: eventlet, uWSGI and cheroot, gunicorn.
_RAW_PATHS = ('RAW_PATH_INFO', 'REQUEST_URI', 'RAW_URI')


def _is_literal(environ: dict[str, Any], path: str) -> bool:
    """Whether a path was sent as it reads: a proxy that denies one need not know all ways to write it."""
    whole = environ.get('SCRIPT_NAME', '') + path
    raw: str = next((environ[key] for key in _RAW_PATHS if environ.get(key)), whole)
    # Behind a host's name, if that was sent along.
    return raw.partition('?')[0].endswith(whole)


def _monitoring(conf: cfg.ConfigOpts, figures: Any) -> dict[str, WSGIApp]:
    """:param figures: out of the database; None: no metrics"""
    mounted: dict[str, WSGIApp] = {'/healthcheck': healthcheck.Healthcheck(None, conf)}
    if figures is not None:
        mounted['/metrics'] = metrics.application(figures, figures.is_asked)
    return mounted


_READS = frozenset({'GET', 'HEAD'})
_VERSION_KEYS = {
    'openstack-api-version': 'HTTP_OPENSTACK_API_VERSION',
    'x-openstack-nova-api-version': 'HTTP_X_OPENSTACK_NOVA_API_VERSION',
}


def _host_url(environ: dict[str, Any]) -> str:
    """Scheme and authority the client used."""
    scheme: str = environ['wsgi.url_scheme']
    host = environ.get('HTTP_HOST')
    if not host:
        host = f'{environ["SERVER_NAME"]}:{environ["SERVER_PORT"]}'
    return f'{scheme}://{host}'


def _send(answer: Answer, start_response: Callable[..., Any], has_body: bool) -> list[bytes]:
    start_response(
        f'{answer.status} {responses.get(answer.status, "Unknown")}',
        [*answer.headers, ('Content-Length', str(len(answer.body)))],
    )
    return [answer.body] if has_body else []
