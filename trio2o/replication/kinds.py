# SPDX-License-Identifier: Apache-2.0
"""What an adapter is: how the objects of one kind are read from and written to one pod.

An adapter decides nothing. It is asked for what is there and told one step at a time; ``engine``
calls it with what ``reconcile`` planned.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.reconcile import Found, Object, Shape, Step

FLAVOR = 'flavor'
KEYPAIR = 'keypair'
VOLUME_TYPE = 'volume_type'
QOS_SPEC = 'qos_spec'
GROUP_TYPE = 'group_type'
DEFAULT_TYPE = 'default_type'
VOLUME_QUOTA = 'volume_quota'
VOLUME_QUOTA_CLASS = 'volume_quota_class'
QUOTA_SET = 'quota_set'
QUOTA_CLASS = 'quota_class'


class Adapter(Protocol):
    """One kind of object.

    :ivar kind: its name in the database
    :ivar service: which of a pod's APIs has it
    :ivar has_own_ids: each pod picks the ids, and equal names are what joins them
    :ivar has_owners: those of one owner can be listed, and not those of all
    """

    kind: str
    service: str
    shape: Shape
    has_own_ids: bool
    has_owners: bool

    def owners(self, identity: Identity) -> Collection[str]:
        """Whose objects to look for in a pod that joins, where they cannot be listed at once."""
        ...

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        """All that a pod has."""
        ...

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        """One object; None if the pod has it not."""
        ...

    def create(self, api: PodApi, wanted: Object) -> str:
        """Make one; steps for what cannot be given when it is made follow.

        :returns: its id in the pod
        """
        ...

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        """Take one step."""
        ...

    def remove(self, api: PodApi, found: Found) -> None:
        """Delete it."""
        ...

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        """Whether something in the pod uses it so that the pod may refuse what others allow."""
        ...


def owner_of(key: str) -> str:
    """The user in the key of something that belongs to a user."""
    return key.partition('/')[0]
