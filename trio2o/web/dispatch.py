# SPDX-License-Identifier: Apache-2.0
"""The pecan application: finds the operation of a request in the table and runs its handler.

The features of pecan beside dispatching are switched off: it does not guess a content type from an id that ends in
``.json``, does not turn query parameters into arguments, and does not change a 200 without a body into a 204 (Cinder
answers the delete of a metadata key with such a 200). Only the dashboard uses pecan too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pecan
import webob
import webob.exc
from pecan.core import ExplicitPecan

from trio2o import exception
from trio2o.context import RequestContext
from trio2o.web import microversion, pod_failures
from trio2o.web.call import Answer, Call, parse_json
from trio2o.web.request_state import RequestState

if TYPE_CHECKING:
    from trio2o.runtime import Runtime
    from trio2o.web.microversion import Version
    from trio2o.web.operations import Operation
    from trio2o.web.policies import Policies
    from trio2o.web.service import Service

#: A project id in a path, as in both services.
_PROJECT_ID = re.compile(r'[0-9a-f-]+')

_PIECE_BYTES = 65536

_INCOMPLETE_BODY = 'The request body could not be read to its end.'


class Dispatcher:
    """Makes a ``Call`` from a request, checks policy, runs the handler, and makes a response from its answer."""

    def __init__(self, service: Service, policies: Policies, runtime: Runtime) -> None:
        self._service = service
        self._policies = policies
        self._runtime = runtime

    def __call__(self, request: webob.Request) -> webob.Response:
        """Answer a request.

        :raises Trio2oException: ``FaultWrapper`` turns it into an answer
        """
        answer = self._answer(request)
        return webob.Response(
            status=answer.status_line,
            headerlist=answer.headers_to_send,
            app_iter=answer.body_to_send(request.environ),
        )

    def _answer(self, request: webob.Request) -> Answer:
        if request.environ['REQUEST_METHOD'] == 'OPTIONS' and self._service.follows_http:
            return self._options(request)
        call = self._call(request)
        self._policies.check(call.operation, call.context)
        return call.operation.handler(call)

    def _call(self, request: webob.Request) -> Call:
        service = self._service
        environ = request.environ
        state = RequestState.of(environ)
        headers = _headers(environ)
        prefix, path, ignores_versions = self._split_prefix(_raw_path(environ))
        if service.has_json_suffix:
            path = path.removesuffix('.json')
        project_id, rest = self._split_project(path)
        body = _read_body(request)
        method = environ['REQUEST_METHOD']
        operation, params = self._match(method, rest, body)
        state.operation = operation.name
        version = state.version = None if ignores_versions else self._negotiate(headers)
        context = RequestContext.from_wsgi(environ)
        if project_id is not None:
            if project_id != context.project_id:
                raise exception.BadRequest(self._malformed_url(project_id, context))
            prefix = f'{prefix}/{project_id}'
        if not operation.exists_at(version or (service.code_versions and service.code_versions.min)):
            raise exception.NotFound('The resource could not be found.')
        if self._is_malformed(method, environ.get('CONTENT_TYPE', ''), body):
            raise exception.BadRequest('Malformed request body')
        return Call(
            service=service,
            operation=operation,
            context=context,
            method=method,
            path=rest,
            prefix=prefix,
            base_url=state.base_url,
            # An HTTP client takes what follows a '#' for a fragment, and does not send it to the pod.
            query_string=environ.get('QUERY_STRING', '').replace('#', '%23'),
            headers=headers,
            body=body,
            version=version,
            params=params,
            runtime=self._runtime,
        )

    def _options(self, request: webob.Request) -> Answer:
        _prefix, path, _ignores_versions = self._split_prefix(_raw_path(request.environ))
        allowed = self._allowed(path)
        if not allowed:
            raise exception.RouteNotFound()
        return Answer(204, [('Allow', ', '.join(allowed))])

    def _allowed(self, path: str) -> list[str]:
        """Return the methods of a path, including OPTIONS and HEAD, which have no rows."""
        methods = self._service.operations.methods_at(path)
        return sorted({*methods, 'OPTIONS', *(['HEAD'] if 'GET' in methods else [])}) if methods else []

    def _is_malformed(self, method: str, content_type: str, body: bytes) -> bool:
        """Return whether the body should be JSON and is not. Some operations of Nova and Cinder answer 500 to that."""
        if not body or method in ('GET', 'DELETE') or not self._service.version_name:
            return False
        media_type = content_type.partition(';')[0].strip().lower()
        if media_type not in ('', *self._service.media_types):
            return False
        return parse_json(body) is None and body.strip() != b'null'

    def _match(self, method: str, path: str, body: bytes) -> tuple[Operation, dict[str, str]]:
        if method == 'HEAD' and self._service.follows_http:
            method = 'GET'
        try:
            return self._service.operations.match(method, path, lambda: _action_of(body))
        except exception.RouteNotFound:
            allowed = self._allowed(path) if self._service.follows_http else []
            if not allowed:
                raise
            raise exception.MethodNotAllowed(allowed) from None

    def _split_prefix(self, path: str) -> tuple[str, str, bool]:
        for prefix in (self._service.prefix, *self._service.aliases):
            if path.startswith(prefix + '/'):
                return prefix, path[len(prefix) :], prefix != self._service.prefix
        raise exception.RouteNotFound()

    def _split_project(self, path: str) -> tuple[str | None, str]:
        """Split off the project id, if the path has one.

        No operation has a path that begins with a segment of hexadecimal digits only.
        """
        if self._service.has_project_in_path:
            first, slash, rest = path[1:].partition('/')
            if slash and _PROJECT_ID.fullmatch(first):
                return first, '/' + rest
        return None, path

    def _negotiate(self, headers: dict[str, str]) -> Version | None:
        if not self._service.version_name:
            return None
        supported = self._runtime.versions(self._service)
        if supported is None:
            raise pod_failures.cloud_unreachable()
        return microversion.negotiate(self._service, headers, supported)

    def _malformed_url(self, project_id: str, context: RequestContext) -> str:
        return self._service.malformed_url.format(url=project_id, token=context.project_id)


class Root:
    """Pecan's root controller."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    @pecan.expose()
    def dispatch(self, request: webob.Request, response: webob.Response) -> webob.Response:
        return self._dispatcher(request)


class PecanApp(ExplicitPecan):
    """Pecan with one controller for all requests, which leaves a 200 without a body a 200."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        try:
            return super().__call__(environ, start_response)
        finally:
            # The request in it has the environment: a cycle, which would stay in memory, with the body of the answer,
            # until the garbage collector finds it.
            environ.pop('pecan.locals', None)

    def find_controller(self, state: Any) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
        """Return the only controller.

        Pecan would look for one by path and extension, refuse an Accept header that it has no template for, and parse
        query and body for arguments; the table and the handlers do all this.
        """
        state.controller = self.root.dispatch
        state.request.pecan['content_type'] = 'application/json'
        return state.controller, [state.request, state.response], {}

    def invoke_controller(self, controller: Callable[..., Any], args: list[Any], kwargs: Any, state: Any) -> None:
        """Call the controller, which returns a response.

        Pecan would inspect its signature for each request and look for a template.
        """
        state.response = controller(*args)

    def _handle_empty_response_body(self, state: Any) -> None:
        pass


def make_app(dispatcher: Dispatcher) -> PecanApp:
    return PecanApp(Root(dispatcher), guess_content_type_from_ext=False)


def _raw_path(environ: dict[str, Any]) -> str:
    """Decode the path below the prefix of this service, which WSGI passes percent-decoded and as latin-1."""
    path: str = environ.get('PATH_INFO', '')
    try:
        return path.encode('latin-1').decode('utf-8')
    except UnicodeDecodeError:
        raise exception.RouteNotFound() from None


@functools.lru_cache(1024)
def _header_name(key: str) -> str:
    return key[5:].replace('_', '-').lower()


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    """Return the request headers by lower-case name."""
    # A slice, as an environment has some forty keys and a method call for each of them shows in a request's time.
    headers = {
        _header_name(key): value for key, value in environ.items() if key[:5] == 'HTTP_' and isinstance(value, str)
    }
    if environ.get('CONTENT_TYPE'):
        headers['content-type'] = environ['CONTENT_TYPE']
    return headers


def _read_body(request: webob.Request) -> bytes:
    try:
        length = request.content_length
    except ValueError:
        raise exception.BadRequest('Content-Length is not a number.') from None
    if length is None and 'HTTP_TRANSFER_ENCODING' not in request.environ:
        return b''
    if length is not None and length < 0:
        raise exception.BadRequest('Content-Length is not a number.')
    try:
        stream = request.environ['wsgi.input']
        if length is None:
            # In pieces, so that the limiter can refuse a body that is too long before it fills the memory.
            return b''.join(iter(lambda: stream.read(_PIECE_BYTES), b''))
        body: bytes = stream.read(length)
    except webob.exc.HTTPRequestEntityTooLarge as error:
        raise exception.TooLarge(error.detail or 'Request is too large.') from None
    except (OSError, ValueError):
        raise exception.BadRequest(_INCOMPLETE_BODY) from None
    if length is not None and len(body) != length:
        raise exception.BadRequest(_INCOMPLETE_BODY)
    return body


def _action_of(body: bytes) -> str | None:
    """Return the only top-level key of an action's body; None if there is not exactly one."""
    document = parse_json(body)
    if isinstance(document, dict) and len(document) == 1:
        return str(next(iter(document)))
    return None
