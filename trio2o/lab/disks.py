# SPDX-License-Identifier: Apache-2.0
"""The bytes of disks, volumes, snapshots, backups and images in emulated and in real pods.

Some hundred bytes stand for the gigabytes of a disk. In emulated pods they are ``bytes`` under a key of a record, so a
copy of a disk costs nothing until somebody writes to it; in real pods they are files in a folder. A blank disk has no
such key before the first look at it, so that the creation of a server or a volume costs nothing either.
"""

import hashlib
import os
import pathlib
import secrets
from collections.abc import Iterator, MutableMapping
from typing import Any

#: Bytes of a new disk.
SIZE = 512
_PARTIAL = '.new'


def blank() -> bytes:
    """Return the bytes of a new disk. They are text, because Glance refuses what looks like a format of disks."""
    return secrets.token_hex(SIZE // 2).encode()


def checksum(data: bytes) -> str:
    """Return the SHA-512 of bytes in hexadecimal."""
    return hashlib.sha512(data).hexdigest()


def flipped(data: bytes) -> bytes:
    """Return bytes of which one is different, as after an error in transit. Of no bytes, none is."""
    return bytes([data[0] ^ 1]) + data[1:] if data else data


class Disk:
    """The bytes of one disk: those under a key of a record or a folder. Blank disks differ from one another."""

    def __init__(self, record: MutableMapping[str, Any], key: str = 'disk') -> None:
        self._record = record
        self._key = key

    def read(self) -> bytes:
        """Return all bytes."""
        held = self._record.get(self._key)
        return held if held is not None else self._record.setdefault(self._key, blank())

    def write(self, data: bytes) -> None:
        """Add bytes at the end, as a guest that writes a file."""
        self._record[self._key] = self.read() + data

    def replace(self, data: bytes) -> None:
        """Replace all bytes."""
        self._record[self._key] = data

    def checksum(self) -> str:
        """Return the SHA-512 of all bytes, like Glance's ``os_hash_value``."""
        return checksum(self.read())


class Folder(MutableMapping[str, bytes]):
    """Files, by name. The folder is created with the first one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = pathlib.Path(path)

    def path(self, name: str) -> str:
        """Return where a file is or would be."""
        return str(self._path / name)

    def __getitem__(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, data: bytes) -> None:
        """Replace a file atomically, so that a killed process leaves a complete one."""
        self._path.mkdir(parents=True, exist_ok=True)
        partial = self._path / f'{name}{_PARTIAL}'
        partial.write_bytes(data)
        partial.replace(self._path / name)

    def __delitem__(self, name: str) -> None:
        try:
            (self._path / name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        names = os.listdir(self._path) if self._path.is_dir() else []
        return iter([name for name in names if not name.endswith(_PARTIAL)])

    def __len__(self) -> int:
        return len(list(iter(self)))
