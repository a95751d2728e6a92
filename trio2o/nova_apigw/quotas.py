# SPDX-License-Identifier: Apache-2.0
"""Quota sets and classes: the same in every pod, with what is used added up over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.gateway.infra import ask_pods, pods_of
from trio2o.gateway.replicate import PathKey, ReplicatedRead, ReplicatedWrite
from trio2o.gateway.sum import Sum
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

QUOTA_SET = 'quota_set'
QUOTA_CLASS = 'quota_class'


def set_key(call: Call, answer: Answer | None) -> str | None:
    """``project`` or ``project/user``: an admin may limit one user of a project."""
    user = next((value for name, value in call.query if name == 'user_id' and value), None)
    return call.id if user is None else f'{call.id}/{user}'


def add_used(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Details of many pods: what is used adds up; what is allowed is what the most generous allows."""
    total: dict[str, Any] = {}
    for document in documents:
        for name, value in document['quota_set'].items():
            known = total.get(name)
            if known is None or not isinstance(value, dict):
                total.setdefault(name, value)
                continue
            limits = (known['limit'], value['limit'])
            total[name] = {
                'limit': -1 if -1 in limits else max(limits),
                'in_use': known['in_use'] + value['in_use'],
                'reserved': known['reserved'] + value['reserved'],
            }
    return {'quota_set': total}


@dataclass(frozen=True)
class UpdateSet:
    """Change a quota set in every pod, unless all pods together use more already."""

    write: ReplicatedWrite

    def __call__(self, call: Call) -> Answer:
        wanted = call.json.get('quota_set') if isinstance(call.json, dict) else None
        if isinstance(wanted, dict) and str(wanted.get('force', '')).lower() not in ('true', '1'):
            self._check(call, wanted)
        return self.write(call)

    def _check(self, call: Call, wanted: dict[str, Any]) -> None:
        """:raises BadRequest: in Nova's words"""
        pods = pods_of(call)
        if len(pods) < 2:
            return
        asked = ask_pods(call, pods, path=f'/os-quota-sets/{call.id}/detail')
        if not asked.documents:
            return
        used = add_used(list(asked.documents.values()))['quota_set']
        for name, value in wanted.items():
            known = used.get(name)
            limit = _number(value)
            if isinstance(known, dict) and limit is not None and 0 <= limit < known['in_use'] + known['reserved']:
                raise exception.BadRequest(
                    f'Quota limit {limit} for {name} must be greater than or equal to already used and reserved '
                    f'{known["in_use"] + known["reserved"]}.'
                )


def _number(value: Any) -> int | None:
    """A limit as Nova takes it, a whole number or its text."""
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


_SET = '/os-quota-sets/{id}'
_CLASS = '/os-quota-class-sets/{id}'
_READ = ReplicatedRead(QUOTA_SET)
_WRITE = ReplicatedWrite(QUOTA_SET, set_key)

OPERATIONS = [
    Operation('quota_sets.show', 'GET', _SET, _READ),
    Operation('quota_sets.update', 'PUT', _SET, UpdateSet(_WRITE)),
    Operation('quota_sets.delete', 'DELETE', _SET, _WRITE),
    Operation('quota_sets.detail', 'GET', _SET + '/detail', Sum(add_used)),
    Operation('quota_sets.defaults', 'GET', _SET + '/defaults', _READ),
    Operation('quota_class_sets.show', 'GET', _CLASS, ReplicatedRead(QUOTA_CLASS)),
    Operation('quota_class_sets.update', 'PUT', _CLASS, ReplicatedWrite(QUOTA_CLASS, PathKey())),
]
