# SPDX-License-Identifier: Apache-2.0
"""All kinds of objects that are the same everywhere, and what keeps a pod's odd answers from their code."""

from __future__ import annotations

from typing import Any

from trio2o import exception
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.default_types import DefaultTypes
from trio2o.replication.adapters.flavors import Flavors
from trio2o.replication.adapters.group_types import GroupTypes
from trio2o.replication.adapters.keypairs import Keypairs
from trio2o.replication.adapters.qos_specs import QosSpecs
from trio2o.replication.adapters.quotas import Quotas
from trio2o.replication.adapters.volume_types import VolumeTypes
from trio2o.replication.kinds import QUOTA_CLASS, QUOTA_SET, VOLUME_QUOTA, VOLUME_QUOTA_CLASS, Adapter

#: What refers to others comes after them.
ADAPTERS: tuple[Adapter, ...] = (
    Flavors(),
    Keypairs(),
    VolumeTypes(),
    QosSpecs(),
    GroupTypes(),
    DefaultTypes(),
    # The newest version that shows every limit Nova still keeps.
    Quotas(QUOTA_SET, COMPUTE, '/os-quota-sets', 'quota_set', '2.56', is_forced=True),
    Quotas(QUOTA_CLASS, COMPUTE, '/os-quota-class-sets', 'quota_class_set', '2.56'),
    Quotas(VOLUME_QUOTA, VOLUME, '/os-quota-sets', 'quota_set', '3.0'),
    Quotas(VOLUME_QUOTA_CLASS, VOLUME, '/os-quota-class-sets', 'quota_class_set', '3.0'),
)


class Guarded:
    """An adapter whose pods may answer anything: what it cannot understand is no answer."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._adapter, name)
        if not callable(value) or name == 'owners':
            return value

        def guarded(api: PodApi, *args: Any) -> Any:
            try:
                return value(api, *args)
            except (LookupError, TypeError, AttributeError, ValueError) as error:
                raise exception.PodNoAnswer(api.pod.name, f'answered what is not understood: {error!r}') from error

        return guarded
