# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes between projects, under both of their paths.

A transfer is in the pod of its volume. Whoever accepts it is of another project, and cannot see it before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.cinder_apigw import paging
from trio2o.cinder_apigw.quota_errors import over
from trio2o.cinder_apigw.volumes import is_full
from trio2o.gateway.call_pod import ask_any, names_of, send, send_to_route, unreachable
from trio2o.gateway.claiming import Claiming
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.gateway.handlers.forward import Forward, at
from trio2o.gateway.handlers.list import Gather
from trio2o.gateway.translate import answer_up
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import Amounts, total
from trio2o.quota.claims import Asked
from trio2o.quota.settle import NotNow, Settler, Where
from trio2o.quota.usage import deltas_of
from trio2o.resources import SNAPSHOT, TRANSFER, VOLUME, Resource
from trio2o.routing.locator import Route
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

LOG = logging.getLogger(__name__)

SORT_KEYS = paging.sort_keys(
    'accepted',
    'created_at',
    'destination_project_id',
    'id',
    'no_snapshots',
    'source_project_id',
    'updated_at',
    'volume_id',
    display_name='name',
)
_NEVER = (1 << 10, 0)
#: First version of the newer path with pages, and with the newest first.
_PAGED = (3, 59)
_PAGE = 1000


def transfer_list(path: str, *, is_detailed: bool) -> Gather:
    """A list; the older path never has pages."""
    base = path.removesuffix('/detail')
    is_old = base == '/os-volume-transfer'
    return Gather(
        TRANSFER,
        paging.paging(TRANSFER, 'transfers_links', since=_NEVER if is_old else _PAGED),
        SORT_KEYS,
        ('created_at', True),
        path,
        detail_path=f'{base}/detail',
        brief=None if is_detailed else paging.brief('id', 'volume_id', 'name', 'links'),
        all_projects=paging.all_projects,
        narrowed_by=(('volume_id', VOLUME),),
        link_path='/os-volume-transfer',
        unpaged_sort=('created_at', False),
    )


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    return pin_if(VOLUME, document['transfer'].get('volume_id'))


@dataclass(frozen=True)
class Accept:
    """Accept a transfer, and let the volume and its snapshots be the new owner's, and count for his project."""

    def __call__(self, call: Call) -> Answer:
        # What it counts for moves with its routings; the claim is for that to fit.
        with Claiming(call, self._asked(call), over('volumes')):
            return self._accept(call)

    def _asked(self, call: Call) -> Asked:
        amounts: Amounts = {}
        for pod in self._pods(call):
            try:
                amounts = self._amounts(call, pod)
            except (NotNow, exception.Trio2oException, PodRefused) as error:
                LOG.info('what transfer %s takes is counted when it is accepted: %s', call.id, error)
            if amounts:
                break
        return Asked(
            call.context.project_id or '',
            '',
            amounts,
            resource_type=VOLUME.type,
            request_id=call.context.request_id or '',
        )

    def _pods(self, call: Call) -> list[PodView]:
        route: Route | None = call.runtime.locator.look_up(TRANSFER.type, call.id)
        pods: list[PodView] = call.runtime.registry.snapshot().asked(TRANSFER.service)
        return [pod for pod in pods if route is None or pod.id == route.pod.id]

    def _amounts(self, call: Call, pod: PodView) -> Amounts:
        """What the volume of a transfer counts for, with its snapshots where they go along."""
        settler = Settler(call.runtime)
        transfer = settler.look(pod, TRANSFER, call.id)
        volume_id = (transfer or {}).get('volume_id')
        volume = settler.look(pod, VOLUME, volume_id) if isinstance(volume_id, str) else None
        if transfer is None or volume is None:
            return {}
        db = call.runtime.db
        parts = [deltas_of(db, VOLUME.type, volume) or {}]
        if not transfer.get('no_snapshots'):
            owner = VOLUME.owner_of(volume, '')
            parts += [
                deltas_of(db, SNAPSHOT.type, item) or {}
                for item in settler.items(Where(pod, SNAPSHOT.type, owner))
                if item.get('volume_id') == volume_id
            ]
        return total(parts)

    def _accept(self, call: Call) -> Answer:
        route: Route | None = call.runtime.locator.look_up(TRANSFER.type, call.id)
        if route is None or not route.is_live:
            return self._accept_anywhere(call)
        if not route.pod.is_asked:
            raise exception.ServiceUnavailable(
                f'Transfer {call.id} is in availability zone {route.pod.zone}, in a part of it that is under '
                'maintenance.'
            )
        answer = send_to_route(call, route, TRANSFER)
        self._follow(call, route.pod, answer)
        return answer

    def _accept_anywhere(self, call: Call) -> Answer:
        """Offer it to one pod after the other: those that have it not say so, and nothing is done.

        :raises ServiceUnavailable: none has it, and one does not answer
        """
        refusal: Answer | None = None
        silent: PodView | None = None
        for pod in call.runtime.registry.snapshot().asked(TRANSFER.service):
            names = names_of(call, pod)
            try:
                answer = answer_up(send(call, pod, names=names), names, TRANSFER)
            except exception.PodNoAnswer as error:
                route = Route(pod, call.id, call.id, call.context.project_id or '')
                raise unreachable(call, route, TRANSFER, error) from error
            except exception.PodNotReached:
                silent = pod
                continue
            if answer.status != 404:
                self._follow(call, pod, answer)
                return answer
            refusal = answer
        if silent is not None:
            raise exception.ServiceUnavailable(
                f'Transfer {call.id} cannot be looked for everywhere now, as a part of this cloud does not answer.',
                retry_after=5,
            )
        return refusal or ask_any(call)

    def _follow(self, call: Call, pod: PodView, answer: Answer) -> None:
        """Note the new owner of what a transfer took along."""
        volume_id = at('transfer', 'volume_id')(answer.json) if answer.is_ok else None
        if not isinstance(volume_id, str):
            return
        locator = call.runtime.locator
        owner = call.context.project_id or ''
        route = locator.look_up(TRANSFER.type, call.id)
        if route is not None:
            locator.ended(TRANSFER.type, route)
        locator.changed_owner(VOLUME, pod, [volume_id], owner)
        locator.changed_owner(SNAPSHOT, pod, self._snapshots(call, pod, volume_id), owner)

    def _snapshots(self, call: Call, pod: PodView, volume_id: str) -> list[str]:
        """The snapshots that came along: what the new owner sees of the volume's."""
        query = urlencode({'volume_id': volume_id, 'limit': _PAGE})
        try:
            answer = send(replace(call, headers={}), pod, method='GET', path='/snapshots', query=query, body=b'')
        except exception.PodError as error:
            # They are found and noted again by whoever lists them.
            LOG.warning('snapshots of volume %s after its transfer: %s', volume_id, error)
            return []
        document = answer.json
        items = document.get('snapshots') if answer.is_ok and isinstance(document, dict) else None
        return [item['id'] for item in items or []]


CREATE = Place(TRANSFER, unknown_zone='', is_full=is_full, pins=pins, zone_field='', needs_pin=True)
FORWARD = Forward(TRANSFER)


def rows(name: str, path: str) -> list[Operation]:
    return [
        Operation(f'{name}.list', 'GET', path, transfer_list(path, is_detailed=False)),
        Operation(f'{name}.list_detail', 'GET', f'{path}/detail', transfer_list(f'{path}/detail', is_detailed=True)),
        Operation(f'{name}.create', 'POST', path, CREATE),
        Operation(f'{name}.show', 'GET', path + '/{id}', FORWARD),
        Operation(f'{name}.delete', 'DELETE', path + '/{id}', FORWARD),
        Operation(f'{name}.accept', 'POST', path + '/{id}/accept', Accept()),
    ]


OPERATIONS = [
    *rows('volume_transfers', '/volume-transfers'),
    *rows('os_volume_transfer', '/os-volume-transfer'),
]
