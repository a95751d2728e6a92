# SPDX-License-Identifier: Apache-2.0
"""Find the servers and volumes of an application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from trio2o import exception
from trio2o.db import routings, server_group_copies
from trio2o.db.records import Routing
from trio2o.pods.endpoints import COMPUTE
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.resources import SERVER, SERVER_GROUP, VOLUME
from trio2o.web import json_body

if TYPE_CHECKING:
    from trio2o.pods.registry import PodView
    from trio2o.runtime import Runtime

#: What a drain moves, in this order: the volumes that are left then are detached, or their servers stay, too.
DRAINED = (SERVER.type, VOLUME.type)
_TAGS_VERSION, _GROUPS_VERSION = '2.26', '2.64'


def named(runtime: Runtime, resources: Iterable[tuple[str, str]]) -> list[Routing]:
    """Return the routings of resources, in their order and each once.

    :param resources: type and id of each
    :raises NotFound: one of them does not exist
    """
    found = []
    for resource_type, resource_id in dict.fromkeys(resources):
        routing = routings.get(runtime.db, resource_type, resource_id)
        if routing is None or not routing.is_live:
            raise exception.NotFound(f'{resource_type.capitalize()} {resource_id} could not be found.')
        found.append(routing)
    return found


def of_server_group(runtime: Runtime, group_id: str, project_id: str | None) -> list[Routing]:
    """Return the routings of the members of a server group.

    :param project_id: only a group of this project; None: any
    :raises NotFound: there is no such group
    :raises ServiceUnavailable: a pod that has the group cannot be asked
    """
    copies = server_group_copies.list_for_group(runtime.db, group_id)
    if copies:
        places = [(copy.pod_id, copy.bottom_id, copy.project_id) for copy in copies if copy.bottom_id]
    else:
        routing = routings.get(runtime.db, SERVER_GROUP.type, group_id)
        known = routing is not None and routing.is_live
        places = [(routing.pod_id, routing.bottom_id, routing.project_id)] if known and routing is not None else []
    if not places or (project_id is not None and places[0][2] != project_id):
        raise exception.NotFound(f'Instance group {group_id} could not be found.')
    servers = []
    for pod_id, bottom_id, owner in places:
        pod = _pod(runtime, pod_id)
        document = _ask(runtime, pod, f'/os-server-groups/{bottom_id}', _GROUPS_VERSION, owner)
        members = json_body.at(document, 'server_group', 'members') or ()
        servers += [pod.ids_up.get(each, each) for each in members]
    return _known(runtime, servers, places[0][2])


def with_tag(runtime: Runtime, tag: str, project_id: str) -> list[Routing]:
    """Return the routings of the servers of a project that have a tag.

    :raises ServiceUnavailable: a pod in which the project has servers cannot be asked
    """
    servers = []
    for pod_id in sorted(routings.pods_of_project(runtime.db, (SERVER.type,), project_id)):
        pod = _pod(runtime, pod_id)
        path = f'/servers?all_tenants=1&project_id={quote(project_id)}&tags={quote(tag, safe="")}'
        listed = _ask(runtime, pod, path, _TAGS_VERSION, '')
        servers += [pod.ids_up.get(each['id'], each['id']) for each in json_body.objects_at(listed, 'servers')]
    return _known(runtime, servers, project_id)


def _pod(runtime: Runtime, pod_id: str) -> PodView:
    pod = runtime.registry.snapshot().by_id.get(pod_id)
    if pod is None or pod.in_maintenance:
        what = f'Pod {pod.name} is in maintenance' if pod is not None else f'There is no pod {pod_id} any more'
        raise exception.ServiceUnavailable(f'{what}, so its servers are not known.')
    return pod


def _ask(runtime: Runtime, pod: PodView, path: str, version: str, project_id: str) -> object:
    api = PodApi(runtime.client, runtime.identity, pod, COMPUTE, project_id=project_id)
    try:
        return api.get_list(path, version) if path.startswith('/servers?') else api.get(path, version)
    except (PodRefused, exception.PodError) as error:
        raise exception.ServiceUnavailable(f'The servers in pod {pod.name} cannot be listed: {error}') from error


def _known(runtime: Runtime, ids: Sequence[str], project_id: str) -> list[Routing]:
    """Return the live routings of servers of a project."""
    found = (routings.get(runtime.db, SERVER.type, server_id) for server_id in dict.fromkeys(ids))
    return [
        routing for routing in found if routing is not None and routing.is_live and routing.project_id == project_id
    ]
