# SPDX-License-Identifier: Apache-2.0
"""Lists of servers: what they may be sorted and narrowed by, and how they are paged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trio2o import exception
from trio2o.gateway.handlers.list import Gather, Paging, Query
from trio2o.nova_apigw.hypervisors import UNKNOWN_FROM
from trio2o.nova_apigw.servers.unknown import unknown_brief, unknown_detail
from trio2o.resources import SERVER, Item, SortKey
from trio2o.web.call import Call

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

_TRUE = frozenset({'', '1', 't', 'true', 'on', 'y', 'yes'})
_FALSE = frozenset({'0', 'f', 'false', 'off', 'n', 'no'})


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
    return any(name == 'all_tenants' and value.lower() in _TRUE for name, value in call.query)


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


def has_unknown(call: Call) -> bool:
    """From 2.69, and only for a whole list: not with filters, sort or paging.

    Unlike Nova also with ``deleted=False``, which filters nothing and which the stock client always sends.
    """
    if call.version is None or call.version < UNKNOWN_FROM:
        return False
    if all_projects(call) and not call.context.may_see_all:
        return False  # every pod would refuse, and none is there to do it
    return all(name == 'all_tenants' or (name == 'deleted' and value.lower() in _FALSE) for name, value in call.query)


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
