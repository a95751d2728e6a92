# SPDX-License-Identifier: Apache-2.0
"""/pods: the pods, and the top region (the one without a zone).

This process applies a change at once, every other process within ``[pods] refresh_seconds``.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception, job_types
from trio2o.api import pagination
from trio2o.api.schemas import pods as schemas
from trio2o.db import errors, moves, routings
from trio2o.db import pods as db_pods
from trio2o.db.database import utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.records import BOOKKEEPING, Job, Pod
from trio2o.pods import accounts, endpoints
from trio2o.pods.registry import group_of
from trio2o.resources import ROUTED
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

Json = dict[str, Any]


def view(pod: Pod) -> Json:
    return {name: value for name, value in asdict(pod).items() if name not in BOOKKEEPING}


def list_pods(call: Call) -> Answer:
    """GET /pods: 200, 400."""
    query = schemas.LIST.read(call)
    wanted = pagination.filters_of(query)
    found = [
        view(pod)
        for pod in db_pods.list_all(call.runtime.db)
        if all(getattr(pod, name) == value for name, value in wanted.items())
    ]
    return pagination.of(call, 'pods', found, query, 'pod_id', (('pod_name', 'asc'),))


def show_pod(call: Call) -> Answer:
    """GET /pods/{pod_id}: 200, 404."""
    pod = existing(call)
    changes = [asdict(change) for change in db_pods.state_changes(call.runtime.db, pod.pod_id)]
    return Answer.of({'pod': {**view(pod), 'state_changes': changes}})


def create_pod(call: Call) -> Answer:
    """POST /pods: 200, 400, 409, 422, 503 if Keystone does not return the region's endpoints."""
    wanted = schemas.CREATE.read(call)
    wanted['state_reason'] = wanted.pop('reason', '')
    region = wanted['pod_name']
    db = call.runtime.db
    if not wanted.get('az_name'):
        return Answer.of({'pod': view(_create_top(call, wanted))})
    if region == call.runtime.conf.region_name:
        raise exception.Conflict(f"pod_name '{region}' is the name of the top region, which cannot be a pod.")
    if db_pods.get_by_name(db, region) is not None:
        raise exception.Conflict(f"A pod with pod_name '{region}' exists already.")
    found = {name: endpoint.to_json() for name, endpoint in _find_endpoints(call, region).items()}
    pod_id = uuidutils.generate_uuid()
    job = _sync_job(call, pod_id)
    pod = _create(call, {**wanted, 'endpoints': found, 'pod_id': pod_id, 'job': job})
    call.runtime.jobs.notify(Job(**job))
    call.runtime.registry.refresh()
    LOG.info('pod %s (%s) is registered in zone %s', region, pod.pod_id, pod.az_name)
    return Answer.of({'pod': view(pod)})


def update_pod(call: Call) -> Answer:
    """PUT or PATCH /pods/{pod_id}: change the fields in the body. 200, 400, 404, 409, 422."""
    pod = existing(call)
    changes = schemas.UPDATE.read(call)
    reason = changes.pop('reason', None)
    if pod.is_top and changes.get('state', pod.state) != pod.state:
        raise exception.Unprocessable("Invalid input for field 'pod.state': the top region has no state.")
    _check_zone(call, pod, changes.get('az_name', pod.az_name))
    return Answer.of({'pod': view(change(call, pod, changes, reason))})


def delete_pod(call: Call) -> Answer:
    """DELETE /pods/{pod_id}: 200, 404; 409 while it holds resources or may get new ones, unless ?force=true."""
    query = schemas.DELETE.read(call)
    pod = existing(call)
    db = call.runtime.db
    is_forced = pagination.is_true(query, 'force')
    if moves.is_pod_in_use(db, pod.pod_id):
        raise exception.Conflict(
            f"A move from or to pod '{pod.pod_name}' has not ended. 'openstack trio2o move list --active --pod "
            f"{pod.pod_name}' lists them: confirm, revert or cancel them first, or abandon them if a pod is lost."
        )
    left = moves.count_left_in(db, pod.pod_id)
    if left and not is_forced:
        raise exception.Conflict(
            f"Abandoned moves have left {left} items in pod '{pod.pod_name}'. 'openstack trio2o move list --status "
            f"abandoned --pod {pod.pod_name}' lists these moves: sweep them, or repeat the request with force=true."
        )
    if not is_forced:
        _check_deletable(call, pod)
    count = routings.count_by_pod(db, pod.pod_id, ROUTED)
    if count and not is_forced:
        raise exception.Conflict(
            f"Pod '{pod.pod_name}' still holds {count} resources. "
            'Delete or move them, or repeat the request with force=true to delete only their routings.'
        )
    # Its resources no longer count in quotas.
    job = call.runtime.jobs.row(job_types.RECOUNT_QUOTA, 'all') if count else None
    if not db_pods.delete(db, pod.pod_id, job):
        raise _not_found(pod.pod_id)
    call.runtime.registry.refresh()
    if job is not None:
        call.runtime.jobs.notify(Job(**job))
    LOG.info('pod %s (%s) is deleted, with %d routings', pod.pod_name, pod.pod_id, count)
    return Answer.of({})


def change(call: Call, pod: Pod, changes: Json, reason: str | None) -> Pod:
    """Change a pod, update its bindings, and replicate to it after maintenance.

    :param reason: reason of the pod's state
    """
    zone = (
        changes.get('az_name', pod.az_name),
        group_of(changes.get('resource_affinity_tag', pod.resource_affinity_tag)),
    )
    is_elsewhere = zone != (pod.az_name, group_of(pod.resource_affinity_tag))
    # The pod missed the writes during the maintenance.
    is_back = pod.state == 'maintenance' and changes.get('state', pod.state) != 'maintenance'
    job = _sync_job(call, pod.pod_id) if is_back else None
    changed = db_pods.update(
        call.runtime.db,
        pod.pod_id,
        reason=reason,
        user_id=call.context.user_id or '',
        bound_in=zone if is_elsewhere else None,
        job=job,
        **changes,
    )
    if changed is None:
        raise _not_found(pod.pod_id)
    if job is not None:
        call.runtime.jobs.notify(Job(**job))
    call.runtime.registry.refresh()
    if changed.state != pod.state:
        LOG.info('pod %s is %s now, was %s: %s', pod.pod_name, changed.state, pod.state, changed.state_reason)
    return changed


def existing(call: Call) -> Pod:
    """Return the pod in the path.

    :raises NotFound: there is none
    """
    pod = db_pods.get(call.runtime.db, call.id)
    if pod is None:
        raise _not_found(call.id)
    return pod


def _not_found(pod_id: str) -> exception.NotFound:
    return exception.NotFound(f'Pod {pod_id} could not be found.')


def _create_top(call: Call, wanted: Json) -> Pod:
    top = next((pod for pod in db_pods.list_all(call.runtime.db) if pod.is_top), None)
    if top is not None:
        raise exception.Conflict(f"The top region exists already: '{top.pod_name}'. A pod needs an az_name.")
    name = call.runtime.conf.region_name
    if wanted['pod_name'] != name:
        raise exception.Unprocessable(
            "Invalid input for field 'pod.az_name': a pod needs one; "
            f"without it pod_name must be '{name}', the top region."
        )
    return _create(call, wanted)


def _create(call: Call, wanted: Json) -> Pod:
    try:
        return db_pods.create(call.runtime.db, **wanted)
    except errors.Duplicate as error:
        raise exception.Conflict(f"A pod with pod_name '{wanted['pod_name']}' exists already.") from error
    except errors.Full as error:
        raise exception.Conflict(f'No other pod can be registered: {error}.') from error


def _find_endpoints(call: Call, region: str) -> dict[str, endpoints.PodEndpoint]:
    runtime = call.runtime
    try:
        return _checked_endpoints(call, region, runtime.pod_endpoints.find(region))
    except exception.Unprocessable:
        # The operator may correct the catalog and try again at once.
        runtime.pod_endpoints.forget()
        raise


def _checked_endpoints(
    call: Call, region: str, found: dict[str, endpoints.PodEndpoint]
) -> dict[str, endpoints.PodEndpoint]:
    """:raises Unprocessable: a pod cannot be called with these endpoints"""
    runtime = call.runtime
    if not found:
        raise exception.Unprocessable(
            f"Invalid input for field 'pod.pod_name': Keystone has no region '{region}' with a compute or "
            f'block-storage endpoint (interface {runtime.conf.pods.interface}).'
        )
    account = runtime.identity.account_of(region)
    for name, endpoint in found.items():
        target = endpoints.redirect_of(account, endpoint)
        if target is not None:
            raise exception.Unprocessable(
                f"Invalid input for field 'pod.pod_name': the {name} endpoint of region '{region}' in Keystone's "
                f'catalog, {endpoint.url}, redirects to {target}. Trio2o follows no redirects of pods: correct the '
                'URL in the catalog.'
            )
    problem = accounts.find_problem(runtime.identity, region, found)
    if problem is not None:
        raise exception.Unprocessable(f"Invalid input for field 'pod.pod_name': {problem}")
    return {name: endpoints.with_versions(account, name, endpoint) for name, endpoint in found.items()}


def _check_zone(call: Call, pod: Pod, az_name: str) -> None:
    if az_name == pod.az_name:
        return
    if not az_name or pod.is_top:
        raise exception.Unprocessable(
            "Invalid input for field 'pod.az_name': a pod must have a zone and the top region must have none."
        )
    count = routings.count_by_pod(call.runtime.db, pod.pod_id, ROUTED)
    if count:
        raise exception.Conflict(
            f"az_name of pod '{pod.pod_name}' cannot change: it holds {count} resources, whose zone would change."
        )


def _check_deletable(call: Call, pod: Pod) -> None:
    """
    :raises Conflict: other processes may still send creates to the pod
    """
    if pod.is_top:
        return
    if pod.state == 'enabled':
        raise exception.Conflict(
            f"Pod '{pod.pod_name}' is enabled and may get new resources. "
            'Set its state to draining or maintenance first, or repeat the request with force=true.'
        )
    changes = db_pods.state_changes(call.runtime.db, pod.pod_id, limit=1)
    since = changes[0].at if changes else pod.created_at
    wait = call.runtime.conf.pods.refresh_seconds - (utcnow() - since).total_seconds()
    if wait > 0:
        raise exception.Conflict(
            f"Pod '{pod.pod_name}' is {pod.state} since a moment ago, and other processes may not know it yet. "
            f'Repeat the request in {math.ceil(wait)} seconds.'
        )


def _sync_job(call: Call, pod_id: str) -> JobRow:
    request_id = call.context.request_id
    return call.runtime.jobs.row(job_types.SYNC_POD, pod_id, {'pod_id': pod_id}, request_id=request_id)
