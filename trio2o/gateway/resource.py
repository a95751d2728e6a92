# SPDX-License-Identifier: Apache-2.0
"""What the handlers have to know of a kind of resource; the services fill it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Item = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A kind of resource with ids of its own.

    :ivar type: its name in routings: ``server``
    :ivar service: ``compute`` or ``volume``: which of a pod's APIs has it
    :ivar path: of the collection, below the version: ``/servers``
    :ivar member: key of one in a body; ``collection``: key of many
    :ivar zones: fields of a member that hold an availability zone
    :ivar owners: fields of a member that may hold its project, best first
    :ivar created: field of a member with its time of creation
    :ivar missing: text of the 404, with ``{id}``
    :ivar goes_at_once: whether it is gone when its deletion is answered, and not some time later
    :ivar is_sliced: whether its lists know only offsets, and neither details, markers nor what changed
    :ivar listed_at: first microversion whose lists show owner and time of creation, if not the oldest
    :ivar found_with: types of what it comes from: where a project has one of these, it may have one of this kind
    """

    type: str
    service: str
    path: str
    member: str
    collection: str
    zones: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    created: str = 'created_at'
    missing: str = 'The resource could not be found.'
    goes_at_once: bool = False
    found_with: tuple[str, ...] = ()
    listed_at: str = ''
    is_sliced: bool = False

    @property
    def title(self) -> str:
        return self.type.replace('_', ' ').capitalize()

    def owner_of(self, item: Mapping[str, Any], default: str) -> str:
        return next((str(item[name]) for name in self.owners if item.get(name)), default)

    def created_at(self, item: Mapping[str, Any]) -> datetime | None:
        """Its time of creation as the pod shows it, UTC without a zone; None if it does not show it."""
        return parse_time(item.get(self.created))


@dataclass(frozen=True)
class SortKey:
    """How a sort key of a list shows in the items."""

    name: str
    read: Callable[[Mapping[str, Any]], Any] | None = None

    def of(self, item: Mapping[str, Any]) -> Any:
        return item.get(self.name) if self.read is None else self.read(item)


def parse_time(text: Any) -> datetime | None:
    """A time as Nova (``2026-01-31T12:00:00Z``) or Cinder (``2026-01-31T12:00:00.000000``) writes it."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
