# SPDX-License-Identifier: Apache-2.0
"""Copies of a server group in the pods that have servers of the group.

Why there are copies: a server group exists in the pod that created it, its original. A server names its group in a
scheduler hint, and a pod refuses a server whose group it does not know. Servers of one group may be in different
zones and so in different pods, and each pod must enforce the policy (affinity, anti-affinity or a soft one) among its
own servers.

When a copy is made: just before a create of servers that names the group is sent to a pod that does not have the
group. The gateway makes the copy with the caller's token, from the name, policy and rules of the original. They are
recorded when the group is created through the gateway, or else read from the group's own pod when they are first
needed. Of several creates that race, one makes the copy and the others wait for it. A group of another project gets
no copy, as the copy would belong to the caller's project: servers of an admin go to the group's own pod. To other
callers the gateway behaves as if there were no such group, so that they do not learn its zone from an error.

Affinity: servers of a group with the affinity policy are all on one host, hence in one pod. Such a group is active
only in the pod that holds its members; while it has none, any pod may become that pod (``affinity``).

Ids: tenants know the id of the original only. The record of a copy maps that id to the copy's id in its pod. The
gateway replaces the one by the other in the create that it sends, and the other way round in answers about servers. A
copy is not shown, listed or deleted by its own id, and does not count in the quota. The group is shown with the
members of the original and of all copies.

When the group's own pod is down: the group is still shown and listed, from a copy, with the members in the pods that
answer. Servers of the group can be created in other pods. New copies can be made, provided the definition of the
group is recorded. Deleting the group fails until its pod answers again.

When a pod does not answer the create of a copy, it may have made it under an id that is not known. No server was sent,
so the next pod is tried. The record stays: the job ``delete_server_group_copies``, or the next create that needs the
copy, looks for a group with the definition and without members. Until then such a group is neither listed nor counted.

Deleting the group deletes the copies; the job ``delete_server_group_copies`` deletes those in pods that are down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence

from trio2o import exception, job_types
from trio2o.concurrency import Deadline
from trio2o.db import routings, server_group_copies
from trio2o.db.database import utcnow
from trio2o.db.records import ServerGroupCopy
from trio2o.gateway.handlers.create import PreparationRefused
from trio2o.nova_apigw.server_groups import pod_groups
from trio2o.pods.own_answers import is_internal_error
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, SERVER_GROUP, Item, is_resource_id, normalized_id
from trio2o.routing import unanswered_copies
from trio2o.routing.unanswered_copies import definition_of
from trio2o.web import pod_failures
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Time for making a copy. If the request that makes it dies, another one may make it after this time.
_MAKE_SECONDS = 60.0
#: How long other requests wait for the copy.
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.05
#: Length of the column in the database; a longer id is no group's id.
_MAX_ID_LENGTH = 64


class ServerGroupCopies:
    """The original and the copies of one group, during one request.

    :ivar records: as they were when the request began, the original first
    """

    def __init__(self, call: Call, records: Sequence[ServerGroupCopy]) -> None:
        self._call = call
        self._db = call.runtime.db
        self.records = records
        self.original = records[0]
        self.id = self.original.top_id
        self.title = f'{SERVER_GROUP.title} {self.id}'

    @property
    def has_affinity(self) -> bool:
        """Whether all members must be in one pod. The soft-affinity policy does not require that."""
        return bool((self.original.definition or {}).get('policy') == 'affinity')

    def read_records(self) -> list[ServerGroupCopy]:
        """Read the records again: other requests may have made copies since this one began."""
        return server_group_copies.list_for_group(self._db, self.id)

    def read_groups(self, records: Sequence[ServerGroupCopy]) -> dict[PodView, Item | None]:
        """Read the group from the pods of records, all at once.

        :returns: the group as each pod shows it, in the order of the records; None for a pod that does not answer, is
            in maintenance or does not have the group
        """
        by_id = self._call.runtime.registry.snapshot().by_id
        ids = {by_id[each.pod_id]: each.bottom_id for each in records if each.bottom_id and each.pod_id in by_id}
        called = {pod: bottom_id for pod, bottom_id in ids.items() if not pod.in_maintenance}
        groups = pod_groups.get_from_pods(self._call, called)
        return {pod: groups.get(pod) for pod in ids}

    def count_members(self) -> int:
        """Count the members in all pods that belong to the caller, as Nova does.

        Members without a recorded user count too: they may belong to the caller.
        """
        members: set[str] = set()
        for pod, group in self.read_groups(self.read_records()).items():
            if group is None:
                LOG.warning('Not counting members of server group %s in pod %s: cannot read it', self.id, pod.name)
            else:
                members |= set(group.get('members') or ())
        owners = {
            routing.top_id: routing.user_id
            for routing in routings.get_many(self._db, SERVER.type, list(members)).values()
        }
        return sum(owners.get(member, '') in ('', self._call.context.user_id) for member in members)

    def id_in(self, pod: PodView) -> str:
        """Return the id of the group in a pod, and make the copy if the pod has none.

        :raises PreparationRefused: the pod refuses to create the copy
        :raises PodNotReached: the copy cannot be made now
        :raises BadRequest: the group was deleted meanwhile
        """
        if pod.id == self.original.pod_id:
            return self.id
        deadline = Deadline(_WAIT_SECONDS)
        while True:
            copy, is_mine = server_group_copies.begin(
                self._db, self.id, pod.id, self.original.project_id, _MAKE_SECONDS, self.original.definition
            )
            if is_mine:
                return self._make(copy, pod)
            if copy.state == 'deleting':
                raise self._is_deleted()
            if copy.bottom_id is not None:
                if pod_groups.exists(self._call, pod, copy.bottom_id):
                    return copy.bottom_id
                # The copy was deleted directly in the pod.
                server_group_copies.delete(self._db, copy.id)
                continue
            if deadline.is_over():
                raise exception.PodNotReached(pod.name, f'another request is still making a copy of {self.id}')
            time.sleep(_POLL_SECONDS)

    def _make(self, copy: ServerGroupCopy, pod: PodView) -> str:
        was_tried = copy.busy_until is None or copy.busy_until <= utcnow()
        try:
            bottom_id = (self._find_unanswered(copy, pod) if was_tried else None) or self._create(copy, pod)
        except exception.PodError as error:
            # PodNotReached, whatever the error was: no server was sent yet, so another pod may be tried.
            raise exception.PodNotReached(pod.name, f'no copy of {self.id}: {error.reason}') from error
        if not server_group_copies.record_made(self._db, copy.id, bottom_id):
            # The group was deleted while its copy was being made.
            pod_groups.delete(self._call, pod, bottom_id)
            raise self._is_deleted()
        return bottom_id

    def _find_unanswered(self, copy: ServerGroupCopy, pod: PodView) -> str | None:
        """Return the id of a copy that the pod has made for an earlier request without answering it.

        :raises PodError: the pod did not answer
        """
        try:
            groups = pod_groups.list_of_caller(self._call, pod)
        except exception.PodError:
            self._leave(copy, pod)
            raise
        return unanswered_copies.find(self._db, [copy], groups).get(copy.id)

    def _create(self, copy: ServerGroupCopy, pod: PodView) -> str:
        """Create the copy. If the pod may have made it without a clear answer, its record stays.

        :raises PreparationRefused: the pod refuses to create it
        :raises PodError: there is no copy, or its id is not known
        """
        try:
            answer = pod_groups.create(self._call, pod, self.original.definition)
        except exception.PodNotReached:
            server_group_copies.delete(self._db, copy.id)
            raise
        except exception.PodNoAnswer:
            self._leave(copy, pod)
            raise
        found = (pod_groups.group_in(answer) or {}).get('id')
        if is_resource_id(found):
            return str(found)
        if answer.is_ok or is_internal_error(answer):
            self._leave(copy, pod)
            raise exception.PodNoAnswer(pod.name, f'answered {answer.status}')
        server_group_copies.delete(self._db, copy.id)
        if answer.status >= 500:
            raise exception.PodNotReached(pod.name, f'answered {answer.status}')
        raise PreparationRefused(answer)

    def _leave(self, copy: ServerGroupCopy, pod: PodView) -> None:
        """Let a job, or the next request that needs the copy, find out whether the pod has made it."""
        server_group_copies.leave(self._db, copy.id)
        _submit_job(self._call, pod.id)

    def _is_deleted(self) -> exception.BadRequest:
        return exception.BadRequest(SERVER_GROUP.missing.format(id=self.id))


def find(call: Call, group_id: str) -> ServerGroupCopies | None:
    """Find a group. The definition of one created directly in a pod is read from there and recorded.

    :returns: None if no pod has a group with this id that the caller may see, or it is the id of a copy
    :raises ServiceUnavailable: the pod of the group does not answer
    """
    db, group_id = call.runtime.db, normalized_id(group_id)
    records = server_group_copies.list_for_group(db, group_id) if len(group_id) <= _MAX_ID_LENGTH else []
    if records and records[0].is_original and call.context.may_know(records[0].project_id):
        return ServerGroupCopies(call, records)
    if is_copy(call, group_id):
        return None
    try:
        route = call.runtime.locator.find(call, SERVER_GROUP, group_id)
    except exception.NotFound:
        return None
    group = _read_original(call, route.pod, route.bottom_id)
    if group is None:
        return None
    owner = SERVER_GROUP.owner_of(group, route.project_id)
    server_group_copies.record_original(db, group_id, route.pod.id, owner, definition_of(group))
    records = server_group_copies.list_for_group(db, group_id)
    return ServerGroupCopies(call, records) if records else None


def _read_original(call: Call, pod: PodView, bottom_id: str) -> Item | None:
    """:raises ServiceUnavailable: the pod does not answer"""
    try:
        answer = pod_groups.get(call, pod, bottom_id)
    except exception.PodError:
        answer = Answer(503)
    if answer.status >= 500:
        raise pod_failures.unreachable(f'{SERVER_GROUP.title} {bottom_id}', pod.zone)
    return pod_groups.group_in(answer)


def is_copy(call: Call, bottom_id: str) -> bool:
    """Return whether an id is that of a copy in any pod."""
    return server_group_copies.is_copy(call.runtime.db, call.runtime.registry.snapshot().by_id, bottom_id)


def group_ids(call: Call, pod: PodView, bottom_ids: Collection[str]) -> dict[str, str]:
    """Map ids of copies in a pod to the ids of their groups; other ids are left out."""
    found = server_group_copies.find_copies(call.runtime.db, pod.id, bottom_ids)
    return {bottom_id: group_id for bottom_id, (group_id, _state) in found.items()}


def delete_copies(call: Call, group_id: str) -> None:
    """Delete the copies of a deleted group now, or with a job where a pod is down."""
    runtime = call.runtime
    for copy in server_group_copies.begin_delete(runtime.db, group_id):
        pod = runtime.registry.snapshot().by_id.get(copy.pod_id)
        if pod is None or pod.in_maintenance or copy.bottom_id is None:
            _submit_job(call, copy.pod_id)
        elif pod_groups.delete(call, pod, copy.bottom_id):
            server_group_copies.delete(runtime.db, copy.id)
        else:
            _submit_job(call, copy.pod_id)


def _submit_job(call: Call, pod_id: str) -> None:
    """Submit the job that finds copies without an answer in a pod, and deletes those of deleted groups."""
    payload = {'pod_id': pod_id}
    jobs = call.runtime.jobs
    jobs.submit(job_types.DELETE_SERVER_GROUP_COPIES, pod_id, payload, request_id=call.context.request_id)
