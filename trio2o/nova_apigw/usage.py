# SPDX-License-Identifier: Apache-2.0
"""Usage of projects over a period, and the log of usage audits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_utils import timeutils

from trio2o import exception
from trio2o.gateway.call_any_pod import call_any_pod, refuse_as_pod
from trio2o.gateway.call_pods import merged_answer, pods_of, refusal_or_none
from trio2o.gateway.handlers.quota_sets import first_value
from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.lists.cursor import PodCursor, read_all_pages
from trio2o.gateway.lists.paging import Document, Paging, Query
from trio2o.gateway.translate import next_link
from trio2o.resources import Item
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.numbers import parse_number
from trio2o.web.operations import Operation

#: Since this version the list has pages of servers, regardless of their projects.
_PAGED_FROM = (2, 40)
_PAGE = 1000

#: Keys of the log of all audits, and of those before a time.
_AUDIT_LOGS = ('instance_usage_audit_logs', 'instance_usage_audit_log')

#: Name of a total of a project -> the amount that a server adds to it.
_TOTALS = {
    'total_hours': lambda server: server['hours'],
    'total_memory_mb_usage': lambda server: server['memory_mb'] * server['hours'],
    'total_vcpus_usage': lambda server: server['vcpus'] * server['hours'],
    'total_local_gb_usage': lambda server: server['local_gb'] * server['hours'],
}


@dataclass(frozen=True)
class TenantUsage:
    """Show the usage of all projects, or of the project in the path.

    Every pod lists the servers of each project, and the gateway computes the totals from the servers.

    :ivar is_of_one: whether the path names a project
    """

    is_of_one: bool

    def __call__(self, call: Call) -> Answer:
        pods = pods_of(call)
        if not pods:
            return call_any_pod(call)
        values = dict(call.query)
        limit = parse_number(values['limit']) if values.get('limit') else _PAGE
        if limit is None:
            return refuse_as_pod(call)
        has_pages = call.version is not None and call.version >= _PAGED_FROM
        filters = _query(call, has_pages, self.is_of_one)
        cursors = [PodCursor(pod) for pod in pods]
        found = read_all_pages(
            call, cursors, UsagePaging('tenant_usages'), lambda pod: filters, lambda pod, rows: rows
        )
        refusal = refusal_or_none(call, found)
        if refusal is not None:
            return refusal
        periods = _periods(cursors)
        servers = sorted(
            (server for rows in periods.values() for server in rows['server_usages']),
            key=lambda server: (server['tenant_id'], server['instance_id']),
        )
        link = ''
        if has_pages:
            most = min(limit, _PAGE)
            servers = _page(servers, values.get('marker'), most)
            if servers and len(servers) >= most:
                link = next_link(call.base_url, call.prefix, call.path, call.query, servers[-1]['instance_id'])
        is_detailed = self.is_of_one or first_value(call, 'detailed') == '1'
        usages = _by_project(servers, periods, is_detailed)
        return self._answer(call, usages, link, found.first)

    def _answer(self, call: Call, usages: list[Item], link: str, first: Answer | None) -> Answer:
        key = 'tenant_usage' if self.is_of_one else 'tenant_usages'
        document: dict[str, Any] = {key: (usages[0] if usages else {}) if self.is_of_one else usages}
        if link:
            document[f'{key}_links'] = [{'rel': 'next', 'href': link}]
        return merged_answer(call, document, first)


class UsagePaging(Paging):
    """Pages of usages; the marker is the last server of the last usage."""

    def query(self, cursor: PodCursor) -> Query:
        return [] if cursor.marker is None else [('marker', cursor.marker)]

    def items(self, document: Document) -> list[Item] | None:
        usage = json_body.object_at(document, 'tenant_usage')
        items = super().items(document) if usage is None else [usage] if usage else []
        return items if items is not None and all(_is_readable(item) for item in items) else None

    def advance(self, cursor: PodCursor, document: Document, items: list[Item]) -> None:
        cursor.read.is_done = not items or not any(name.endswith('_links') for name in document)
        if not cursor.read.is_done:
            cursor.marker = items[-1]['server_usages'][-1]['instance_id']


def _is_readable(usage: Item) -> bool:
    """Return whether the usage of a project has what is added up. One without servers has no next marker."""
    servers = usage.get('server_usages')
    if not isinstance(servers, list) or not servers or not all(isinstance(server, dict) for server in servers):
        return False
    texts = [server.get(name) for server in servers for name in ('tenant_id', 'instance_id')]
    numbers = [server.get(name) for server in servers for name in ('hours', 'vcpus', 'memory_mb', 'local_gb')]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int | float) for number in numbers)
        and all(server['tenant_id'] == usage.get('tenant_id') for server in servers)
        and {'start', 'stop'} <= usage.keys()
    )


def _periods(cursors: list[PodCursor]) -> dict[str, Item]:
    """Return the usage of each project in the period, with the servers of all pods."""
    periods: dict[str, Item] = {}
    for usage in (usage for cursor in cursors for usage in cursor.read.items):
        known = periods.setdefault(usage['tenant_id'], {**usage, 'server_usages': []})
        known['server_usages'] += usage.get('server_usages') or []
    return periods


def _query(call: Call, has_pages: bool, is_of_one: bool) -> Query:
    """Return the query for the pods.

    It names a period: pods that each took the present as its end would answer for slightly different periods.
    """
    names = {'limit', 'marker', 'detailed'} if has_pages or not is_of_one else {'detailed'}
    rows = [row for row in call.query if row[0] not in names]
    given = {name for name, _value in rows}
    now = timeutils.utcnow()
    if 'end' not in given:
        rows.append(('end', now.isoformat(timespec='microseconds')))
    if 'start' not in given:
        # Nova's default for both is the present; the start is taken a moment before the end.
        start = now if 'end' in given else now - timedelta(microseconds=1)
        rows.append(('start', start.isoformat(timespec='microseconds')))
    if not is_of_one:
        rows.append(('detailed', '1'))
    if has_pages:
        rows.append(('limit', str(_PAGE)))
    return rows


def _page(servers: list[Item], marker: str | None, most: int) -> list[Item]:
    """Return the servers after the marker. All that have one id are in one page, as the id is the marker of the next.

    A server that moved has used two pods, and each lists its own part.

    :raises BadRequest: the marker is not a server of the period
    """
    ids = [server['instance_id'] for server in servers]
    start = 0
    if marker is not None:
        if marker not in ids:
            raise exception.BadRequest(f'Marker {marker} could not be found.')
        start = len(ids) - ids[::-1].index(marker)
    end = start + most
    while 0 < end < len(ids) and most and ids[end] == ids[end - 1]:
        end += 1
    return servers[start:end]


def _by_project(servers: list[Item], periods: dict[str, Item], is_detailed: bool) -> list[Item]:
    """Compute the usage of each project from that of its servers, as Nova does."""
    found: dict[str, Item] = {}
    for server in servers:
        project = server['tenant_id']
        usage = found.get(project)
        if usage is None:
            period = periods[project]
            usage = found[project] = {
                'tenant_id': project,
                **({'server_usages': []} if is_detailed else {}),
                **dict.fromkeys(_TOTALS, 0.0),
                'start': period['start'],
                'stop': period['stop'],
            }
        for name, share in _TOTALS.items():
            usage[name] += share(server)
        if is_detailed:
            usage['server_usages'].append(server)
    return list(found.values())


def join_audits(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the logs of several pods. The period is that of the first: pods should audit the same periods."""
    key = next((name for name in _AUDIT_LOGS if name in documents[0]), '')
    logs = [document[key] for document in documents]
    total: dict[str, Any] = {}
    for log in logs:
        for name, value in log.items():
            if isinstance(value, int):
                total[name] = total.get(name, 0) + value
            elif isinstance(value, list):
                total[name] = total.get(name, []) + value
            elif isinstance(value, dict):
                total[name] = {**total.get(name, {}), **value}
            else:
                total.setdefault(name, value)
    done, hosts = total.get('num_hosts_done', 0), total.get('num_hosts', 0)
    share = 'ALL' if done == hosts else f'{done} of {hosts}'
    total['overall_status'] = f'{share} hosts done. {total.get("total_errors", 0)} errors.'
    return {key: total}


_AUDIT = Sum(join_audits)

OPERATIONS = [
    Operation('instance_usage_audit_log.list', 'GET', '/os-instance_usage_audit_log', _AUDIT),
    Operation('instance_usage_audit_log.show', 'GET', '/os-instance_usage_audit_log/{id}', _AUDIT),
    Operation('simple_tenant_usage.list', 'GET', '/os-simple-tenant-usage', TenantUsage(is_of_one=False)),
    Operation('simple_tenant_usage.show', 'GET', '/os-simple-tenant-usage/{id}', TenantUsage(is_of_one=True)),
]
