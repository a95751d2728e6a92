#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the pages of operations in doc/source/user out of the rows of the Nova and the Cinder API-GW.

A test holds the pages against the rows; after a change of them, run this.
"""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trio2o import cinder_apigw
from trio2o.cinder_apigw import admin as volume_infra
from trio2o.cinder_apigw import transfers
from trio2o.cinder_apigw import versions as volume_versions
from trio2o.gateway.admin.by_id import ForwardById, ForwardToHolder
from trio2o.gateway.admin.by_name import ForwardByName
from trio2o.gateway.admin.lists import AdminList
from trio2o.gateway.handlers.create import Create
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.gateway.handlers.list import List
from trio2o.gateway.handlers.offset_list import OffsetList
from trio2o.gateway.handlers.quota_sets import LimitsRead, LimitsWrite, QuotaRead
from trio2o.gateway.handlers.replicate import ReplicatedRead, ReplicatedWrite
from trio2o.gateway.handlers.sum import Sum
from trio2o.gateway.handlers.zones import ListZones
from trio2o.nova_apigw import SERVICE, aggregates, external_events, versions
from trio2o.nova_apigw.internal_calls import ForwardToVolume
from trio2o.nova_apigw.migrations import ForwardMigration
from trio2o.nova_apigw.proxy_apis import LAST, LAST_IMAGE_METADATA, ForwardUntilFound
from trio2o.nova_apigw.removed_apis import Removed
from trio2o.nova_apigw.servers.actions import ForwardToHost
from trio2o.nova_apigw.usage import TenantUsage
from trio2o.web.operations import Operation
from trio2o.web.service import Service

FOLDER = pathlib.Path(__file__).parents[1] / 'doc' / 'source' / 'user'
PAGE = FOLDER / 'compute-operations.rst'
VOLUME_PAGE = FOLDER / 'volume-operations.rst'

#: Section -> what is said of it, and the handlers whose rows it has.
SECTIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'One thing': (
        'Goes to the cloud that has it, whose answer is the answer. Where the request names a second thing by its '
        'id, both have to be in the same cloud; otherwise the answer is a 400 that names both, and nothing has been '
        'touched.',
        (Forward, ForwardToHost, ForwardToVolume, ForwardMigration),
    ),
    'Something new': (
        'Goes to the cloud of what the request refers to (volumes, snapshots, affinity groups, other servers, '
        'hosts), and else to the best one of the availability zone. References that are in different clouds, or in '
        'another zone than the one asked for, are a 400 that names them.',
        (Create,),
    ),
    'Lists': (
        'All clouds are asked at once, and the answer has the order and the pages of one list. What cannot be reached '
        'is left out; see :doc:`index` for servers from 2.69.',
        (List, OffsetList),
    ),
    'Numbers': (
        'What is used adds up over all clouds. Limits are those of the whole.',
        (Sum, TenantUsage, LimitsRead, QuotaRead, LimitsWrite),
    ),
    'The same everywhere': (
        'Kept the same in all clouds: a change is made in one, whose answer is the answer, and brought to the others.',
        (ReplicatedRead, ReplicatedWrite),
    ),
    'Infrastructure': (
        'For admins. Lists have what all clouds have, one cloud after another. Ids that are whole numbers are those '
        'of the pod times 1000 and the number of the pod added; UUIDs are what they are. A host or hypervisor whose '
        'name is in several pods has to be qualified with its pod, as in ``Pod1@compute-1``, which may always be '
        'done: in paths, in bodies, in ``--host`` and after the colon of an availability zone. Unqualified it is a '
        '409 that names the qualified forms.',
        (
            AdminList,
            ForwardById,
            ForwardByName,
            ForwardToHolder,
            aggregates.ForwardAggregate,
            aggregates.list_aggregates,
            aggregates.create,
        ),
    ),
    'Batches': (
        'Each cloud gets its part, and the answer has the order of the request.',
        (external_events.create_events,),
    ),
    'Answered here': (
        'What is the same for every cloud, or known without asking one.',
        (ListZones, ForwardToAny, versions.show, versions.show_by_id),
    ),
    'Passed on to other services': (
        'What Nova passed on to Glance, Neutron and Cinder in its early versions. Volumes and snapshots are found as '
        'in the Block Storage API; the rest is one and the same for all clouds that share Glance and Neutron.',
        (ForwardUntilFound,),
    ),
    'Gone': (
        'Nova answers these at every version as below, and so does Trio2o.',
        (Removed,),
    ),
}

#: What differs from a single Nova, beyond what its section says.
NOTES = {
    'aggregates.action.add_host': 'The first host decides which pod the aggregate is in: it keeps its id there and '
    'gets another UUID. A host of another pod is a 409 afterwards.',
    'aggregates.create': 'A zone decides on the pod, or the name, as in ``Pod2@fast``.',
    'aggregates.list': 'Each pod shows as ``ag_<pod name>`` with its zone; those change through the Admin API alone.',
    'availability_zones.list': 'The zones are those the clouds were registered with.',
    'availability_zones.list_detail': 'Hosts of all clouds, under the zones the clouds were registered with.',
    'console_auth_tokens.show': 'All clouds are asked, as a token does not tell where it is from.',
    'hypervisors.list': 'Clouds come one after another, each in its own order.',
    'keypairs.create': 'A key that is generated here is generated in one cloud, and its public half brought to the '
    'others.',
    'migrations.list': 'The same ids are used below servers.',
    'quota_sets.update': 'Compared with what all clouds use together, unless ``force`` is given.',
    'server_external_events.create': 'An event for a server nobody knows yet goes to all clouds.',
    'server_groups.create': 'Its servers may be in any zone; those of an ``affinity`` group are all in the zone of '
    'the first.',
    'server_groups.show': 'Members are those of all clouds.',
    'servers.create': 'Servers made together are in one cloud.',
    'servers.show': 'From 2.69 a server in a pod that does not answer is shown with status ``UNKNOWN``, its project, '
    'zone and time of creation; image and flavor are not known then.',
    'servers.list': 'Servers that are still being built stand by their time of creation.',
    'services.list': 'From 2.69 compute services of a pod that does not answer are listed with status ``UNKNOWN``.',
    'simple_tenant_usage.list': 'From 2.40 a page is so many servers, over all clouds.',
}

_HEAD = """\
==================
Compute operations
==================

.. This page is written by tools/operations_table.py.

Every operation of the Compute API v2.1 up to microversion 2.104, by how it is served. Versions are those of Nova; what
is not there in a version is a 404, as with Nova.

"""


#: The same for Cinder.
VOLUME_SECTIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'One thing': (SECTIONS['One thing'][0], (Forward, transfers.Accept)),
    'Something new': (
        'Goes to the cloud of what the request refers to (volumes, snapshots, backups, groups, images made of '
        'snapshots, servers, hosts), and else to the best one of the availability zone. References that are in '
        'different clouds, or in another zone than the one asked for, are a 400 that names them.',
        (Create,),
    ),
    'Lists': (
        'All clouds are asked at once, and the answer has the order and the pages of one list. What cannot be reached '
        'is left out, as Cinder has no way to say so; with ``list_records_by_skipping_down_pods = false`` such a list '
        'is a 503 instead.',
        (List,),
    ),
    'Numbers': SECTIONS['Numbers'],
    'The same everywhere': (
        'Kept the same in all clouds: a change is made in one, whose answer is the answer, and brought to the others. '
        'Clouds choose the ids of these themselves; the ids that are shown are those of the first that had them.',
        (ReplicatedRead, ReplicatedWrite),
    ),
    'Infrastructure': (
        'For admins. Lists have what all clouds have, one cloud after another. A host or cluster whose name is in '
        'several pods has to be qualified with its pod, as in ``Pod1@control``, which may always be done: in paths, '
        'queries and bodies. Unqualified it is a 409 that names the qualified forms.',
        (
            AdminList,
            ForwardByName,
            volume_infra.ForwardBackend,
            volume_infra.ListManageable,
            volume_infra.Broadcast,
        ),
    ),
    'Answered here': (
        'What is the same for every cloud, or known without asking one.',
        (ListZones, ForwardToAny, volume_versions.show),
    ),
}

VOLUME_NOTES = {
    'attachments.create': 'A server counts where it is a known one; bare metal has ids of its own.',
    'attachments.list': 'Over several clouds those attached last come first.',
    'attachments.list_detail': 'Over several clouds those attached last come first.',
    'availability_zones.list': 'The zones are those the clouds were registered with.',
    'backups.import_record': 'Goes to the cloud that has the volume of the backup, or had the backup.',
    'backups.restore': 'Into a volume of the same cloud, or into a new one there.',
    'groups.create': 'All volumes of a group are in its cloud.',
    'os_volume_transfer.accept': 'The volume stays in its cloud, and so do its snapshots.',
    'qos_specs.associate': 'A GET that changes something: it is sent once.',
    'qos_specs.disassociate': 'A GET that changes something: it is sent once.',
    'qos_specs.disassociate_all': 'A GET that changes something: it is sent once.',
    'quota_sets.show': 'With ``usage`` what is used adds up over all clouds.',
    'quota_sets.update': 'Compared with what all clouds use together.',
    'resource_filters.list': 'What all clouds can filter by.',
    'services.get_log': 'All clouds are asked, unless ``server`` names a host.',
    'services.set_log': 'All clouds are told, unless ``server`` names a host.',
    'volume_transfers.accept': 'The volume stays in its cloud, and so do its snapshots.',
    'volume_types.show': 'A cloud may have its own value of ``volume_backend_name`` and '
    '``RESKEY:availability_zones``.',
    'workers.cleanup': 'All clouds are told, unless the body names a host or cluster.',
}

_VOLUME_HEAD = """\
========================
Block Storage operations
========================

.. This page is written by tools/operations_table.py.

Every operation of the Block Storage API v3 up to microversion 3.71, by how it is served. Versions are those of Cinder;
what is not there in a version is a 404, as with Cinder.

"""


class Book(NamedTuple):
    """What one page is made of."""

    service: Service
    first: tuple[int, int]
    head: str
    sections: Mapping[str, tuple[str, tuple[Any, ...]]]
    notes: Mapping[str, str]


COMPUTE = Book(SERVICE, (2, 1), _HEAD, SECTIONS, NOTES)
VOLUME = Book(cinder_apigw.SERVICE, (3, 0), _VOLUME_HEAD, VOLUME_SECTIONS, VOLUME_NOTES)


def section_of(operation: Operation, book: Book = COMPUTE) -> str:
    """The section of a row."""
    handler = operation.handler
    if book is COMPUTE and operation.max_version in (LAST, LAST_IMAGE_METADATA):
        return 'Passed on to other services'
    for name, (_text, kinds) in book.sections.items():
        for kind in kinds:
            if handler is kind or (isinstance(kind, type) and isinstance(handler, kind)):
                return name
    raise LookupError(f'{operation.name} is served by {handler}, which has no section')


def _versions(operation: Operation, book: Book) -> str:
    first, last = operation.min_version or book.first, operation.max_version
    if last is not None:
        return '{}.{} to {}.{}'.format(*first, *last)
    return '' if first == book.first else 'from {}.{}'.format(*first)


def _note(operation: Operation, book: Book) -> str:
    if isinstance(operation.handler, Removed):
        return str(operation.handler.status)
    return book.notes.get(operation.name, '')


def lines(book: Book) -> Iterator[str]:
    """The page, line by line."""
    yield book.head
    rows = [row for row in book.service.operations if not (row.action is None and row.path.endswith('/action'))]
    for name, (text, _kinds) in book.sections.items():
        yield f'{name}\n{"=" * len(name)}\n\n{textwrap.fill(text, 100, break_on_hyphens=False)}\n\n'
        yield '.. list-table::\n   :header-rows: 1\n   :widths: 30 40 10 20\n\n'
        yield '   * - Operation\n     - Request\n     - Versions\n     - Notes\n'
        for row in sorted((row for row in rows if section_of(row, book) == name), key=lambda row: row.name):
            action = f' ``{row.action}``' if row.action else ''
            cells = [row.name, f'``{row.method} {row.path}``{action}', _versions(row, book), _note(row, book)]
            yield '   * - ' + '\n     - '.join(cells).replace('- \n', '-\n').rstrip(' ') + '\n'
        yield '\n'


def page(book: Book = COMPUTE) -> str:
    """The whole page."""
    return ''.join(lines(book)).rstrip('\n') + '\n'


if __name__ == '__main__':
    PAGE.write_text(page())
    VOLUME_PAGE.write_text(page(VOLUME))
