# SPDX-License-Identifier: Apache-2.0
"""Nova: the Compute API of one emulated pod.

This module holds the state and processes what all requests have (token, microversion, project in
the path); each resource has a module with its routes.
"""

import dataclasses
import datetime
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import service, wire
from trio2o.lab.emulated.clock import Clock
from trio2o.lab.emulated.collation import collection
from trio2o.lab.emulated.nova import (
    attachments,
    events,
    flavors,
    groups,
    infra,
    instance_actions,
    keypairs,
    proxies,
    quotas,
    server_actions,
    server_parts,
    servers,
    versions,
)
from trio2o.lab.emulated.service import NOT_FOUND

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder
    from trio2o.lab.emulated.glance import Glance
    from trio2o.lab.emulated.keystone import Keystone
    from trio2o.lab.emulated.neutron import Neutron

MEDIA = 'application/vnd.openstack.compute+json'
DEFAULT_FLAVORS = (('1', 'm1.tiny', 512, 1, 1), ('2', 'm1.small', 2048, 20, 1), ('3', 'm1.medium', 4096, 40, 2))


@dataclasses.dataclass
class Settings:
    """Options of nova.conf, and the durations of builds and deletes.

    ``build_seconds`` and ``delete_seconds`` are measured on the pod's clock. With 0 the work is done before the
    next request, with None not until the test calls ``Nova.settle(everything=True)``. With ``ignores_case`` ids and
    names are found, and servers sorted, as in a database on MySQL.
    """

    min_minor: int = 1
    max_minor: int = 104
    max_limit: int = 1000
    zones: tuple[str, ...] = ('nova',)
    build_seconds: float | None = 0.0
    delete_seconds: float | None = 0.0
    cross_az_attach: bool = True
    ignores_case: bool = False


class Nova(service.PodService):
    """The Nova of one pod. ``servers`` and the other collections are dicts that tests read and change."""

    fault_type = 'application/json; charset=UTF-8'
    service_type = 'compute'

    def __init__(
        self,
        keystone: 'Keystone',
        clock: Clock | None = None,
        settings: Settings | None = None,
        cinder: 'Cinder | None' = None,
        glance: 'Glance | None' = None,
        log_size: int | None = 10000,
        neutron: 'Neutron | None' = None,
    ) -> None:
        self.routes = ROUTES
        super().__init__(keystone, clock, log_size)
        self.settings = settings or Settings()
        self.cinder = cinder
        self.glance = glance
        self.neutron = neutron
        if neutron is not None:
            neutron.novas.append(self)
        self.servers: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.flavors: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.keypairs: dict[tuple[str, str], dict[str, Any]] = collection(self.settings.ignores_case)
        self.groups: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.aggregates: dict[int, dict[str, Any]] = {}
        self.hosts: list[str] = ['compute-1']
        self.disabled: dict[str, str | None] = {}  # compute host -> reason
        self.has_room: Callable[[str, dict[str, Any]], bool] = lambda host, flavor: True  # Placement replaces it
        self.migrations: list[dict[str, Any]] = []
        self.consoles: dict[str, dict[str, Any]] = {}  # by token
        self.assisted: list[str] = []  # volumes of assisted snapshots
        self.quota_sets: dict[str, dict[str, int]] = {}
        self.user_quotas: dict[tuple[str, str], dict[str, int]] = {}
        self.quota_classes: dict[str, dict[str, int]] = {'default': dict(quotas.DEFAULTS)}
        self.events: list[dict[str, Any]] = []
        self._pending: list[tuple[datetime.datetime | None, Callable[[], None]]] = []
        for flavor_id, name, ram, disk, vcpus in DEFAULT_FLAVORS:
            flavors.add(self, name, ram, disk, vcpus, flavor_id=flavor_id)

    # -- time --

    def stamp(self) -> datetime.datetime:
        """Return the current time in whole seconds, as the database stores it."""
        return self.clock.now().replace(microsecond=0)

    def later(self, seconds: float | None, work: Callable[[], None]) -> None:
        """Schedule work.

        :param seconds: on the pod's clock; None is never, unless ``settle`` does everything
        """
        due = None if seconds is None else self.clock.now() + datetime.timedelta(seconds=seconds)
        self._pending.append((due, work))

    def settle(self, everything: bool = False) -> None:
        """Do the scheduled work that is due.

        :param everything: also the work that is not due yet
        """
        with self.lock:
            if not self._pending:
                return
            now = self.clock.now()
            ready = [row for row in self._pending if everything or (row[0] is not None and row[0] <= now)]
            self._pending = [row for row in self._pending if row not in ready]
            for _, work in ready:
                work()

    # -- the steps of a request --

    def respond(self, request: wire.Request) -> wire.Response:
        response = self._respond(request)
        if not request.path.startswith('/v2'):
            return response
        response.headers += [
            ('x-openstack-request-id', request.request_id),
            ('x-compute-request-id', request.request_id),
        ]
        return response

    def _respond(self, request: wire.Request) -> wire.Response:
        if self._pending:
            self.settle()
        path = request.path
        if not path.startswith('/v2.1/') or path == '/v2.1/':
            return versions.unversioned(self, request)
        refused = self.authenticate(request)
        if refused is not None:
            return refused
        try:
            path = self.split_project(request, path[5:])
            if request.project_in_path and path == '/':
                path = ''
            self.router.match(request.method, path, 1 << 29)
        except wire.NoRoute:
            return self.no_route(request)
        try:
            self.negotiate(request)
            route, request.args = self.router.match(request.method, path, request.minor)
            if route is None:
                raise wire.Refusal(404, NOT_FOUND)
            self._check_project(request)
            if path and not request.user.project_id:
                # All policy rules of Nova are for tokens that are scoped to a project.
                raise wire.Refusal(403, "Policy doesn't allow this operation to be performed.")
            request.prefix = f'{request.base}/v2.1' + (
                f'/{request.project_in_path}' if request.project_in_path else ''
            )
            return self.finish(request, route.handler(self, request))
        except wire.Refusal as refusal:
            return self.render(request, refusal)

    def _check_project(self, request: wire.Request) -> None:
        given = request.project_in_path
        if given and given != request.user.project_id:
            raise wire.Refusal(
                400,
                (
                    f"Malformed request URL: URL's project_id '{given}' doesn't match Context's "
                    f"project_id '{request.user.project_id}'"
                ),
            )

    def negotiate(self, request: wire.Request) -> None:
        """Set the microversion that the request names, or refuse it with Nova's message."""
        text = versions.requested(request.headers)
        low, high = self.settings.min_minor, self.settings.max_minor
        if text is None:
            request.minor = 1
            return
        if text == 'latest':
            request.minor = high
            return
        major, _, minor = text.partition('.')
        if not (major.isdigit() and minor.isdigit()) or text != f'{int(major)}.{int(minor)}':
            request.minor = -1
            raise wire.Refusal(
                400, f'API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.'
            )
        request.minor = int(minor)
        if int(major) != 2 or not low <= int(minor) <= high:
            request.args['refused_version'] = text
            raise wire.Refusal(
                406, f'Version {text} is not supported by the API. Minimum is 2.{low} and maximum is 2.{high}.'
            )

    def finish(self, request: wire.Request, response: wire.Response) -> wire.Response:
        if request.minor > 0:
            number = request.args.get('refused_version') or f'2.{request.minor}'
            response.headers += [
                ('OpenStack-API-Version', f'compute {number}'),
                ('X-OpenStack-Nova-API-Version', number),
                ('Vary', 'OpenStack-API-Version'),
                ('Vary', 'X-OpenStack-Nova-API-Version'),
            ]
        return response

    # -- for handlers --

    def body(self, request: wire.Request, key: str) -> dict[str, Any]:
        """Return the object under ``key`` in the body."""
        body = self.body_of(request, MEDIA)
        if not isinstance(body, dict) or key not in body:
            raise wire.Refusal(
                400,
                f"'{key}' is a required property" if isinstance(body, dict) else f"{body!r} is not of type 'object'",
            )
        if not isinstance(body[key], dict):
            raise wire.Refusal(
                400,
                f"Invalid input for field/attribute {key}. Value: {body[key]}. {body[key]!r} is not of type 'object'",
            )
        return body[key]

    def admin_only(self, request: wire.Request, rule: str) -> None:
        """Refuse a caller who is not an administrator, with the policy rule in the message as in Nova."""
        if not request.user.is_admin:
            raise wire.Refusal(403, f"Policy doesn't allow {rule} to be performed.")

    def server(self, request: wire.Request, missing: str = 'Instance {} could not be found.') -> dict[str, Any]:
        """Return the server in the path.

        :param missing: text of the 404
        :raises Refusal: there is none, it is deleted, or the caller may not see it
        """
        wanted = request.args['server_id']
        found = self.servers.get(wanted)
        if (
            found is None
            or found['deleted']
            or not (request.user.is_admin or found['project_id'] == request.user.project_id)
        ):
            raise wire.Refusal(404, missing.format(wanted))
        return found

    def receive_event(self, event: dict[str, Any]) -> None:
        """Process an external event of a server, if this pod has it."""
        with self.lock:
            server = self.servers.get(event['server_uuid'])
            if server is not None and not server['deleted']:
                events.process(self, server, event)

    def new_id(self) -> str:
        """Return a new UUID."""
        return str(uuid.uuid4())


ROUTES = [
    *versions.ROUTES,
    *servers.ROUTES,
    *server_actions.ROUTES,
    *server_parts.ROUTES,
    *attachments.ROUTES,
    *instance_actions.ROUTES,
    *flavors.ROUTES,
    *keypairs.ROUTES,
    *groups.ROUTES,
    *quotas.ROUTES,
    *events.ROUTES,
    *infra.ROUTES,
    *proxies.ROUTES,
]
