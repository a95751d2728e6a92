# SPDX-License-Identifier: Apache-2.0
"""The storage behind Cinder."""

import dataclasses


@dataclasses.dataclass
class Storage:
    """Bytes that outlive Cinder's records, by name. Pods may share them."""

    #: Backups, by their id: the objects of a store like Swift.
    backups: dict[str, bytes] = dataclasses.field(default_factory=dict)
    #: Volumes and snapshots that no Cinder manages, by their name in the pool.
    unmanaged: dict[str, bytes] = dataclasses.field(default_factory=dict)
