# SPDX-License-Identifier: Apache-2.0
"""The directive ``trio2o-operations``: the operations of a gateway by the handler that serves them, from its rows.

It runs when the documentation is built, so the pages always match the code. A row whose handler no section names makes
the build fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from trio2o import cinder_apigw, nova_apigw
from trio2o.cinder_apigw import admin as cinder_admin
from trio2o.cinder_apigw import transfers
from trio2o.cinder_apigw import versions as cinder_versions
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
from trio2o.nova_apigw import aggregates, external_events
from trio2o.nova_apigw import versions as nova_versions
from trio2o.nova_apigw.internal_calls import ForwardToVolume
from trio2o.nova_apigw.proxy_apis import LAST, LAST_IMAGE_METADATA, ForwardUntilFound
from trio2o.nova_apigw.removed_apis import Removed
from trio2o.nova_apigw.usage import TenantUsage
from trio2o.web.operations import Operation
from trio2o.web.service import Service

_FORWARDED = (
    'The cloud that holds the resource serves the request, and its answer is the answer. If the request names a '
    'second resource by its id, both must be in the same cloud; otherwise the answer is a 400 that names both, and '
    'nothing is changed.'
)
_REPLICATED = (
    'These objects are the same in all clouds. One cloud serves a change, and its answer is the answer; then the '
    'change is made in the other clouds.'
)
_SUMS = 'Usage is the sum over all clouds. Limits hold for all clouds together.'
_LOCAL = 'The answer is the same for every cloud, or the gateway knows it without calling one.'
_CREATES = (
    'The cloud of the resources that the request refers to ({refs}) serves the request; without such a reference, the '
    'best cloud of the availability zone. References to different clouds, or to another zone than the requested one, '
    'are a 400 that names them.'
)

#: Section -> its text, and the handlers whose rows it lists.
Sections = Mapping[str, tuple[str, tuple[Any, ...]]]

COMPUTE_SECTIONS: Sections = {
    'Requests about one resource': (_FORWARDED, (Forward, ForwardToVolume)),
    'Creates': (
        _CREATES.format(refs='volumes, snapshots, server groups with the affinity policy, other servers, hosts'),
        (Create,),
    ),
    'Lists': (
        'The gateway calls all clouds at the same time and answers with one list in the order and with the pages of a '
        'single cloud. Resources of an unreachable cloud are missing; for servers from 2.69 see :doc:`index`.',
        (List, OffsetList),
    ),
    'Usage and limits': (_SUMS, (Sum, TenantUsage, LimitsRead, QuotaRead, LimitsWrite)),
    'Replicated objects': (_REPLICATED, (ReplicatedRead, ReplicatedWrite)),
    'Infrastructure': (
        'For admins. Lists contain the entries of all clouds, one cloud after another. An integer id is the id in the '
        'pod times 1000 plus the number of the pod; UUIDs are unchanged. A host or hypervisor name that exists in '
        'several pods must be qualified with its pod, as in ``Pod1@compute-1``. Qualified names are always allowed: '
        'in paths, in bodies, in ``--host`` and after the colon of an availability zone. An ambiguous name is a 409 '
        'that lists the qualified names.',
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
    'External events': (
        'Each cloud gets the events of its servers, and the answer has the order of the request.',
        (external_events.create_events,),
    ),
    'Answered by the gateway': (_LOCAL, (ListZones, ForwardToAny, nova_versions.show, nova_versions.show_by_id)),
    'Proxy APIs': (
        'Early versions of Nova pass these requests on to Glance, Neutron and Cinder. The gateway finds volumes and '
        'snapshots as in the Block Storage API; the rest is the same for all clouds that share Glance and Neutron.',
        (ForwardUntilFound,),
    ),
    'Removed APIs': ('Nova answers these at every version as below, and so does Trio2o.', (Removed,)),
}

#: Differences from a single Nova that the text of the section does not cover.
COMPUTE_NOTES = {
    'aggregates.action.add_host': 'The first host decides the pod of the aggregate. The aggregate keeps its id and '
    'gets another UUID. A later host of another pod is a 409.',
    'aggregates.create': 'The zone decides the pod, or the name does, as in ``Pod2@fast``.',
    'aggregates.list': 'Each pod appears as ``ag_<pod name>`` with its zone. Only the Admin API can change these.',
    'availability_zones.list': 'The zones with which the pods are registered.',
    'availability_zones.list_detail': 'The hosts of all clouds, in the zones with which the pods are registered.',
    'console_auth_tokens.show': 'The gateway calls all clouds, because a token does not name its cloud.',
    'hypervisors.list': 'One cloud after another, each in its own order.',
    'keypairs.create': 'One cloud generates a key; the other clouds get its public half.',
    'migrations.list': 'Requests below a server use the same ids.',
    'quota_sets.update': 'Compared with the usage of all clouds together, unless ``force`` is given.',
    'server_external_events.create': 'An event for an unknown server goes to all clouds.',
    'server_groups.create': 'The servers may be in any zone; those of an ``affinity`` group are in the zone of the '
    'first one.',
    'server_groups.show': 'Lists the members in all clouds.',
    'servers.create': 'Servers created by one request are in one cloud.',
    'servers.show': 'From 2.69 a server whose pod does not answer has status ``UNKNOWN`` and shows its project, zone '
    'and creation time; its image and flavor are unknown.',
    'servers.list': 'Servers that are being built are ordered by their creation time.',
    'services.list': 'From 2.69 compute services of a pod that does not answer have status ``UNKNOWN``.',
    'simple_tenant_usage.list': 'From 2.40 the page limit counts servers over all clouds.',
}

VOLUME_SECTIONS: Sections = {
    'Requests about one resource': (_FORWARDED, (Forward, transfers.AcceptTransfer)),
    'Creates': (
        _CREATES.format(refs='volumes, snapshots, backups, groups, images made of snapshots, servers, hosts'),
        (Create,),
    ),
    'Lists': (
        'The gateway calls all clouds at the same time and answers with one list in the order and with the pages of a '
        'single cloud. Cinder has no form for resources of an unreachable cloud, so a list that would lack some is a '
        '503; with ``list_records_by_skipping_down_pods = true`` those of a cloud that is down are left out.',
        (List,),
    ),
    'Usage and limits': (_SUMS, (Sum, LimitsRead, QuotaRead, LimitsWrite)),
    'Replicated objects': (
        f'{_REPLICATED} Clouds choose the ids of these objects; answers contain the id of the first cloud that had '
        'the object.',
        (ReplicatedRead, ReplicatedWrite),
    ),
    'Infrastructure': (
        'For admins. Lists contain the entries of all clouds, one cloud after another. A host or cluster name that '
        'exists in several pods must be qualified with its pod, as in ``Pod1@control``. Qualified names are always '
        'allowed: in paths, queries and bodies. An ambiguous name is a 409 that lists the qualified names.',
        (
            AdminList,
            ForwardByName,
            cinder_admin.ForwardBackend,
            cinder_admin.ListManageable,
            cinder_admin.Broadcast,
        ),
    ),
    'Answered by the gateway': (_LOCAL, (ListZones, ForwardToAny, cinder_versions.show)),
}

VOLUME_NOTES = {
    'attachments.create': 'The server must be in the same cloud if the gateway knows it; bare metal has its own ids.',
    'attachments.list': 'Over several clouds, the latest attachment comes first.',
    'attachments.list_detail': 'Over several clouds, the latest attachment comes first.',
    'availability_zones.list': 'The zones with which the pods are registered.',
    'backups.import_record': 'The cloud of the backup, or of its volume, imports the record.',
    'backups.restore': 'Restores to a volume in the same cloud, or to a new one there.',
    'groups.create': 'All volumes of a group are in its cloud.',
    'os_volume_transfer.accept': 'The volume and its snapshots stay in their cloud.',
    'qos_specs.associate': 'This GET changes something, so the gateway never repeats it.',
    'qos_specs.disassociate': 'This GET changes something, so the gateway never repeats it.',
    'qos_specs.disassociate_all': 'This GET changes something, so the gateway never repeats it.',
    'quota_sets.show': 'With ``usage`` the usage is the sum over all clouds.',
    'quota_sets.update': 'Compared with the usage of all clouds together.',
    'resource_filters.list': 'The filters that all clouds support.',
    'services.get_log': 'The gateway calls all clouds unless ``server`` names a host.',
    'services.set_log': 'The gateway calls all clouds unless ``server`` names a host.',
    'volume_transfers.accept': 'The volume and its snapshots stay in their cloud.',
    'volume_types.show': 'A cloud may have its own value of ``volume_backend_name``. ``RESKEY:availability_zones`` '
    'lists the zones with which the pods are registered.',
    'workers.cleanup': 'The gateway calls all clouds unless the body names a host or cluster.',
}


class Page(NamedTuple):
    """The content of one page."""

    service: Service
    first_version: tuple[int, int]
    sections: Sections
    notes: Mapping[str, str]


PAGES = {
    'compute': Page(nova_apigw.SERVICE, (2, 1), COMPUTE_SECTIONS, COMPUTE_NOTES),
    'volume': Page(cinder_apigw.SERVICE, (3, 0), VOLUME_SECTIONS, VOLUME_NOTES),
}


class Operations(Directive):
    """``.. trio2o-operations:: compute`` or ``volume``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        holder = nodes.section()
        content = StringList(list(lines(PAGES[self.arguments[0]])), 'operations')
        self.state.nested_parse(content, 0, holder, match_titles=True)
        return list(holder.children)


def section_of(operation: Operation, page: Page) -> str:
    """Return the section of a row.

    :raises LookupError: no section names the handler of the row
    """
    handler = operation.handler
    if page.service is nova_apigw.SERVICE and operation.max_version in (LAST, LAST_IMAGE_METADATA):
        return 'Proxy APIs'
    for name, (_text, handlers) in page.sections.items():
        for known in handlers:
            if handler is known or (isinstance(known, type) and isinstance(handler, known)):
                return name
    raise LookupError(f'{operation.name} is served by {handler}, which no section of the documentation names')


def lines(page: Page) -> Iterator[str]:
    """Yield the page as lines of reStructuredText."""
    # The row of an action path without a key only serves unknown actions.
    rows = [row for row in page.service.operations if not (row.action is None and row.path.endswith('/action'))]
    for name, (text, _handlers) in page.sections.items():
        yield from (name, '=' * len(name), '', text, '')
        yield from ('.. list-table::', '   :header-rows: 1', '   :widths: 30 40 10 20', '')
        yield from _cells('Operation', 'Request', 'Versions', 'Notes')
        for row in sorted((row for row in rows if section_of(row, page) == name), key=lambda row: row.name):
            action = f' ``{row.action}``' if row.action else ''
            request = f'``{row.method} {row.path}``{action}'
            yield from _cells(row.name, request, _versions(row, page), _note(row, page))
        yield ''


def _cells(*cells: str) -> Iterator[str]:
    for number, cell in enumerate(cells):
        yield f'   {"*" if not number else " "} - {cell}'


def _versions(operation: Operation, page: Page) -> str:
    first, last = operation.min_version or page.first_version, operation.max_version
    if last is not None:
        return '{}.{} to {}.{}'.format(*first, *last)
    return '' if first == page.first_version else 'from {}.{}'.format(*first)


def _note(operation: Operation, page: Page) -> str:
    if isinstance(operation.handler, Removed):
        return str(operation.handler.status)
    return page.notes.get(operation.name, '')


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive('trio2o-operations', Operations)
    return {'parallel_read_safe': True}
