# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes between projects, under both of their paths.

A transfer is in the pod of its volume. The project that accepts it cannot see it before. Whoever accepts it
shows its key, so only the right key lets a refusal for quota say how large the volume is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from trio2o import exception, job_types
from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.cinder_apigw.quota_errors import over_quota_error
from trio2o.db import transfer_keys
from trio2o.db.errors import NOT_RECORDED
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pod import names_of, route_error, send, send_to_route
from trio2o.gateway.claiming import HeldClaim, quota_claim
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.translate import answer_up
from trio2o.pods.own_answers import is_internal_error, is_unknown_path
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import Amounts, total
from trio2o.quota.claims import ClaimRequest, OverQuota
from trio2o.quota.usage import deltas_of
from trio2o.resources import SNAPSHOT, TRANSFER, VOLUME, is_resource_id, normalized_id
from trio2o.routing.inventory import Inventory
from trio2o.routing.locator import Route
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

LOG = logging.getLogger(__name__)

_PAGE = 1000
_OLD_PATH = '/os-volume-transfer'

#: What every volume uses at least.
_LEAST = {'volumes': 1, 'gigabytes': 1}


class TransferList(CinderList):
    """``GET /volume-transfers``, and the list of the older path, which never has pages."""

    resource = TRANSFER
    sort_keys = shown_keys(
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
    unpaged_sort = ('created_at', False)
    links_key = 'transfers_links'
    #: First version of the newer path with pages, and with the newest first.
    paged_since = (3, 59)
    related = {'volume_id': VOLUME}
    summary_fields = ('id', 'volume_id', 'name', 'links')

    def is_paged(self, call: Call) -> bool:
        return not self.path.startswith(_OLD_PATH) and super().is_paged(call)

    @property
    def pod_path(self) -> str:
        return f'{self.path.removesuffix("/detail")}/detail'

    @property
    def link_path(self) -> str:
        return _OLD_PATH


class CreateTransfer(Create):
    """Create a transfer in the pod of its volume."""

    resource = TRANSFER
    zone_field = ''
    affinity_fields = {'volume_id': VOLUME}
    is_dependent = True

    def created(self, creation: Creation, answer: Answer) -> None:
        """Record the key, which only the answer to the create shows."""
        transfer = json_body.member(answer, TRANSFER) or {}
        auth_key = transfer.get('auth_key')
        if is_resource_id(transfer.get('id')) and isinstance(auth_key, str):
            transfer_keys.record(creation.call.runtime.db, transfer['id'], auth_key)


@dataclass(frozen=True)
class AcceptTransfer:
    """Accept a transfer. The volume and its snapshots then belong to the caller's project, and use its quota.

    Cinder compares the key before the quota. Trio2o knows the key of a transfer that was created through it, and with
    the right key the claim is exact. The key of a transfer that was created directly in its pod is not known. There
    the claim is one GiB, and the project may be over its limits afterwards.

    If the pod gives no clear answer, the claim stays open until a job sees in the pod whether the transfer is gone.
    """

    def __call__(self, call: Call) -> Answer:
        # The claim only checks that the quota has room: the amounts move with the routings.
        with quota_claim(call, self._claim_request(call), self._over_quota_error) as claim:
            return self._accept(call, claim)

    def _over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return over_quota_error('volumes', error)

    def _claim_request(self, call: Call) -> ClaimRequest:
        transfer_id = normalized_id(call.id)
        if not is_resource_id(transfer_id):
            return ClaimRequest(call.context.project_id or '', '', {})  # no pod has such a transfer
        route = call.runtime.locator.look_up(TRANSFER.type, transfer_id)
        return ClaimRequest(
            call.context.project_id or '',
            '',
            self._amounts(call),
            resource_type=TRANSFER.type,
            resource_id=transfer_id,
            request_id=call.context.request_id or '',
            pod_id=route.pod.id if route is not None and route.is_live else '',
        )

    def _amounts(self, call: Call) -> Amounts:
        """Return what to claim.

        :raises ServiceUnavailable: the pod of the transfer does not show what it is of
        """
        auth_key = json_body.at(call.json, 'accept', 'auth_key')
        if not isinstance(auth_key, str):
            return {}  # the pod refuses the body
        transfer_id = normalized_id(call.id)
        is_right = transfer_keys.is_right(call.runtime.db, transfer_id, auth_key)
        if is_right is None:
            return _LEAST
        route = call.runtime.locator.look_up(TRANSFER.type, transfer_id)
        if not is_right or route is None or route.pod.in_maintenance:
            return {}  # refused before anything is transferred
        try:
            return self._amounts_in(call, route.pod, transfer_id)
        except (exception.Trio2oException, PodRefused) as error:
            LOG.warning('cannot claim quota for transfer %s: %s', transfer_id, error)
            raise pod_failures.unreachable(f'{TRANSFER.title} {transfer_id}', route.pod.zone) from error

    def _amounts_in(self, call: Call, pod: PodView, transfer_id: str) -> Amounts:
        """Return the quota that the volume of a transfer uses, with its snapshots if the transfer includes them."""
        runtime = call.runtime
        transfer = Inventory(runtime, pod, TRANSFER).show(transfer_id)
        volume_id = (transfer or {}).get('volume_id')
        volume = Inventory(runtime, pod, VOLUME).show(volume_id) if isinstance(volume_id, str) else None
        if transfer is None or volume is None:
            return {}
        db = call.runtime.db
        parts = [deltas_of(db, VOLUME.type, volume) or {}]
        if not transfer.get('no_snapshots'):
            owner = VOLUME.owner_of(volume, '')
            parts += [
                deltas_of(db, SNAPSHOT.type, item) or {}
                for item in Inventory(runtime, pod, SNAPSHOT, owner).items()
                if item.get('volume_id') == volume_id
            ]
        return total(parts)

    def _accept(self, call: Call, claim: HeldClaim) -> Answer:
        """:raises OutcomeUnknown: the pod may have accepted the transfer"""
        route = call.runtime.locator.look_up(TRANSFER.type, call.id)
        if route is None or not route.is_live:
            return self._accept_anywhere(call, claim)
        if route.pod.in_maintenance:
            raise pod_failures.in_maintenance(f'Transfer {call.id}', route.pod.zone)
        claim.name_pod(route.pod)
        try:
            answer = send_to_route(call, route, TRANSFER)
        except exception.OutcomeUnknown:
            self._keep_open(call, claim, route.pod)
            raise
        self._check_outcome(call, claim, route.pod, answer)
        self._record_owner(call, route.pod, answer)
        return answer

    def _check_outcome(self, call: Call, claim: HeldClaim, pod: PodView, answer: Answer) -> None:
        """:raises OutcomeUnknown: the pod may have accepted the transfer"""
        if is_internal_error(answer):
            LOG.warning('outcome of a transfer unknown: pod %s answered %d', pod.name, answer.status)
            self._keep_open(call, claim, pod)
            raise pod_failures.outcome_unknown(f'{TRANSFER.title} {call.id}', pod.zone)

    def _keep_open(self, call: Call, claim: HeldClaim, pod: PodView) -> None:
        """Keep the claim until the transfer is gone from the pod, and let a job look there at once."""
        claim.keep_open(pod, TRANSFER.type, normalized_id(call.id))
        project_id = call.context.project_id or ''
        payload = {'project_id': project_id, 'asks_pods': True}
        try:
            call.runtime.jobs.submit(job_types.RECOUNT_QUOTA, project_id, payload, request_id=call.context.request_id)
        except NOT_RECORDED:
            LOG.exception('Failed to submit a job that looks for the volume of transfer %r', call.id)

    def _accept_anywhere(self, call: Call, claim: HeldClaim) -> Answer:
        """Send the call to one pod after another until one has the transfer. All others answer 404 and do nothing.

        :raises ServiceUnavailable: no pod that answers has it, and one cannot be reached
        :raises OutcomeUnknown: a pod may have accepted the transfer
        """
        refusal: Answer | None = None
        is_complete = True
        for pod in call.runtime.registry.snapshot().serving(TRANSFER.service):
            names = names_of(call, pod)
            claim.name_pod(pod)
            try:
                answer = answer_up(send(call, pod, names=names), names, TRANSFER)
            except exception.PodNoAnswer as error:
                self._keep_open(call, claim, pod)
                route = Route(pod, call.id, call.id, call.context.project_id or '')
                raise route_error(call, route, TRANSFER, error) from error
            except exception.PodNotReached:
                is_complete = False
                continue
            if is_unknown_path(answer):
                is_complete = False
                continue
            if answer.status != 404:
                self._check_outcome(call, claim, pod, answer)
                self._record_owner(call, pod, answer)
                return answer
            refusal = answer
        if not is_complete:
            raise pod_failures.maybe_elsewhere(f'Transfer {call.id}')
        return refusal or call_any_pod(call)

    def _record_owner(self, call: Call, pod: PodView, answer: Answer) -> None:
        """Record the new owner of the volume and the snapshots of an accepted transfer."""
        volume_id = json_body.at(answer.json, 'transfer', 'volume_id') if answer.is_ok else None
        if not isinstance(volume_id, str):
            return
        locator = call.runtime.locator
        owner = call.context.project_id or ''
        route = locator.look_up(TRANSFER.type, call.id)
        if route is not None:
            locator.mark_deleted(TRANSFER.type, route)
        locator.change_owner(VOLUME, pod, [volume_id], owner)
        locator.change_owner(SNAPSHOT, pod, self._snapshots(call, pod, volume_id), owner)

    def _snapshots(self, call: Call, pod: PodView, volume_id: str) -> list[str]:
        """Return the ids of the snapshots that the transfer included, which are those that the new owner sees."""
        query = urlencode({'volume_id': volume_id, 'limit': _PAGE})
        try:
            answer = send(replace(call, headers={}), pod, method='GET', path='/snapshots', query=query, body=b'')
        except exception.PodError as error:
            # The next list that shows them corrects their owner.
            LOG.warning('snapshots of transferred volume %s could not be listed: %s', volume_id, error)
            return []
        items = json_body.objects_at(answer.json, SNAPSHOT.collection) if answer.is_ok else []
        return [item['id'] for item in items if is_resource_id(item.get('id'))]


_FORWARD = Forward(TRANSFER)


def rows(name: str, path: str) -> list[Operation]:
    """Return the rows of transfers below one of the paths."""
    return [
        Operation(f'{name}.list', 'GET', path, TransferList(path, is_detailed=False)),
        Operation(f'{name}.list_detail', 'GET', f'{path}/detail', TransferList(f'{path}/detail', is_detailed=True)),
        Operation(f'{name}.create', 'POST', path, CreateTransfer()),
        Operation(f'{name}.show', 'GET', path + '/{id}', _FORWARD),
        Operation(f'{name}.delete', 'DELETE', path + '/{id}', _FORWARD),
        Operation(f'{name}.accept', 'POST', path + '/{id}/accept', AcceptTransfer()),
    ]


OPERATIONS = [
    *rows('volume_transfers', '/volume-transfers'),
    *rows('os_volume_transfer', _OLD_PATH),
]
