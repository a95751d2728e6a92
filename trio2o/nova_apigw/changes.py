# SPDX-License-Identifier: Apache-2.0
"""What actions on servers do to the use of the quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trio2o.gateway.claiming import SHRINKS, Change, amounts_of
from trio2o.gateway.read_object import read_object
from trio2o.gateway.requested import flavor
from trio2o.nova_apigw.needs import amounts
from trio2o.nova_apigw.refusals import too_many
from trio2o.quota.amounts import Amounts, growth, total, type_in, typed
from trio2o.resources import SERVER, VOLUME
from trio2o.routing.locator import Route
from trio2o.web import json_body
from trio2o.web.call import Call


def resize(call: Call, route: Route, known: Amounts) -> Mapping[str, int]:
    """What the new flavor has more of; while it can be taken back, the larger of both counts."""
    found = flavor(call, json_body.at(call.json, 'resize', 'flavorRef'))
    if found is None or not known:
        return {}
    return {name: more for name, more in growth(known, amounts(found)).items() if name != 'instances'}


def restore(call: Call, route: Route, known: Amounts) -> Mapping[str, int]:
    """One that was deleted, and only waited to be, counts again."""
    if known:
        return {}
    shown = _server(call, route)
    found = flavor(call, json_body.at(shown, 'flavor', 'id'))
    return amounts(found) if found is not None else {'instances': 1}


def snapshots(call: Call, route: Route, known: Amounts) -> Mapping[str, int]:
    """An image of a server that boots from a volume is made of snapshots of all its volumes."""
    shown = _server(call, route)
    attached = (shown or {}).get('os-extended-volumes:volumes_attached')
    if shown is None or shown.get('image') or not isinstance(attached, list):
        return {}
    parts = []
    for each in attached:
        volume = amounts_of(call, VOLUME, each.get('id'))
        parts.append(typed({'snapshots': 1, 'gigabytes': volume.get('gigabytes', 0)}, type_in(volume)))
    return total(parts)


def _server(call: Call, route: Route) -> dict[str, Any] | None:
    return read_object(call, SERVER.service, f'{SERVER.path}/{route.bottom_id}', SERVER.member, [route.pod])


CHANGES: Mapping[str, Change] = {
    'confirmResize': SHRINKS,
    'createBackup': Change(too_many, snapshots),
    'createImage': Change(too_many, snapshots),
    'forceDelete': SHRINKS,
    'resize': Change(too_many, resize),
    'restore': Change(too_many, restore),
    'revertResize': SHRINKS,
}
