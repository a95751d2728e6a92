# SPDX-License-Identifier: Apache-2.0
"""Servers and everything below them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from oslo_utils.strutils import bool_from_string

from trio2o import exception
from trio2o.db import routings
from trio2o.gateway import image_snapshots
from trio2o.gateway.admin.by_name import NameSource, find_named, replaced
from trio2o.gateway.admin.ids import split_name
from trio2o.gateway.call_pods import pods_of
from trio2o.gateway.claiming import SHRINKS
from trio2o.gateway.handlers.create import Place, pin_if
from trio2o.gateway.handlers.forward import AskAny, Forward, at, named
from trio2o.gateway.handlers.list import Gather, Paging, Query, headers_of_many
from trio2o.nova_apigw import needs
from trio2o.nova_apigw.changes import CHANGES
from trio2o.nova_apigw.hypervisors import BY_HOST, BY_NODE, UNKNOWN_FROM
from trio2o.nova_apigw.refusals import too_many
from trio2o.nova_apigw.server_groups.limits import TWINNED
from trio2o.nova_apigw.servers import reschedule
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, SNAPSHOT, VOLUME, Item, Resource, SortKey
from trio2o.routing.locator import Route
from trio2o.web.call import Answer, Call, dump_json
from trio2o.web.operations import Handler, Operation

#: nova/api/openstack/compute/schemas/servers.py: what a list may be sorted by, as it shows in a server.
#: Where it does not show, pods are merged by id alone.
SORT_KEYS = {
    'access_ip_v4': SortKey('accessIPv4'),
    'access_ip_v6': SortKey('accessIPv6'),
    'auto_disk_config': SortKey('OS-DCF:diskConfig'),
    'availability_zone': SortKey('OS-EXT-AZ:availability_zone'),
    'config_drive': SortKey('config_drive'),
    'created_at': SortKey('created'),
    'display_description': SortKey('description'),
    'display_name': SortKey('name'),
    'host': SortKey('OS-EXT-SRV-ATTR:host'),
    'hostname': SortKey('OS-EXT-SRV-ATTR:hostname'),
    'image_ref': SortKey('image', lambda item: _inner_id(item.get('image'))),
    'instance_type_id': SortKey('flavor', lambda item: None),
    'kernel_id': SortKey('OS-EXT-SRV-ATTR:kernel_id'),
    'key_name': SortKey('key_name'),
    'launch_index': SortKey('OS-EXT-SRV-ATTR:launch_index'),
    'launched_at': SortKey('OS-SRV-USG:launched_at'),
    'locked': SortKey('locked'),
    'locked_by': SortKey('locked_by', lambda item: None),
    'node': SortKey('OS-EXT-SRV-ATTR:hypervisor_hostname'),
    'power_state': SortKey('OS-EXT-STS:power_state'),
    'progress': SortKey('progress', lambda item: None),
    'project_id': SortKey('tenant_id'),
    'ramdisk_id': SortKey('OS-EXT-SRV-ATTR:ramdisk_id'),
    'root_device_name': SortKey('OS-EXT-SRV-ATTR:root_device_name'),
    'task_state': SortKey('OS-EXT-STS:task_state'),
    'terminated_at': SortKey('OS-SRV-USG:terminated_at'),
    'updated_at': SortKey('updated'),
    'user_id': SortKey('user_id'),
    'uuid': SortKey('id'),
    'vm_state': SortKey('OS-EXT-STS:vm_state'),
}

#: Nova takes these and sorts by something else, up to 2.74; from then on the pods refuse them.
_IGNORED_SORT_KEYS = frozenset(
    (
        'architecture cell_name cleaned default_ephemeral_device default_swap_device deleted deleted_at '
        'disable_terminate ephemeral_gb ephemeral_key_uuid id key_data launched_on memory_mb os_type reservation_id '
        'root_gb shutdown_terminate user_data vcpus vm_mode'
    ).split()
)

DEFAULT_SORT = ('created_at', True)

Version = tuple[int, int]


def _inner_id(value: Any) -> Any:
    return value.get('id') if isinstance(value, dict) else value


def sorts(query: Query) -> list[tuple[str, bool]] | None:
    """Sort keys with their directions, paired by position; None for a pod to judge what is odd."""
    keys = [value.strip() for name, value in query if name == 'sort_key']
    directions = [value.strip() for name, value in query if name == 'sort_dir']
    if any(direction not in ('asc', 'desc') for direction in directions) or len(directions) > max(len(keys), 1):
        return None
    first = directions[0] if directions else 'desc'
    directions += [first] * (len(keys) - len(directions))
    if not keys:
        return [('created_at', first == 'desc')]
    pairs = [(key, direction == 'desc') for key, direction in zip(keys, directions, strict=True)]
    # With nothing left to sort by Nova sorts by what it always adds.
    return [pair for pair in pairs if pair[0] not in _IGNORED_SORT_KEYS] or [('uuid', False)]


def bad_marker(call: Call, marker: str) -> exception.Trio2oException:
    return exception.BadRequest(f'marker [{marker}] not found')


def all_projects(call: Call) -> bool:
    """Whether the list is of every project: an empty value counts as yes."""
    return any(name == 'all_tenants' and (not value or bool_from_string(value)) for name, value in call.query)


PAGING = Paging(
    links_key='servers_links',
    sorts=sorts,
    id_descends=lambda first_down: False,
    bad_marker=bad_marker,
    marker_may_be_deleted=True,
    may_marker_be_empty=True,
)


def brief(item: Item) -> Item:
    return {key: item[key] for key in ('id', 'name', 'links') if key in item}


def _links(call: Call, server_id: str) -> list[dict[str, str]]:
    project = call.prefix.removeprefix(call.service.prefix)
    return [
        {'rel': 'self', 'href': f'{call.base_url}{call.prefix}/servers/{server_id}'},
        {'rel': 'bookmark', 'href': f'{call.base_url}{project}/servers/{server_id}'},
    ]


#: What Nova says where it does not know.
UNKNOWN = 'UNKNOWN'


def unknown_brief(call: Call, route: Route) -> Item:
    """A server in a pod that does not answer, as Nova lists one in a cell that is down (2.69)."""
    return {'id': route.top_id, 'status': UNKNOWN, 'links': _links(call, route.top_id)}


def unknown_detail(call: Call, route: Route) -> Item:
    created = route.created_at.strftime('%Y-%m-%dT%H:%M:%SZ') if route.created_at else None
    return {
        'id': route.top_id,
        'status': UNKNOWN,
        'tenant_id': route.project_id,
        'created': created,
        'links': _links(call, route.top_id),
    }


def unknown_server(call: Call, route: Route) -> Answer | None:
    """What is known of a server whose pod does not answer, as Nova shows one in a cell that is down (2.69).

    Its flavor and image are not: Nova has them in a database of its own. They have the form that clients read.
    """
    if call.version is None or call.version < UNKNOWN_FROM:
        return None
    routing = routings.get(call.runtime.db, SERVER.type, route.top_id)
    counted = (routing.deltas if routing is not None else None) or {}
    flavor = {'vcpus': counted.get('cores', 0), 'ram': counted.get('ram', 0), 'disk': 0, 'ephemeral': 0, 'swap': 0}
    server = {
        **unknown_detail(call, route),
        'image': {'id': UNKNOWN, 'links': []},
        'flavor': {'original_name': UNKNOWN, **flavor, 'extra_specs': {}},
        'OS-EXT-AZ:availability_zone': route.pod.zone,
        'OS-EXT-STS:power_state': 0,
        'user_id': (routing and routing.user_id) or UNKNOWN,
    }
    return Answer(200, headers_of_many(call, None), dump_json({'server': server}))


def has_unknown(call: Call) -> bool:
    """From 2.69, and only for a whole list: not with filters, sort or paging.

    Unlike Nova also with ``deleted=False``, which filters nothing and which the stock client always sends.
    """
    if call.version is None or call.version < UNKNOWN_FROM:
        return False
    if all_projects(call) and not call.context.may_see_all:
        return False  # every pod would refuse, and none is there to do it
    return all(
        name == 'all_tenants' or (name == 'deleted' and not bool_from_string(value, default=True))
        for name, value in call.query
    )


def is_zone_wanted(call: Call) -> Callable[[str], bool] | None:
    """Which zones a list is narrowed to: those with the text in their names; of members not before 2.83.

    Nova takes a regular expression; nobody's expression is run here but for ``^`` and ``$``.
    """
    may_filter = call.context.may_see_all or (call.version is not None and call.version >= (2, 83))
    value = next((value for name, value in call.query if name == 'availability_zone'), None)
    if value is None or not may_filter:
        return None
    text = value.removeprefix('^').removesuffix('$')

    def is_wanted(zone: str) -> bool:
        if value.startswith('^') and not zone.startswith(text):
            return False
        return zone.endswith(text) if value.endswith('$') else text in zone

    return is_wanted


def server_list(path: str, *, is_detailed: bool) -> Gather:
    return Gather(
        SERVER,
        PAGING,
        SORT_KEYS,
        DEFAULT_SORT,
        path,
        detail_path='/servers/detail',
        brief=None if is_detailed else brief,
        skeleton=unknown_detail if is_detailed else unknown_brief,
        has_skeletons=has_unknown,
        all_projects=all_projects,
        is_zone_wanted=is_zone_wanted,
    )


def pins(document: Any) -> Iterable[tuple[Resource, str]]:
    """What a create refers to that lives in one pod."""
    server = document['server']
    found: list[tuple[Resource, str]] = []
    for mapping in _objects(server.get('block_device_mapping_v2')):
        kind = {'volume': VOLUME, 'snapshot': SNAPSHOT}.get(str(mapping.get('source_type')))
        if kind is not None:
            found += pin_if(kind, mapping.get('uuid'))
    for mapping in _objects(server.get('block_device_mapping')):
        found += pin_if(VOLUME, mapping.get('volume_id')) + pin_if(SNAPSHOT, mapping.get('snapshot_id'))
    return [*found, *_hinted(document, 'same_host')]


def near(document: Any) -> Iterable[tuple[Resource, str]]:
    """Servers that the new one is not to share a host with: their pod's own filter looks after that."""
    return _hinted(document, 'different_host')


def _hinted(document: Any, name: str) -> list[tuple[Resource, str]]:
    hints = document.get('os:scheduler_hints') or document.get('OS-SCH-HNT:scheduler_hints')
    value = hints.get(name) if isinstance(hints, dict) else None
    return [pin for server_id in (value if isinstance(value, list) else [value]) for pin in pin_if(SERVER, server_id)]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def references(document: Any) -> list[tuple[str, str]]:
    """The flavor and the key pair a create names; they have to be in whichever pod is chosen."""
    flavor, key_name = document['server'].get('flavorRef'), document['server'].get('key_name')
    found = [('flavor', str(flavor).rsplit('/', 1)[-1])] if isinstance(flavor, str | int) else []
    return [*found, ('keypair', key_name)] if isinstance(key_name, str) else found


def by_name(call: Call, document: Any) -> tuple[Any, tuple[str, PodView] | None]:
    """Hosts and nodes that an admin asks for, each perhaps qualified with its pod, and what the image is made of.

    :raises PinsDisagree: they are in different pods
    """
    server = dict(document['server'])
    found = TWINNED.pod_for(call, document)
    mappings = _objects(server.get('block_device_mapping_v2'))
    of_mappings = [mapping.get('uuid') for mapping in mappings if mapping.get('source_type') == 'image']
    for image_id in (server.get('imageRef'), *of_mappings):
        found = _agreed(_pod_of_image(call, image_id), found)
    if not call.context.may_see_all:
        return document, found
    text = server.get('availability_zone') or ''
    parts = dict(enumerate(text.split(':')))
    pods = [pod for pod in pods_of(call) if parts[0] in ('', pod.zone)]
    places: tuple[tuple[NameSource, dict[Any, Any], Any], ...] = (
        (BY_HOST, server, 'host'),
        (BY_NODE, server, 'hypervisor_hostname'),
        (BY_HOST, parts, 1),
        (BY_NODE, parts, 2),
    )
    for source, holder, key in places:
        name = holder.get(key)
        where = find_named(call, source, name, pods) if isinstance(name, str) and name else None
        if where is None:
            continue
        pod, holder[key] = where
        found = _agreed(found, (f'{source.title} {name}', pod))
    if ':'.join(parts.values()) != text:
        server['availability_zone'] = ':'.join(parts.values())
    return (document if server == document['server'] else {**document, 'server': server}), found


def _agreed(first: tuple[str, PodView] | None, second: tuple[str, PodView] | None) -> tuple[str, PodView] | None:
    """:raises PinsDisagree: both name a pod, and not the same one"""
    if first is not None and second is not None and first[1].id != second[1].id:
        title = second[0][:1].lower() + second[0][1:]
        raise exception.PinsDisagree(f'{first[0]} and {title} are in different pods.')
    return second or first


def _pod_of_image(call: Call, image_id: Any) -> tuple[str, PodView] | None:
    """The pod of the snapshots that an image is made of, if it is made of any."""
    for snapshot_id in image_snapshots.snapshots_of(call, image_id):
        try:
            route: Route = call.runtime.locator.find(call, SNAPSHOT, snapshot_id)
        except exception.NotFound:
            continue
        return f'Image {image_id}', route.pod
    return None


def siblings(document: Any, answer: Any) -> str | None:
    """Where to read the servers that one request makes beside the first."""
    reservation = answer.get('reservation_id') if isinstance(answer, dict) else None
    if isinstance(reservation, str):
        return urlencode({'reservation_id': reservation})
    server = document['server']
    counts = [server.get(name) for name in ('min_count', 'max_count')]
    most = max((int(count) for count in counts if str(count).isdecimal() and len(str(count)) < 5), default=1)
    # They are the newest, but for what others make at this moment.
    return urlencode({'limit': 2 * most}) if most > 1 else None


def is_full(answer: Answer) -> bool:
    """Nova refuses what is over its quota with a 403 that says so."""
    return answer.status == 403 and b'uota exceeded' in answer.body


#: Where a server names its groups: shown from 2.71 on, mostly empty.
_GROUPS = re.compile(rb'"server_groups": ?\[\s*"')


def groups_up(call: Call, pod: PodView, answer: Answer) -> Answer:
    """A pod's answer about a server with the ids of its groups that tenants know."""
    if not _GROUPS.search(answer.body):
        return answer
    group_ids = at('server', 'server_groups')(answer.json)
    body = answer.body
    for bottom_id, top_id in TWINNED.ids_up(call, pod, [str(group_id) for group_id in group_ids or []]).items():
        body = body.replace(bottom_id.encode(), top_id.encode())
    return replace(answer, body=body)


CREATE = Place(
    SERVER,
    unknown_zone='The requested availability zone is not available',
    is_full=is_full,
    pins=pins,
    near=near,
    references=references,
    has_host_after_zone=True,
    by_name=by_name,
    siblings=siblings,
    joins=TWINNED.joined,
    needs=needs.of_server,
    refuse=too_many,
    fewer=needs.fewer,
    follow=reschedule.follow,
)

FORWARD = Forward(SERVER, rename=groups_up, stand_in=unknown_server)
DELETE = replace(FORWARD, change=SHRINKS)

_ACTIONS = (
    'addFixedIp',
    'addFloatingIp',
    'addSecurityGroup',
    'changePassword',
    'confirmResize',
    'createBackup',
    'createImage',
    'evacuate',
    'forceDelete',
    'injectNetworkInfo',
    'lock',
    'migrate',
    'os-getConsoleOutput',
    'os-getSPICEConsole',
    'os-getSerialConsole',
    'os-getVNCConsole',
    'os-migrateLive',
    'os-resetState',
    'os-start',
    'os-stop',
    'pause',
    'reboot',
    'rebuild',
    'removeFixedIp',
    'removeFloatingIp',
    'removeSecurityGroup',
    'rescue',
    'resize',
    'restore',
    'resume',
    'revertResize',
    'shelve',
    'shelveOffload',
    'suspend',
    'trigger_crash_dump',
    'unlock',
    'unpause',
    'unrescue',
    'unshelve',
)


@dataclass(frozen=True)
class ForwardToHost:
    """Send an action that names a host to the pod of the server, which has to be the host's.

    :ivar place: of the host in the body
    """

    forward: Forward
    place: tuple[str, str]

    def __call__(self, call: Call) -> Answer:
        name = at(*self.place)(call.json)
        pod, bare = split_name(call, name) if isinstance(name, str) else (None, '')
        if pod is not None:
            route: Route = call.runtime.locator.find(call, SERVER, call.id)
            if route.pod.id != pod.id:
                raise exception.PinsDisagree(f'Host {name} is not in the pod of server {call.id}.')
            call = call.with_body(replaced(call.json, self.place, bare))
        return self.forward(call)


#: Actions that did not always exist, or do not any more: first and last version.
_WINDOWS: dict[str, tuple[Version | None, Version | None]] = {
    'addFixedIp': (None, (2, 43)),
    'addFloatingIp': (None, (2, 43)),
    'os-getSPICEConsole': (None, (2, 5)),
    'os-getSerialConsole': (None, (2, 5)),
    'os-getVNCConsole': (None, (2, 5)),
    'removeFixedIp': (None, (2, 43)),
    'removeFloatingIp': (None, (2, 43)),
    'trigger_crash_dump': ((2, 17), None),
}


_HANDLERS: dict[str, Handler] = {
    key: ForwardToHost(FORWARD, (key, 'host')) for key in ('evacuate', 'migrate', 'os-migrateLive')
}
_HANDLERS |= {key: replace(FORWARD, change=change) for key, change in CHANGES.items()}
_HANDLERS['unshelve'] = ForwardToHost(Forward(SERVER, ('unshelve', 'availability_zone')), ('unshelve', 'host'))


def handler_of(key: str) -> Handler:
    """What serves an action."""
    return _HANDLERS.get(key, FORWARD)


def action(key: str) -> Operation:
    first, last = _WINDOWS.get(key, (None, None))
    return Operation(
        f'servers.action.{key}',
        'POST',
        '/servers/{id}/action',
        handler_of(key),
        action=key,
        min_version=first,
        max_version=last,
    )


def below(
    name: str, method: str, path: str, handler: Forward = FORWARD, min_version: Version | None = None
) -> Operation:
    """A row for something below a server."""
    return Operation(name, method, '/servers/{server_id}' + path, handler, min_version=min_version)


ATTACH = Forward(SERVER, others=named(VOLUME, 'volumeAttachment', 'volumeId'))

OPERATIONS = [
    Operation('servers.list', 'GET', '/servers', server_list('/servers', is_detailed=False)),
    Operation('servers.list_detail', 'GET', '/servers/detail', server_list('/servers/detail', is_detailed=True)),
    Operation('servers.create', 'POST', '/servers', CREATE),
    Operation('servers.show', 'GET', '/servers/{id}', FORWARD),
    Operation(
        'servers.update',
        'PUT',
        '/servers/{id}',
        Forward(SERVER, ('server', 'pinned_availability_zone'), rename=groups_up),
    ),
    Operation('servers.delete', 'DELETE', '/servers/{id}', DELETE),
    *(action(key) for key in _ACTIONS),
    # What no row knows is refused by a pod in Nova's words.
    Operation('servers.action', 'POST', '/servers/{id}/action', AskAny()),
    below('server_diagnostics.show', 'GET', '/diagnostics'),
    below('server_ips.list', 'GET', '/ips'),
    below('server_ips.show', 'GET', '/ips/{id}'),
    below('server_metadata.list', 'GET', '/metadata'),
    below('server_metadata.create', 'POST', '/metadata'),
    below('server_metadata.replace', 'PUT', '/metadata'),
    below('server_metadata.show', 'GET', '/metadata/{id}'),
    below('server_metadata.update', 'PUT', '/metadata/{id}'),
    below('server_metadata.delete', 'DELETE', '/metadata/{id}'),
    below('instance_actions.list', 'GET', '/os-instance-actions'),
    below('instance_actions.show', 'GET', '/os-instance-actions/{id}'),
    below('server_interfaces.list', 'GET', '/os-interface'),
    below('server_interfaces.create', 'POST', '/os-interface'),
    below('server_interfaces.show', 'GET', '/os-interface/{id}'),
    below('server_interfaces.delete', 'DELETE', '/os-interface/{id}'),
    below('server_password.show', 'GET', '/os-server-password'),
    below('server_password.clear', 'DELETE', '/os-server-password'),
    below('volume_attachments.list', 'GET', '/os-volume_attachments'),
    below('volume_attachments.create', 'POST', '/os-volume_attachments', ATTACH),
    below('volume_attachments.show', 'GET', '/os-volume_attachments/{id}'),
    below('volume_attachments.update', 'PUT', '/os-volume_attachments/{id}', ATTACH),
    below('volume_attachments.delete', 'DELETE', '/os-volume_attachments/{id}'),
    below('remote_consoles.create', 'POST', '/remote-consoles', min_version=(2, 6)),
    below('server_security_groups.list', 'GET', '/os-security-groups'),
    below('server_shares.list', 'GET', '/shares', min_version=(2, 97)),
    below('server_shares.create', 'POST', '/shares', min_version=(2, 97)),
    below('server_shares.show', 'GET', '/shares/{id}', min_version=(2, 97)),
    below('server_shares.delete', 'DELETE', '/shares/{id}', min_version=(2, 97)),
    below('server_tags.list', 'GET', '/tags', min_version=(2, 26)),
    below('server_tags.replace', 'PUT', '/tags', min_version=(2, 26)),
    below('server_tags.delete_all', 'DELETE', '/tags', min_version=(2, 26)),
    below('server_tags.show', 'GET', '/tags/{id}', min_version=(2, 26)),
    below('server_tags.update', 'PUT', '/tags/{id}', min_version=(2, 26)),
    below('server_tags.delete', 'DELETE', '/tags/{id}', min_version=(2, 26)),
    below('server_topology.show', 'GET', '/topology', min_version=(2, 78)),
]
