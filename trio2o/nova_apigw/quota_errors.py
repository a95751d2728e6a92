# SPDX-License-Identifier: Apache-2.0
"""The error of Nova for a request that the quota does not allow: 403, in Nova's words."""

from __future__ import annotations

from trio2o import exception
from trio2o.quota.claims import OverQuota


def over_quota_error(error: OverQuota) -> exception.Forbidden:
    """Return the error for servers, whatever is done to them."""
    request = error.request
    count = f'{request.min_count}-{request.count}' if request.min_count != request.count else str(request.count)
    names = [each.bound.resource for each in error.exceeded]
    requested = [count if each.bound.resource == 'instances' else str(each.requested) for each in error.exceeded]
    used = [str(each.used) for each in error.exceeded]
    allowed = [str(each.bound.limit) for each in error.exceeded]
    overs = ', '.join(names)
    return exception.Forbidden(
        f'Quota exceeded for {overs}: Requested {", ".join(requested)}, but already used {", ".join(used)} of '
        f'{", ".join(allowed)} {overs}'
    )
