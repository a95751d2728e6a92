# SPDX-License-Identifier: Apache-2.0
"""The bytes of disks, volumes, snapshots, backups and images.

Some hundred bytes stand for the gigabytes of a disk. They are ``bytes`` under a key of a record, so a copy of a disk
costs nothing until somebody writes to it. A blank disk has no such key before the first look at it, so that the
creation of a server or a volume costs nothing either.
"""

import dataclasses
import hashlib
import os
from collections.abc import MutableMapping
from typing import Any

#: Bytes of a new disk.
SIZE = 512


class Disk:
    """The bytes of one disk: those under a key of a record. Blank disks differ from one another."""

    def __init__(self, record: MutableMapping[str, Any], key: str = 'disk') -> None:
        self._record = record
        self._key = key

    def read(self) -> bytes:
        """Return all bytes."""
        held = self._record.get(self._key)
        return held if held is not None else self._record.setdefault(self._key, os.urandom(SIZE))

    def write(self, data: bytes) -> None:
        """Add bytes at the end, as a guest that writes a file."""
        self._record[self._key] = self.read() + data

    def replace(self, data: bytes) -> None:
        """Replace all bytes."""
        self._record[self._key] = data

    def erase(self) -> None:
        """Forget the bytes: the disk is a new blank one."""
        self._record.pop(self._key, None)

    def checksum(self) -> str:
        """Return the SHA-512 of all bytes, like Glance's ``os_hash_value``."""
        return checksum(self.read())


def checksum(data: bytes) -> str:
    """Return the SHA-512 of bytes in hexadecimal."""
    return hashlib.sha512(data).hexdigest()


@dataclasses.dataclass
class Storage:
    """The storage behind Cinder, which pods may share. Both are maps of names to bytes."""

    #: Backups, by their id: the objects of a store like Swift.
    backups: dict[str, bytes] = dataclasses.field(default_factory=dict)
    #: Volumes and snapshots that no Cinder manages, by their name in the pool.
    unmanaged: dict[str, bytes] = dataclasses.field(default_factory=dict)
