# SPDX-License-Identifier: Apache-2.0
"""Bases of the emulated services: routing, faults, tokens, request ids and a log of requests."""

import collections
import dataclasses
import datetime
import threading
import uuid
from collections.abc import Callable, Iterable
from email.utils import formatdate
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from keystonemiddleware.auth_token import BaseAuthProtocol
from keystonemiddleware.exceptions import KeystoneMiddlewareException

from trio2o.lab.emulated import faults, wire
from trio2o.lab.emulated.clock import Clock

if TYPE_CHECKING:
    from trio2o.lab.emulated.keystone import Keystone

BODY_LIMIT = 114688

FAULT_NAMES = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}

NOT_FOUND = 'The resource could not be found.'


@dataclasses.dataclass(frozen=True)
class Seen:
    """One request that reached a service."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return wire.loads(self.body)


class Service:
    """A WSGI application with a table of routes."""

    routes: Iterable[wire.Route] = ()

    def __init__(self, clock: Clock | None = None, log_size: int | None = 10000) -> None:
        self.clock = clock or Clock()
        self.faults = faults.Faults()
        self.requests: collections.deque[Seen] = collections.deque(maxlen=log_size)
        self.lock = threading.RLock()
        self.router = wire.router_of(tuple(self.routes))

    # -- the steps of a request --

    def exchange(self, request: wire.Request) -> tuple[wire.Response, faults.Delivery]:
        """Answer a request, and say how the answer is to be delivered."""
        if not self.faults:
            return self.answer(request), faults.PLAIN
        struck = self.faults.strike(request.method, request.path)
        response = self._fault_answer(struck, request)
        if response is None:
            response = self.answer(request)
        for fault in struck:
            if isinstance(fault, faults.Alter) and response.status < 300:
                fault.change(response)
            elif isinstance(fault, faults.Oversize):
                response.body += b' ' * fault.size
        return response, faults.delivery(struck, response)

    def answer(self, request: wire.Request) -> wire.Response:
        """Answer a request as if there were no faults, and log it."""
        request.request_id = 'req-' + str(uuid.uuid4())
        with self.lock:
            try:
                response = self.respond(request)
            except wire.Refusal as refusal:
                response = self.render(request, refusal)
        response.headers.append(('Date', self._date()))
        if self.requests.maxlen != 0:
            self.requests.append(
                Seen(request.method, request.path, request.query, request.headers, request.body, response.status)
            )
        return response

    def _date(self) -> str:
        """Format the time for the Date header."""
        return formatdate(self.clock.now().replace(tzinfo=datetime.UTC).timestamp(), usegmt=True)

    def respond(self, request: wire.Request) -> wire.Response:
        """Find the route and call its handler; services override this to check tokens and versions first."""
        try:
            route, request.args = self.router.match(request.method, request.path, request.minor)
        except wire.NoRoute:
            raise wire.Refusal(404, NOT_FOUND) from None
        if route is None:
            raise wire.Refusal(404, NOT_FOUND)
        return route.handler(self, request)

    def render(self, request: wire.Request, refusal: wire.Refusal) -> wire.Response:
        """Make the answer to a refused request in the format of this service."""
        raise NotImplementedError

    def _fault_answer(self, struck: list[faults.Fault], request: wire.Request) -> wire.Response | None:
        """Return the answer of the first fault that replaces the service's own; None if there is none."""
        for fault in struck:
            if isinstance(fault, faults.StatusAfter):
                self.answer(request)
            if isinstance(fault, faults.Status):
                return wire.Response(fault.status, list(fault.headers), fault.body)
            if isinstance(fault, faults.Refusal):
                retry = [] if fault.retry_after is None else [('Retry-After', str(fault.retry_after))]
                return self.render(request, wire.Refusal(fault.status, 'The service refuses.', retry))
            if isinstance(fault, faults.EndlessPages):
                return fault.response(self.answer(fault.request(request)))
            if isinstance(fault, faults.BalancerAnswers):
                if fault.is_processed:
                    self.answer(request)
                return fault.response()
            if isinstance(fault, faults.Garbage):
                return wire.Response(200, list(wire.JSON), fault.body)
            if isinstance(fault, faults.Refuse | faults.Drop | faults.Blackhole):
                return wire.Response(500, [])
            if isinstance(fault, faults.WrongVersion):
                minor = wanted_minor(request.headers)
                if minor is not None and minor > fault.minor:
                    return wire.reply(
                        {'computeFault': {'code': 406, 'message': 'Version is not supported by the API.'}}, 406
                    )
        return None

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> list[bytes]:
        """Serve a WSGI request; through WSGI, a service has no faults."""
        response = self.answer(wire.Request.from_environ(environ))
        reason = wire.REASONS.get(response.status, 'Unknown')
        start_response(f'{response.status} {reason}', [*response.headers, ('Content-Length', str(len(response.body)))])
        return [response.body]


def wanted_minor(headers: dict[str, str]) -> int | None:
    """Return the minor version in the headers, of any service; None if there is none."""
    text = headers.get('openstack-api-version') or headers.get('x-openstack-nova-api-version') or ''
    number = text.rpartition(' ')[2]
    if number == 'latest':
        return 1 << 20
    minor = number.partition('.')[2]
    return int(minor) if minor.isdigit() else None


class PodService(Service):
    """A service of a pod, with Keystone tokens, the project in the path, and faults in Nova's format."""

    fault_type = 'application/json'
    #: The role that the policy of this service takes for an administrator's.
    admin_role = 'admin'
    #: ``[keystone_authtoken] service_type``
    service_type = ''

    def __init__(self, keystone: 'Keystone', clock: Clock | None = None, log_size: int | None = 10000) -> None:
        super().__init__(clock, log_size)
        self.keystone = keystone

    def authenticate(self, request: wire.Request) -> wire.Response | None:
        """Set the user of a request; return keystonemiddleware's 401 if the token is not valid."""
        token = request.headers.get('x-auth-token')
        request.user = self.keystone.find(token) if token else None
        if request.user is not None and self._is_allowed(request):
            request.user = request.user.with_admin_role(self.admin_role)
            return None
        body = {
            'error': {
                'code': 401,
                'title': 'Unauthorized',
                'message': 'The request you have made requires authentication.',
            }
        }
        uri = f'Keystone uri="{self.keystone.url}"'
        return wire.reply(body, 401, [('WWW-Authenticate', uri)])

    def _is_allowed(self, request: wire.Request) -> bool:
        """Return whether the access rules of the token allow the request, as keystonemiddleware sees it."""
        service = self.keystone.find(request.headers.get('x-service-token', ''))
        if request.user.access_rules is None or (service is not None and 'service' in service.roles):
            return True
        try:
            BaseAuthProtocol(None, service_type=self.service_type).validate_allowed_request(
                SimpleNamespace(method=request.method, path=request.path, service_token=None),
                {
                    'application_credential': {'access_rules': request.user.access_rules},
                    'catalog': self.keystone.catalog(),
                },
            )
        except KeystoneMiddlewareException:
            return False
        return True

    def split_project(self, request: wire.Request, path: str) -> str:
        """Remove the project id from the path, if it begins with one, and note it in the request."""
        match = wire.PROJECT.match(path)
        if match is None or not match.group(2):
            return path
        request.project_in_path = match.group(1)
        return match.group(2)

    def render(self, request: wire.Request, refusal: wire.Refusal) -> wire.Response:
        fault = {'code': refusal.status, 'message': refusal.message}
        name = FAULT_NAMES.get(refusal.status, 'computeFault')
        for header, value in refusal.headers:
            if header == 'Retry-After' and refusal.status in (413, 429):
                fault['retryAfter'] = value
        response = wire.Response(
            refusal.status, [('Content-Type', self.fault_type), *refusal.headers], wire.dumps({name: fault})
        )
        return self.finish(request, response)

    def finish(self, request: wire.Request, response: wire.Response) -> wire.Response:
        """Add the headers of this service to an answer."""
        return response

    def body_of(self, request: wire.Request, media: str) -> Any:
        """Parse the body; None if it is empty."""
        if len(request.body) > BODY_LIMIT:
            raise wire.Refusal(413, 'Request is too large.')
        if not request.body:
            return None
        kind = request.headers.get('content-type', '').partition(';')[0].strip()
        if kind not in ('', 'text/plain', 'application/json', media):
            raise wire.Refusal(415, 'Unsupported Content-Type')
        try:
            return wire.loads(request.body)
        except ValueError:
            raise wire.Refusal(400, 'Malformed request body') from None

    def no_route(self, request: wire.Request) -> wire.Response:
        """Answer with webob's own 404, as for a path that is not in the real service's router."""
        message = 'The resource could not be found.<br /><br />\n\n\n'
        if 'application/json' in request.headers.get('accept', ''):
            return wire.Response(
                404,
                [('Content-Type', 'application/json')],
                wire.dumps({'message': message, 'code': '404 Not Found', 'title': 'Not Found'}),
            )
        text = '404 Not Found\n\nThe resource could not be found.\n\n\n  '
        return wire.Response(404, [('Content-Type', 'text/plain; charset=UTF-8')], text.encode())
