# SPDX-License-Identifier: Apache-2.0
"""Server groups with the affinity policy: keep all members of a group in one pod.

Before the gateway sends a create of servers, it records in the database that the create *holds* the group in the pod,
and releases the hold when the pod has answered. Several creates can hold the group in the same pod at a time. A create
in another pod waits some seconds for the end of these holds. It is refused if they do not end, or if the other pod has
members. The record keeps the pod after the last hold was released: if that pod does not answer later, the gateway
assumes that it has members.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import server_group_copies
from trio2o.db.errors import NOT_RECORDED
from trio2o.db.records import ServerGroupCopy
from trio2o.gateway.moving import check_not_moving
from trio2o.nova_apigw.server_groups.copies import ServerGroupCopies
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER
from trio2o.web.call import Call

LOG = logging.getLogger(__name__)

#: A hold ends after this time if the request that took it dies.
_HOLD_SECONDS = 60.0
#: How long to wait for requests that hold the group in another pod.
_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.05


def pod_of_members(call: Call, group: ServerGroupCopies) -> PodView | None:
    """Return the pod that holds the members, or may hold them but does not answer; None if there are no members.

    :raises Conflict: a member is being moved
    """
    return _pod_of_members(call, group, group.records, group.original.used_in)


def _pod_of_members(
    call: Call, group: ServerGroupCopies, records: Sequence[ServerGroupCopy], last_pod_id: str | None
) -> PodView | None:
    for pod, found in group.read_groups(records).items():
        for member in (found or {}).get('members') or ():
            # In which pod it will be is not known.
            check_not_moving(call, SERVER, member)
        may_have_members = pod.id == last_pod_id if found is None else found.get('members')
        if may_have_members:
            return pod
    return None


@contextmanager
def held_in(call: Call, group: ServerGroupCopies, pod: PodView) -> Iterator[None]:
    """Hold a group in a pod while servers of the group are created there.

    :raises RefsDisagree: another pod holds its members, or other requests are creating members there
    """
    _hold(call, group, pod)
    try:
        yield
    finally:
        try:
            server_group_copies.release(call.runtime.db, group.original.id, pod.id)
        except NOT_RECORDED:
            # The pod has answered the create. The hold expires.
            LOG.exception('Failed to release server group %s in pod %s', group.id, pod.name)


def _hold(call: Call, group: ServerGroupCopies, pod: PodView) -> None:
    db, record_id = call.runtime.db, group.original.id
    deadline = Deadline(_WAIT_SECONDS)
    while True:
        is_held, last_pod_id = server_group_copies.hold(db, record_id, pod.id, _HOLD_SECONDS)
        # In this order: with the hold no other pod can get members, but one may have got some just before it.
        others = [record for record in group.read_records() if record.pod_id != pod.id]
        other = _pod_of_members(call, group, others, last_pod_id)
        if is_held and other is None:
            return
        if is_held:
            server_group_copies.release(db, record_id, pod.id, restore=last_pod_id)
        if other is not None:
            raise exception.RefsDisagree(f'{group.title} is in availability zone {other.zone}, not in {pod.zone}.')
        if deadline.is_over():
            raise exception.RefsDisagree(f'{group.title} is in use in another zone, not in {pod.zone}.')
        # The request that holds the group in another pod may yet fail, or find that the members are in this pod.
        time.sleep(_POLL_SECONDS)
