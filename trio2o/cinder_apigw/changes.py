# SPDX-License-Identifier: Apache-2.0
"""What actions on volumes, and on what is made of them, do to the use of the quota."""

from __future__ import annotations

from collections.abc import Mapping

from trio2o.cinder_apigw.quota_errors import over
from trio2o.gateway.claiming import SHRINKS, Change
from trio2o.gateway.requested import default_type, volume_type, whole
from trio2o.quota.amounts import TYPED, Amounts, growth, type_in, typed
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Call


def extend(call: Call, route: Route, known: Amounts) -> Mapping[str, int]:
    size = whole(json_body.at(call.json, 'os-extend', 'new_size'))
    return growth(known, typed({'gigabytes': size}, type_in(known))) if known else {}


def retype(call: Call, route: Route, known: Amounts) -> Mapping[str, int]:
    """The same of another type; snapshots that it has go along, and are seen when it is done."""
    found = volume_type(call, json_body.at(call.json, 'os-retype', 'new_type'))
    if found is None:
        return {}
    plain = {name: known[name] for name in TYPED if name in known}
    return growth(known, typed(plain, found.name))


def restore(call: Call, route: Route, known: Amounts) -> Mapping[str, int]:
    """Without a volume to restore to, one is made."""
    if json_body.at(call.json, 'restore', 'volume_id'):
        return {}
    found = default_type(call)
    size = known.get('backup_gigabytes', 0)
    return typed({'volumes': 1, 'gigabytes': size}, found.name if found is not None else None)


VOLUMES: Mapping[str, Change] = {
    'os-extend': Change(over('volumes'), extend),
    'os-force_delete': SHRINKS,
    'os-retype': Change(over('volumes'), retype),
    'os-unmanage': SHRINKS,
}
RESTORE = Change(over('volumes'), restore)
