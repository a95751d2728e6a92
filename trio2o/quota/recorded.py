# SPDX-License-Identifier: Apache-2.0
"""Flavors and volume types as they are wanted everywhere, read with one query each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trio2o.db import replicas
from trio2o.db.session import Database


@dataclass(frozen=True)
class Flavor:
    """:ivar ram: in MiB; ``root`` and ``disk``, the latter of ephemeral disks and swap, in GiB"""

    vcpus: int
    ram: int
    root: int = 0
    disk: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Flavor:
        """Out of what is recorded of a flavor, or of a server's own copy of it."""
        swap = int(wanted.get('swap') or 0)
        return cls(
            int(wanted['vcpus']),
            int(wanted['ram']),
            int(wanted.get('disk') or 0),
            int(wanted.get('ephemeral') or 0) + -(-swap // 1024),
            wanted.get('extra_specs') or {},
        )


@dataclass(frozen=True)
class VolumeType:
    name: str
    extra_specs: Mapping[str, str] = field(default_factory=dict)


def recorded_flavor(db: Database, flavor_id: str) -> Flavor | None:
    found = replicas.find_wanted(db, 'flavor', flavor_id)
    return None if found is None else Flavor.of(found)


def recorded_type(db: Database, name: str) -> VolumeType | None:
    """A volume type by its id or its name."""
    found = replicas.find_wanted(db, 'volume_type', name, by_name=True)
    return None if found is None else VolumeType(found['name'], found.get('extra_specs') or {})
