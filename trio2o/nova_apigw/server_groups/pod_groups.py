# SPDX-License-Identifier: Apache-2.0
"""Server groups in one pod: requests of the gateway itself, with the caller's token.

They use microversion 2.64, in which a group has one policy and its rules.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trio2o import exception
from trio2o.gateway.call_pod import send
from trio2o.gateway.call_pods import call_pods
from trio2o.gateway.moving import visible_ids
from trio2o.pods.own_answers import is_missing, is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, SERVER_GROUP, Item
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.microversion import Version

LOG = logging.getLogger(__name__)

_VERSION = Version(2, 64)
_PAGE = 1000
#: So many groups of a project are read at most.
_MAX_GROUPS = 20_000


def group_in(answer: Answer) -> Item | None:
    """Return the group that an answer shows; None if it is an error or shows none."""
    return json_body.member(answer, SERVER_GROUP)


def get(call: Call, pod: PodView, pod_group_id: str) -> Answer:
    """Read a group.

    :param pod_group_id: id of the group in the pod
    :raises PodError: the pod did not answer
    """
    return _send(call, pod, 'GET', f'/{pod_group_id}')


def get_from_pods(call: Call, ids: Mapping[PodView, str]) -> dict[PodView, Item]:
    """Read a group from several pods at once.

    :param ids: id of the group in each pod
    :returns: the group as each pod shows it; pods that do not answer, or do not have the group, are left out
    """
    call = replace(call, version=_VERSION)
    found = call_pods(call, ids, path=lambda pod: f'{SERVER_GROUP.path}/{ids[pod]}', query=lambda pod: '')
    groups = {pod: json_body.object_at(document, SERVER_GROUP.member) for pod, document in found.documents.items()}
    shown = {pod: group for pod, group in groups.items() if group is not None}
    for pod, group in shown.items():
        hide_copies(call, pod, group)
    return shown


def hide_copies(call: Call, pod: PodView, group: Item) -> None:
    """Leave the copies of servers that move out of the members of a group."""
    if isinstance(group.get('members'), list):
        group['members'] = visible_ids(call, SERVER, pod, map(str, group['members']))


def exists(call: Call, pod: PodView, pod_group_id: str) -> bool:
    """Ask a pod whether it has a group.

    :raises PodNotReached: the pod did not answer
    """
    try:
        answer = get(call, pod, pod_group_id)
    except exception.PodError as error:
        raise exception.PodNotReached(pod.name, error.reason) from error
    if is_unknown_path(answer):
        raise exception.PodNotReached(pod.name, 'answered that it has no server groups')
    return not is_missing(answer)


def list_of_caller(call: Call, pod: PodView) -> list[Item]:
    """List the groups of the caller's project.

    :raises PodError: the pod did not answer, or not with such a list
    """
    found: list[Item] = []
    while True:
        answer = _send(call, pod, 'GET', '', query=f'limit={_PAGE}&offset={len(found)}')
        if not answer.is_ok:
            raise exception.PodNoAnswer(pod.name, f'answered {answer.status} to a list of server groups')
        page = json_body.objects_at(answer.json, SERVER_GROUP.collection)
        found += page
        if not page or len(found) >= _MAX_GROUPS:
            return found


def create(call: Call, pod: PodView, definition: Item) -> Answer:
    """Create a group.

    :param definition: name, policy and rules
    :raises PodError: the pod did not answer
    """
    return _send(call, pod, 'POST', '', {SERVER_GROUP.member: definition})


def delete(call: Call, pod: PodView, pod_group_id: str) -> bool:
    """Delete a group. :returns: False if the pod may still have it"""
    try:
        answer = _send(call, pod, 'DELETE', f'/{pod_group_id}')
    except exception.PodError as error:
        LOG.warning('Could not delete server group copy %s in pod %s: %s', pod_group_id, pod.name, error.reason)
        return False
    return answer.is_ok or is_missing(answer)


def _send(call: Call, pod: PodView, method: str, path: str, document: Any = None, query: str = '') -> Answer:
    call = replace(call, version=_VERSION)
    body = b'' if document is None else dump_json(document)
    return send(call, pod, method=method, path=f'{SERVER_GROUP.path}{path}', query=query, body=body)
