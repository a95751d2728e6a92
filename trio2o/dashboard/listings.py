# SPDX-License-Identifier: Apache-2.0
"""The lists that have a page of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trio2o.dashboard.source import Json


@dataclass(frozen=True)
class Listing:
    """One list.

    :ivar name: its path in the dashboard and in the API
    :ivar collection: key of the items in the answer of the API
    :ivar columns: heading -> field of an item
    :ivar filters: query parameters that pass on to the API
    """

    name: str
    title: str
    collection: str
    columns: Mapping[str, str]
    filters: tuple[str, ...] = ()

    def row(self, item: Json, names: Mapping[str, str]) -> list[tuple[str, Any]]:
        """Return the cells of one line: field and value.

        :param names: id of a pod -> its name, which the line shows instead
        """
        pod_id = item.get('pod_id') or (item.get('payload') or {}).get('pod_id', '')
        more = {'pod_name': names.get(pod_id, pod_id), 'of': names.get(item.get('resource_key', ''))}
        whole = {**more, **{name: value for name, value in item.items() if value is not None or name not in more}}
        whole['of'] = whole['of'] or item.get('resource_key', '')
        return [(field, whole.get(field)) for field in self.columns.values()]


BINDINGS = Listing(
    'bindings',
    'Bindings',
    'pod_bindings',
    {
        'Project': 'tenant_id',
        'Pod': 'pod_name',
        'Zone': 'az_name',
        'Group': 'affinity_group',
        'By hand': 'is_pinned',
        'Since': 'started_at',
    },
    ('pod_id',),
)

JOBS = Listing(
    'jobs',
    'Jobs',
    'jobs',
    {
        'Type': 'type',
        'Resource': 'of',
        'State': 'state',
        'Tries': 'attempts',
        'Submitted': 'created_at',
        'Ended': 'finished_at',
        'Request': 'request_id',
        'Error': 'error',
    },
    ('state',),
)

REPLICAS = Listing(
    'replicas',
    'Replicas out of sync',
    'replicas',
    {
        'Pod': 'pod_name',
        'Kind': 'kind',
        'Key': 'key',
        'State': 'state',
        'Tries': 'attempts',
        'Last try': 'updated_at',
        'Error': 'error',
    },
    ('pod_id',),
)
