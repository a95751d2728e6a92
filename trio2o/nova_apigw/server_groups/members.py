# SPDX-License-Identifier: Apache-2.0
"""Enforce the limit ``server_group_members`` over all pods.

A create of servers first claims its new members and then counts the existing ones. Of several creates that race,
each counts the members of the ones before it, as claimed or as existing, so together they never exceed the limit. A
server that is created between the claim and the count may be counted twice. So a create that is refused while others
are claiming tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db.quotas import OF_OBJECT
from trio2o.nova_apigw.server_groups.copies import ServerGroupCopies
from trio2o.quota.amounts import UNLIMITED
from trio2o.quota.claims import Claim, ClaimRequest
from trio2o.web.call import Call

LIMIT = 'server_group_members'
#: How long to wait for other requests that are claiming members.
_WAIT_SECONDS = 10.0
_POLL_SECONDS = 0.05


@contextmanager
def claimed(call: Call, group: ServerGroupCopies, count: int) -> Iterator[None]:
    """Hold a claim on members of a group while servers of the group are created.

    :param count: number of new servers
    :raises Forbidden: the group would have too many members
    """
    limits = call.runtime.quota.driver.limits(call.context.project_id or '', call.context.user_id or '')
    limit = limits.get(LIMIT, UNLIMITED)
    if limit < 0:
        yield
        return
    claim = _claim(call, group, count, limit)
    is_outcome_known = True
    try:
        yield
    except exception.PodNoAnswer:
        # The servers may exist a moment later: the claim stays until it expires.
        is_outcome_known = False
        raise
    finally:
        if is_outcome_known:
            call.runtime.quota.release(claim)


def _claim(call: Call, group: ServerGroupCopies, count: int, limit: int) -> Claim:
    quota = call.runtime.quota
    amounts = {f'{LIMIT}{OF_OBJECT}{group.id}': count}
    request = ClaimRequest(group.original.project_id, '', amounts, request_id=call.context.request_id or '')
    deadline = Deadline(_WAIT_SECONDS)
    while count <= limit:
        claim, total_claimed = quota.queue(request)
        is_within_limit = False
        try:
            is_within_limit = group.count_members() + total_claimed <= limit
        finally:
            if not is_within_limit:
                quota.release(claim)
        if is_within_limit:
            return claim
        if total_claimed <= count or deadline.is_over():
            break
        time.sleep(_POLL_SECONDS)
    raise exception.Forbidden('Quota exceeded, too many servers in group')
