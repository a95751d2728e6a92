# SPDX-License-Identifier: Apache-2.0
"""The error of Cinder for a request that the quota does not allow: 413, in Cinder's words."""

from __future__ import annotations

from trio2o import exception
from trio2o.quota.claims import OverQuota

_CLASSES = {
    'volumes': ('VolumeLimitExceeded', " for quota '{name}'."),
    'snapshots': ('SnapshotLimitExceeded', ''),
    'backups': ('BackupLimitExceeded', ''),
    'groups': ('GroupLimitExceeded', ''),
}


def over_quota_error(kind: str, error: OverQuota) -> exception.TooLarge:
    """Return the error for the first limit that does not allow a request.

    :param kind: what the request creates or changes, as ``volumes``
    """
    for each in error.exceeded:
        name = each.bound.resource
        if 'gigabytes' in name:
            return _error(_size(kind, name, each.requested, each.bound.limit, each.used))
        if kind in name and kind in _CLASSES:
            title, rest = _CLASSES[kind]
            text = f'Maximum number of {kind} allowed ({each.bound.limit}) exceeded{rest.format(name=name)}'
            return _error(f'{title}: {text}')
    names = ', '.join(each.bound.resource for each in error.exceeded)
    return _error(f'UnexpectedOverQuota: Unexpected over quota on {names}.')


def _size(kind: str, name: str, requested: int, limit: int, used: int) -> str:
    numbers = f'Requested {requested}G, quota is {limit}G and {used}G has been consumed.'
    if kind == 'backups':
        return (
            'VolumeBackupSizeExceedsAvailableQuota: Requested backup exceeds allowed Backup gigabytes quota. '
            f'{numbers}'
        )
    return f'VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed {name} quota. {numbers}'


def _error(text: str) -> exception.TooLarge:
    return exception.TooLarge(text, {'Retry-After': '0'})
