# SPDX-License-Identifier: Apache-2.0
"""Create a volume snapshot, for both APIs that have them."""

from __future__ import annotations

from typing import ClassVar

from trio2o.gateway.claiming import amounts_of
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.requested import Requested, snapshot_amounts
from trio2o.resources import VOLUME, Resource


class CreateVolumeSnapshot(Create):
    """Create a volume snapshot in the pod of its volume. Subclasses have the resource and the over-quota error."""

    zone_field = ''
    is_dependent = True
    affinity_fields: ClassVar[dict[str, Resource]] = {'volume_id': VOLUME}

    def requested(self, creation: Creation) -> Requested:
        """One snapshot of the size and the type of its volume."""
        volume = amounts_of(creation.call, VOLUME, creation.inner.get('volume_id'))
        return Requested(quota=snapshot_amounts(volume))
