# SPDX-License-Identifier: Apache-2.0
"""Lists of servers: how they are sorted, filtered and paged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from oslo_utils import strutils, uuidutils

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.gateway.call_pod import names_of
from trio2o.gateway.handlers.list import List
from trio2o.gateway.lists.paging import Query
from trio2o.gateway.lists.query import Sorts
from trio2o.gateway.translate import items_up
from trio2o.nova_apigw.hypervisors import BY_HOST, BY_NODE, UNKNOWN_FROM
from trio2o.nova_apigw.servers.unknown import unknown_brief, unknown_detail
from trio2o.pods.fanout import ask_all
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.pods.registry import PodView
from trio2o.quota.usage import VERSIONS
from trio2o.resources import SERVER, Item, SortKey
from trio2o.routing.locator import Route
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Call

#: Nova accepts these sort keys and ignores them, up to 2.74; from then on pods refuse them.
_IGNORED_SORT_KEYS = frozenset(
    (
        'architecture cell_name cleaned default_ephemeral_device default_swap_device deleted deleted_at '
        'disable_terminate ephemeral_gb ephemeral_key_uuid id key_data launched_on memory_mb os_type reservation_id '
        'root_gb shutdown_terminate user_data vcpus vm_mode'
    ).split()
)


def _image_id(server: Mapping[str, Any]) -> Any:
    image = server.get('image')
    return image.get('id') if isinstance(image, dict) else image


def _nothing(server: Mapping[str, Any]) -> Any:
    """Return no value: servers do not show the value of this sort key."""
    return None


def _is_no_filter(name: str, value: str) -> bool:
    """Return whether a parameter filters nothing, such as ``deleted=False``, which the stock client always sends."""
    return name == 'all_tenants' or (name == 'deleted' and not strutils.bool_from_string(value, default=True))


class ServerList(List):
    """``GET /servers`` and ``GET /servers/detail``."""

    resource = SERVER
    #: nova/api/openstack/compute/schemas/servers.py: what a list may be sorted by, as it shows in a server.
    #: Servers of different pods that do not show it are sorted by id alone.
    sort_keys = {
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
        'image_ref': SortKey('image', _image_id),
        'instance_type_id': SortKey('flavor', _nothing),
        'kernel_id': SortKey('OS-EXT-SRV-ATTR:kernel_id'),
        'key_name': SortKey('key_name'),
        'launch_index': SortKey('OS-EXT-SRV-ATTR:launch_index'),
        'launched_at': SortKey('OS-SRV-USG:launched_at'),
        'locked': SortKey('locked'),
        'locked_by': SortKey('locked_by', _nothing),
        'node': SortKey('OS-EXT-SRV-ATTR:hypervisor_hostname'),
        'power_state': SortKey('OS-EXT-STS:power_state'),
        'progress': SortKey('progress', _nothing),
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
    is_planned = True
    links_key = 'servers_links'
    named = {'host': BY_HOST, 'node': BY_NODE, 'hypervisor_hostname': BY_NODE}
    may_marker_be_empty = True
    may_marker_be_deleted = True
    summary_fields = ('id', 'name', 'links')

    def sorts(self, query: Query) -> Sorts | None:
        """Read ``sort_key`` and ``sort_dir``, which are paired by position; a pod refuses wrong ones."""
        keys = [value.strip() for name, value in query if name == 'sort_key']
        directions = [value.strip() for name, value in query if name == 'sort_dir']
        if any(direction not in ('asc', 'desc') for direction in directions) or len(directions) > max(len(keys), 1):
            return None
        first = directions[0] if directions else 'desc'
        directions += [first] * (len(keys) - len(directions))
        if not keys:
            return [('created_at', first == 'desc')]
        pairs = [(key, direction == 'desc') for key, direction in zip(keys, directions, strict=True)]
        # Without any other key Nova sorts by the one that it always adds.
        return [pair for pair in pairs if pair[0] not in _IGNORED_SORT_KEYS] or [('uuid', False)]

    def has_filters(self, filters: Query) -> bool:
        return not all(name in ('sort_key', 'sort_dir') or _is_no_filter(name, value) for name, value in filters)

    def zone_filter(self, call: Call) -> Callable[[str], bool] | None:
        """Select the zones whose names contain the text of the filter. Before 2.83 Nova ignores it from tenants.

        Nova takes a regular expression. Clients must not run theirs here, so only ``^`` and ``$`` are special.
        """
        may_filter = call.context.may_see_all or (call.version is not None and call.version >= (2, 83))
        value = dict(call.query).get('availability_zone')
        if value is None or not may_filter:
            return None
        text = value.removeprefix('^').removesuffix('$')

        def is_wanted(zone: str) -> bool:
            if value.startswith('^') and not zone.startswith(text):
                return False
            return zone.endswith(text) if value.endswith('$') else text in zone

        return is_wanted

    def all_projects(self, call: Call) -> bool:
        """Return whether ``all_tenants`` is true. Nova takes an empty value as true."""
        value = dict(call.query).get('all_tenants')
        return value == '' or strutils.bool_from_string(value)

    def is_id_descending(self, is_descending: bool) -> bool:
        return False

    def marker_not_found(self, call: Call, marker: str) -> exception.Trio2oException:
        return exception.BadRequest(f'marker [{marker}] not found')

    def find_deleted(self, call: Call, marker: str, pods: Sequence[PodView]) -> tuple[PodView, Item] | None:
        """Find a deleted server with Trio2o's own account, as tenants cannot show one.

        Nova takes it as a marker until its database is purged. That no pod has one is remembered for some seconds.
        """
        runtime = call.runtime
        # The pods to ask depend on these.
        miss = (SERVER.type, 'deleted', marker, call.context.project_id, self.all_projects(call))
        if not uuidutils.is_uuid_like(marker) or miss in runtime.locator.misses:
            return None
        seconds = runtime.conf.pods.probe_timeout
        path = f'/servers/detail?{urlencode({"all_tenants": "1", "deleted": "True", "uuid": marker})}'

        def ask(pod: PodView) -> list[Item]:
            api = PodApi(runtime.client, runtime.identity, pod, SERVER.service, seconds)
            try:
                document = api.get_list(path, VERSIONS[SERVER.service])
            except PodRefused as error:
                raise exception.PodNoAnswer(pod.name, str(error)) from error
            return [item for item in json_body.objects_at(document, SERVER.collection) if item.get('id') == marker]

        found = ask_all(runtime.pod_threads, pods, ask, Deadline(seconds))
        for pod, items in found.items():
            if not isinstance(items, exception.PodError) and items:
                items_up(items, SERVER.zones, names_of(call, pod))
                owner = SERVER.owner_of(items[0], '')
                return (pod, items[0]) if owner and call.context.may_know(owner) else None
        if any(isinstance(items, exception.PodError) for items in found.values()):
            raise pod_failures.maybe_elsewhere(f'The marker {marker}')
        runtime.locator.misses.add(miss)
        return None

    def show_time(self, moment: datetime) -> str:
        return moment.strftime('%Y-%m-%dT%H:%M:%SZ')

    @property
    def pod_path(self) -> str:
        return '/servers/detail'

    def has_partial_records(self, call: Call) -> bool:
        """Return whether the version is 2.69 or later, and the query has no filters, sort keys or paging.

        Unlike Nova, also with ``deleted=False``.
        """
        if call.version is None or call.version < UNKNOWN_FROM:
            return False
        if self.all_projects(call) and not call.context.may_see_all:
            return False  # pods refuse this, so it must not succeed when no pod answers
        return all(_is_no_filter(name, value) for name, value in call.query)

    def partial_record(self, call: Call, route: Route) -> Item:
        return unknown_detail(call, route) if self.is_detailed else unknown_brief(call, route)
