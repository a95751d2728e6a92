# SPDX-License-Identifier: Apache-2.0
"""QoS specs, and which volume types go with them.

Every pod picks the ids itself. Types are known here by the ids that tenants see.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.pods.endpoints import VOLUME
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.kinds import QOS_SPEC
from trio2o.replication.reconcile import (
    AddMembers,
    DropItems,
    Found,
    Object,
    RemoveMembers,
    SetFields,
    SetItems,
    Shape,
    Step,
)

VERSION = '3.0'
_PAGE = 1000


class QosSpecs:
    kind = QOS_SPEC
    service = VOLUME
    has_own_ids = True
    has_owners = False
    shape = Shape(fields=('consumer',), maps=('specs',), sets=('types',), meaning=('consumer', 'specs'))

    def owners(self, identity: Identity) -> Collection[str]:
        return ()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        found: list[Found] = []
        query = {'limit': str(_PAGE)}
        while True:
            document = api.get(f'/qos-specs?{urlencode(query)}', VERSION) or {}
            page = document.get('qos_specs', [])
            found += [self._found(api, item) for item in page]
            if len(page) < _PAGE:
                return found
            query['marker'] = page[-1]['id']

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        document = api.get(_path(bottom_id), VERSION)
        return None if document is None else self._found(api, document['qos_specs'])

    def _found(self, api: PodApi, item: Mapping[str, Any]) -> Found:
        spec_id = item['id']
        associations = api.get(f'{_path(spec_id)}/associations', VERSION) or {}
        rows = associations.get('qos_associations', [])
        wanted = {
            'name': item['name'],
            'consumer': item['consumer'],
            'specs': {name: str(value) for name, value in (item.get('specs') or {}).items()},
            'types': sorted(api.id_up(row['id']) for row in rows),
        }
        return Found(spec_id, spec_id, item['name'], wanted)

    def create(self, api: PodApi, wanted: Object) -> str:
        body = {'name': wanted['name'], 'consumer': wanted['consumer'], **wanted['specs']}
        answer = api.send('POST', '/qos-specs', VERSION, {'qos_specs': body})
        return str(answer.json['qos_specs']['id'])

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        path = _path(found.bottom_id)
        match step:
            case SetFields(values):
                api.send('PUT', path, VERSION, {'qos_specs': dict(values)})
            case SetItems(_, items):
                api.send('PUT', path, VERSION, {'qos_specs': dict(items)})
            case DropItems(_, keys):
                api.send('PUT', f'{path}/delete_keys', VERSION, {'keys': list(keys)})
            case AddMembers(_, types):
                for type_id in types:
                    self._associate(api, f'{path}/associate', type_id)
            case RemoveMembers(_, types):
                for type_id in types:
                    self._associate(api, f'{path}/disassociate', type_id)

    def _associate(self, api: PodApi, path: str, type_id: str) -> None:
        query = urlencode({'vol_type_id': api.id_down(type_id)})
        api.send('GET', f'{path}?{query}', VERSION, is_repeated=False)

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', f'{_path(found.bottom_id)}?force=True', VERSION)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        # Types are the same everywhere, so all pods think alike.
        return False


def _path(spec_id: str) -> str:
    return f'/qos-specs/{quote(spec_id, safe="")}'
