# SPDX-License-Identifier: Apache-2.0
"""The error of Nova for a request that the quota does not allow: 403, in Nova's words."""

from __future__ import annotations

from trio2o import exception
from trio2o.quota.claims import OverQuota


def over_quota_error(refused: OverQuota) -> exception.Forbidden:
    """Return the error for servers, whatever is done to them."""
    asked = refused.request
    count = f'{asked.min_count}-{asked.count}' if asked.min_count != asked.count else str(asked.count)
    names = [each.bound.resource for each in refused.exceeded]
    requested = [count if each.bound.resource == 'instances' else str(each.requested) for each in refused.exceeded]
    used = [str(each.used) for each in refused.exceeded]
    allowed = [str(each.bound.limit) for each in refused.exceeded]
    overs = ', '.join(names)
    return exception.Forbidden(
        f'Quota exceeded for {overs}: Requested {", ".join(requested)}, but already used {", ".join(used)} of '
        f'{", ".join(allowed)} {overs}'
    )
