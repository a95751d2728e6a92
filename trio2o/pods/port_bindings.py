# SPDX-License-Identifier: Apache-2.0
"""Where the ports of a Neutron are bound, which a move changes."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from trio2o.pods.shared_api import SharedApi
from trio2o.resources import Item

#: Fields of a port that say where it is bound. Only services may write the last one.
FIELDS = ('device_id', 'device_owner', 'binding:host_id', 'binding:profile')


def bind(neutron: SharedApi, port: Item, binding: Mapping[str, Any]) -> None:
    """Say in Neutron where a port is bound. Its profile is written only if it differs.

    :param binding: values of ``FIELDS``
    :raises: what ``SharedApi.send`` does
    """
    wanted = dict(binding)
    if (port.get('binding:profile') or {}) == (wanted.get('binding:profile') or {}):
        del wanted['binding:profile']
    neutron.send('PUT', f'/ports/{port["id"]}', {'port': wanted})


def give_back(neutron: SharedApi, bindings: Mapping[str, Mapping[str, Any]], owners: Container[str | None]) -> None:
    """Bind ports as they were, unless something else uses them by now.

    :param bindings: by id of the port
    :param owners: the values of ``device_id`` with which a port is bound again
    :raises: what ``SharedApi.send`` does
    """
    for port_id, before in bindings.items():
        found = neutron.get(f'/ports/{port_id}')
        if found is not None and found['port'].get('device_id') in owners:
            bind(neutron, found['port'], before)
