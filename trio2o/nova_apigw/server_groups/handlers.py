# SPDX-License-Identifier: Apache-2.0
"""Create, show, list and delete server groups that have copies."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trio2o import exception
from trio2o.db import server_group_copies
from trio2o.db.records import ServerGroupCopy
from trio2o.gateway.call_pods import PodAnswers, call_pods, require_complete
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.handlers.offset_list import Found, OffsetList
from trio2o.gateway.requested import Requested
from trio2o.nova_apigw.server_groups.copies import delete_copies, is_copy
from trio2o.nova_apigw.server_groups.pod_groups import group_in, hide_copies
from trio2o.pods.own_answers import is_missing
from trio2o.pods.registry import PodView
from trio2o.quota.claims import OverQuota
from trio2o.resources import SERVER_GROUP, Item, is_resource_id, normalized_id
from trio2o.routing import unanswered_copies
from trio2o.routing.unanswered_copies import definition_of
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json

LOG = logging.getLogger(__name__)


class CreateServerGroup(Create):
    """Create a server group in one pod; other pods get a copy when they get a server of the group."""

    resource = SERVER_GROUP
    zone_field = ''

    def requested(self, creation: Creation) -> Requested:
        return Requested(quota={'server_groups': 1})

    def over_quota_error(self, error: OverQuota) -> exception.Trio2oException:
        return exception.Forbidden('Quota exceeded, too many server groups.')

    def created(self, creation: Creation, answer: Answer) -> None:
        """Record the definition of the group: its pod may be down when a copy is needed."""
        runtime = creation.call.runtime
        group = group_in(answer)
        route = None
        if group is not None and is_resource_id(group.get('id')):
            route = runtime.locator.look_up(SERVER_GROUP.type, group['id'])
        if group is not None and route is not None:
            server_group_copies.record_original(
                runtime.db, route.top_id, route.pod.id, route.project_id, definition_of(group)
            )


class ShowServerGroup(Forward):
    """Show a group with its members in all pods; if the group's own pod is down and may be left out, show a copy."""

    def __call__(self, call: Call) -> Answer:
        copies = _find_copies(call)
        unreachable: exception.ServiceUnavailable | None = None
        answer = Answer(503)
        try:
            answer = super().__call__(call)
        except exception.ServiceUnavailable as error:
            unreachable = error
        if is_missing(answer):
            _delete_copies_if_deleted(call)
        group = group_in(answer)
        if unreachable is not None and not copies:
            raise unreachable
        if not copies or (group is None and unreachable is None):
            return answer
        found = _read_copies(call, copies)
        for pod, document in list(found.documents.items()):
            if json_body.object_at(document, SERVER_GROUP.member) is None:
                found.reject(call, pod, 'answered without a server group')
        missing = {pod: pod not in found.not_down for pod in found.unreachable}
        own = call.runtime.locator.look_up(SERVER_GROUP.type, call.id)
        if unreachable is not None:
            cause = unreachable.__cause__
            is_down = not isinstance(cause, exception.PodError) or cause.is_down
            missing |= {own.pod: is_down} if own is not None else {}
        require_complete(call, missing, _pods_in_maintenance(call, copies))
        if group is not None and own is not None:
            hide_copies(call, own.pod, group)
        for pod, document in found.documents.items():
            copy = document[SERVER_GROUP.member]
            hide_copies(call, pod, copy)
            LOG.debug('Server group %s has a copy in pod %s', call.id, pod.name)
            if group is None:
                answer, group = found.answers[pod], {**copy, 'id': normalized_id(call.id)}
            else:
                _add_members(group, copy)
        if group is None:
            assert unreachable is not None
            raise unreachable
        return replace(answer, body=dump_json({SERVER_GROUP.member: group}))


class ServerGroupList(OffsetList):
    """List groups with their members in all pods.

    If a group's own pod is down and may be left out, a copy is listed in its place.
    """

    def merge_items(self, call: Call, answers: PodAnswers, found: Sequence[Found]) -> Sequence[Found]:
        """Merge each group with its copies."""
        found = _without_unanswered(call, found)
        for pod, item in found:
            hide_copies(call, pod, item)
        group_of_copy = _groups_of_copies(call, found)
        groups = {item.get('id'): item for pod, item in found if (pod, item.get('id')) not in group_of_copy}
        merged = []
        for pod, item in found:
            if (pod, item.get('id')) not in group_of_copy:
                merged.append((pod, item))
                continue
            group_id, state = group_of_copy[pod, item.get('id')]
            if group_id in groups:
                _add_members(groups[group_id], item)
            elif state == 'made' and _is_own_pod_down(call, answers, group_id):
                groups[group_id] = item
                item['id'] = group_id
                merged.append((pod, item))
        return merged


class DeleteServerGroup(Forward):
    """Delete a group, then its copies."""

    def __call__(self, call: Call) -> Answer:
        _find_copies(call)
        answer = super().__call__(call)
        _delete_copies_if_deleted(call)
        return answer


def _find_copies(call: Call) -> list[ServerGroupCopy]:
    """Find the copies of the group in the path.

    :raises NotFound: there is no such group, or it is a copy
    """
    locator = call.runtime.locator
    if locator.look_up(SERVER_GROUP.type, call.id) is None:
        if is_copy(call, call.id):
            raise exception.NotFound(SERVER_GROUP.missing.format(id=call.id))
        locator.find(call, SERVER_GROUP, call.id)
    records = server_group_copies.list_for_group(call.runtime.db, normalized_id(call.id))
    return [record for record in records if record.state == 'made' and not record.is_original]


def _read_copies(call: Call, copies: Sequence[ServerGroupCopy]) -> PodAnswers:
    """Send the call to the pods of copies, all at once."""
    by_id = call.runtime.registry.snapshot().by_id
    ids = {by_id[copy.pod_id]: str(copy.bottom_id) for copy in copies if copy.pod_id in by_id}
    pods = [pod for pod in ids if not pod.in_maintenance]
    return call_pods(call, pods, path=lambda pod: f'{SERVER_GROUP.path}/{ids[pod]}')


def _pods_in_maintenance(call: Call, copies: Sequence[ServerGroupCopy]) -> list[PodView]:
    by_id = call.runtime.registry.snapshot().by_id
    return [by_id[copy.pod_id] for copy in copies if copy.pod_id in by_id and by_id[copy.pod_id].in_maintenance]


def _delete_copies_if_deleted(call: Call) -> None:
    route = call.runtime.locator.look_up(SERVER_GROUP.type, call.id)
    if route is None or (not route.is_live and route.is_known_to(call)):
        delete_copies(call, normalized_id(call.id))


def _groups_of_copies(call: Call, found: Sequence[Found]) -> Mapping[tuple[PodView, Any], tuple[str, str]]:
    """Find the copies among items: pod and id of the copy -> id of its group, and state of the copy."""
    ids: dict[PodView, list[str]] = {}
    for pod, item in found:
        ids.setdefault(pod, []).append(str(item.get('id')))
    return {
        (pod, bottom_id): group
        for pod, bottom_ids in ids.items()
        for bottom_id, group in server_group_copies.find_copies(call.runtime.db, pod.id, bottom_ids).items()
    }


def _without_unanswered(call: Call, found: Sequence[Found]) -> Sequence[Found]:
    """Leave out copies whose ids are not recorded yet."""
    db = call.runtime.db
    copies = server_group_copies.list_without_id(db, sorted({pod.id for pod, _item in found}))
    hidden = set()
    for pod_id in {copy.pod_id for copy in copies}:
        in_pod = [item for pod, item in found if pod.id == pod_id]
        ids = unanswered_copies.find(db, [copy for copy in copies if copy.pod_id == pod_id], in_pod)
        hidden |= {(pod_id, bottom_id) for bottom_id in ids.values()}
    return [(pod, item) for pod, item in found if (pod.id, item.get('id')) not in hidden] if hidden else found


def _is_own_pod_down(call: Call, answers: PodAnswers, group_id: str) -> bool:
    route = call.runtime.locator.look_up(SERVER_GROUP.type, group_id)
    return route is not None and route.is_live and route.pod not in answers.documents


def _add_members(group: Item, other: Item) -> None:
    group['members'] = list(dict.fromkeys([*(group.get('members') or []), *(other.get('members') or [])]))
