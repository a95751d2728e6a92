# SPDX-License-Identifier: Apache-2.0
"""Cinder: the Block Storage API of one emulated pod.

This module holds the state and processes what all requests have (token, microversion, project in
the path); each resource has a module with its routes.
"""

import dataclasses
import datetime
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.lab.disks import Disk, flipped
from trio2o.lab.emulated import service, wire
from trio2o.lab.emulated.cinder import (
    attachments,
    backups,
    group_types,
    groups,
    infra,
    messages,
    qos,
    quotas,
    records,
    snapshots,
    transfers,
    types,
    versions,
    volume_actions,
    volume_metadata,
    volumes,
)
from trio2o.lab.emulated.cinder.storage import Storage
from trio2o.lab.emulated.clock import Clock
from trio2o.lab.emulated.collation import collection
from trio2o.lab.emulated.service import NOT_FOUND

if TYPE_CHECKING:
    from trio2o.lab.emulated.glance import Glance
    from trio2o.lab.emulated.keystone import Keystone, Token

MEDIA = 'application/vnd.openstack.volume+json'


@dataclasses.dataclass
class Settings:
    """Options of cinder.conf, and the durations of builds and deletes (see Nova's settings)."""

    min_minor: int = 0
    max_minor: int = 71
    max_limit: int = 1000
    zones: tuple[str, ...] = ('nova',)
    zone_fallback: bool = False
    ignores_case: bool = False
    build_seconds: float | None = 0.0
    delete_seconds: float | None = 0.0


class Cinder(service.PodService):
    """The Cinder of one pod. ``volumes`` and the other collections are dicts that tests read and change."""

    service_type = 'block-storage'

    def __init__(
        self,
        keystone: 'Keystone',
        clock: Clock | None = None,
        settings: Settings | None = None,
        glance: 'Glance | None' = None,
        log_size: int | None = 10000,
        storage: Storage | None = None,
    ) -> None:
        self.routes = ROUTES
        super().__init__(keystone, clock, log_size)
        self.settings = settings or Settings()
        self.glance = glance
        self._flips = 0
        self.storage = storage or Storage()
        self.volumes: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.snapshots: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.attachments: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.types: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.qos_specs: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.backups: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.transfers: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.messages: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.group_snapshots: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.group_types: dict[str, dict[str, Any]] = collection(self.settings.ignores_case)
        self.default_types: dict[str, str] = collection(self.settings.ignores_case)
        self.filters: dict[str, list[str]] = infra.FILTERS
        self.hosts: list[str] = ['volume-1']
        self.capacity_gb = 1000
        self.capabilities: dict[str, Any] = {}  # additional capabilities of the pools
        self.quota_sets: dict[str, dict[str, int]] = {}
        self.quota_classes: dict[str, dict[str, int]] = {'default': dict(quotas.DEFAULTS)}
        self._pending: list[tuple[datetime.datetime | None, Callable[[], None]]] = []
        types.add(self, '__DEFAULT__', description='Default Volume Type')
        group_types.add(
            self,
            group_types.DEFAULT,
            description='Default group type for migrating cgsnapshot',
            group_specs={'consistent_group_snapshot_enabled': '<is> True'},
        )

    # -- time --

    def stamp(self) -> datetime.datetime:
        """Return the current time in whole seconds, as MySQL stores it."""
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
        response.headers += [('x-openstack-request-id', request.request_id)]
        return response

    def _respond(self, request: wire.Request) -> wire.Response:
        if self._pending:
            self.settle()
        path = request.path
        if not path.startswith('/v3/'):
            return versions.unversioned(self, request)
        refused = self.authenticate(request)
        if refused is not None:
            return refused
        if path.endswith('.json'):
            path = path[:-5]
        path = path[3:]
        try:
            path = self.split_project(request, path)
            if path != '/':
                self.router.match(request.method, path, 1 << 29)
        except wire.NoRoute:
            return self.no_route(request)
        try:
            self.negotiate(request)
            if path == '/':
                return self.finish(request, versions.show(self, request))
            route, request.args = self.router.match(request.method, path, request.minor)
            if route is None:
                raise wire.Refusal(404, NOT_FOUND)
            given = request.project_in_path
            if given and given != request.user.project_id:
                raise wire.Refusal(400, 'Malformed request url')
            if not request.user.project_id and not request.user.is_admin and request.method != 'GET':
                # A reader without a project is the reader of the project that such a token has: none.
                raise wire.Refusal(403, "Policy doesn't allow this operation to be performed.")
            request.prefix = f'{request.base}/v3' + (f'/{given}' if given else '')
            return self.finish(request, route.handler(self, request))
        except wire.Refusal as refusal:
            return self.render(request, refusal)

    def negotiate(self, request: wire.Request) -> None:
        """Set the microversion that the request names, or refuse it with Cinder's message."""
        header = request.headers.get('openstack-api-version')
        request.minor = 0
        if header is None:
            return
        text = None
        for item in header.split(','):
            words = item.split()
            if 'volume' in item and len(words) == 2:
                text = words[1]
                break
        if text is None:
            request.minor = -1
            raise wire.Refusal(
                400,
                'The server could not comply with the request since it is either malformed or otherwise incorrect.',
            )
        if text == 'latest':
            request.minor = self.settings.max_minor
            return
        major, _, minor = text.partition('.')
        if not (major.isdigit() and minor.isdigit()) or text != f'{int(major)}.{int(minor)}':
            request.minor = -1
            raise wire.Refusal(
                400, f'API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.'
            )
        request.minor = int(minor)
        low, high = self.settings.min_minor, self.settings.max_minor
        if int(major) != 3 or not low <= int(minor) <= high:
            request.args['refused_version'] = text
            raise wire.Refusal(
                406, f'Version {text} is not supported by the API. Minimum is 3.{low} and maximum is 3.{high}.'
            )

    def finish(self, request: wire.Request, response: wire.Response) -> wire.Response:
        if request.minor >= 0:
            number = request.args.get('refused_version') or f'3.{request.minor}'
            response.headers += [('OpenStack-API-Version', f'volume {number}'), ('Vary', 'OpenStack-API-Version')]
        if wire.BARE not in response.headers:
            response.headers.append(('x-compute-request-id', request.request_id))
        return response

    # -- for handlers --

    def body(self, request: wire.Request, key: str) -> dict[str, Any]:
        """Return the object under ``key`` in the body."""
        body = self.body_of(request, MEDIA)
        if not isinstance(body, dict) or not isinstance(body.get(key), dict):
            raise wire.Refusal(
                400, f"'{key}' is a required property" if isinstance(body, dict) else "None is not of type 'object'"
            )
        return body[key]

    def admin_only(self, request: wire.Request, rule: str) -> None:
        """Refuse a caller who is not an administrator, with the policy rule in the message as in Cinder."""
        if not request.user.is_admin:
            raise wire.Refusal(403, f"Policy doesn't allow {rule} to be performed.")

    def new_id(self) -> str:
        """Return a new UUID."""
        return str(uuid.uuid4())

    # -- called by the Nova of the same pod --

    def has_volume(self, volume_id: str, user: 'Token') -> bool:
        """Whether a volume exists that the user may see."""
        volume = self.volumes.get(volume_id)
        return volume is not None and (user.is_admin or volume['project_id'] == user.project_id)

    def add_volume(self, project_id: str, user_id: str, size: int, **given: Any) -> dict[str, Any]:
        """Add a volume without a request."""
        return records.new_volume(self, project_id, user_id, size, **given)

    def add_snapshot(self, volume_id: str, **given: Any) -> dict[str, Any]:
        """Add a snapshot of a volume without a request."""
        return records.new_snapshot(self, self.volumes[volume_id], **given)

    def flip_byte(self) -> None:
        """Give the next volume that is created from an image one wrong byte."""
        self._flips += 1

    def bytes_of(self, source: str, identifier: str | None) -> dict[str, bytes]:
        """Return the ``disk`` that gives a new volume the bytes of an image, snapshot or volume; else nothing."""
        if source == 'image':
            data = self.glance.contents.get(identifier or '') if self.glance is not None else None
            if data and self._flips:
                self._flips -= 1
                data = flipped(data)
            return {} if data is None else {'disk': data}
        held = {'snapshot': self.snapshots, 'volume': self.volumes}.get(source, {}).get(identifier or '')
        return {} if held is None else {'disk': Disk(held).read()}

    def attach_volume(self, volume_id: str, server_id: str, device: str) -> str:
        """Attach a volume to a server.

        :returns: id of the attachment
        """
        return records.attach(self, self.volumes[volume_id], server_id, device)

    def detach_volume(self, volume_id: str, attachment_id: str, delete: bool) -> None:
        """Delete an attachment.

        :param delete: also delete the volume
        """
        self.attachments.pop(attachment_id, None)
        volume = self.volumes.get(volume_id)
        if volume is None:
            return
        if delete:
            del self.volumes[volume_id]
        elif not records.attachments_of(self, volume_id):
            volume['status'] = 'available'


ROUTES = [
    *volumes.ROUTES,
    *volume_actions.ROUTES,
    *volume_metadata.ROUTES,
    *snapshots.ROUTES,
    *types.ROUTES,
    *qos.ROUTES,
    *attachments.ROUTES,
    *quotas.ROUTES,
    *infra.ROUTES,
    *backups.ROUTES,
    *transfers.ROUTES,
    *messages.ROUTES,
    *group_types.ROUTES,
    *groups.ROUTES,
]
