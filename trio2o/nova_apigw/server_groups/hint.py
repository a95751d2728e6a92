# SPDX-License-Identifier: Apache-2.0
"""The server group in the scheduler hints of a create."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.gateway.handlers.create import Creation
from trio2o.gateway.refs import NamedPod, scheduler_hints
from trio2o.gateway.translate import PodNames
from trio2o.nova_apigw.server_groups import affinity, copies, members
from trio2o.nova_apigw.servers.requested import counts
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER_GROUP
from trio2o.web import json_body


def group_in_hints(document: Any) -> str | None:
    """Return the id in the ``group`` hint; None if there is none or any pod refuses it, as it is not a UUID."""
    group_id = json_body.at(scheduler_hints(document), 'group')
    return group_id if isinstance(group_id, str) and uuidutils.is_uuid_like(group_id) else None


def pod_of_group(creation: Creation) -> NamedPod | None:
    """Return the only pod in which the group can have the new servers, and the title of the group for messages.

    :returns: None if there is no group, or the group can have them in any pod
    """
    call = creation.call
    group_id = group_in_hints(creation.document)
    group = copies.find(call, group_id) if group_id else None
    if group is None:
        return None
    own_pod = call.runtime.registry.snapshot().by_id.get(group.original.pod_id)
    if own_pod is None:
        return None
    if group.original.project_id != call.context.project_id:
        # A copy would belong to the caller's project instead of the group's.
        return group.title, own_pod
    pod = affinity.pod_of_members(call, group) if group.has_affinity else None
    return (group.title, pod) if pod is not None else None


@contextmanager
def group_prepared_in(creation: Creation, pod: PodView, names: PodNames) -> Iterator[PodNames]:
    """Prepare the server group in a pod while servers of the group are created there.

    :returns: names with the id of the group in that pod
    :raises PreparationRefused: the pod refuses to create the copy
    :raises PodNotReached: the pod has no copy, and it cannot be made now
    :raises RefsDisagree: the group has the affinity policy and members in another pod
    :raises Forbidden: the group would have too many members
    """
    call = creation.call
    group_id = group_in_hints(creation.document)
    group = copies.find(call, group_id) if group_id else None
    if group_id is None or group is None:
        if group_id is not None and copies.is_copy(call, group_id):
            raise exception.BadRequest(SERVER_GROUP.missing.format(id=group_id))
        yield names  # The pod refuses an unknown group in Nova's words.
        return
    _min_count, max_count = counts(creation.inner)
    with (
        affinity.held_in(call, group, pod) if group.has_affinity else nullcontext(),
        members.claimed(call, group, max_count),
    ):
        yield names.with_id(group.id_in(pod), group.id)
