# SPDX-License-Identifier: Apache-2.0
"""The adapters of all kinds of replicated objects."""

from __future__ import annotations

from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.adapters.default_types import DefaultTypes
from trio2o.replication.adapters.flavors import Flavors
from trio2o.replication.adapters.group_types import GroupTypes
from trio2o.replication.adapters.keypairs import Keypairs
from trio2o.replication.adapters.qos_specs import QosSpecs
from trio2o.replication.adapters.quotas import Quotas
from trio2o.replication.adapters.volume_types import VolumeTypes
from trio2o.replication.kinds import QUOTA_CLASS, QUOTA_SET, VOLUME_QUOTA, VOLUME_QUOTA_CLASS

#: Ordered: a kind comes after the kinds that its objects refer to.
ADAPTERS: tuple[Adapter, ...] = (
    Flavors(),
    Keypairs(),
    VolumeTypes(),
    QosSpecs(),
    GroupTypes(),
    DefaultTypes(),
    # 2.56 is the newest version that shows every limit Nova still keeps.
    Quotas(QUOTA_SET, COMPUTE, '/os-quota-sets', 'quota_set', '2.56', is_forced=True),
    Quotas(QUOTA_CLASS, COMPUTE, '/os-quota-class-sets', 'quota_class_set', '2.56'),
    Quotas(VOLUME_QUOTA, VOLUME, '/os-quota-sets', 'quota_set', '3.0'),
    Quotas(VOLUME_QUOTA_CLASS, VOLUME, '/os-quota-class-sets', 'quota_class_set', '3.0'),
)
