# SPDX-License-Identifier: Apache-2.0
"""Counters of quota usage, the claims on them, and the limits that were set.

A counter belongs to a project, or to one user in it. At any moment, the amount in use is the sum of the deltas of
the live routings, and the amount claimed is the sum of the open claims. Both change in the transaction that changes
the routing or the claim, so a crash leaves nothing but an open claim behind.

Every transaction that changes counters locks their rows first, in the order of the unique key, and one that also
changes routings or claims does that before. So there are no deadlocks, and a transaction that holds the rows of a
project may add up its routings and claims and be exact.
"""

from trio2o.db.quotas.claims import (
    Bound,
    BoundsExceeded,
    Exceeded,
    Settlement,
    count_claims_by_state,
    give_back,
    insert_claim,
    keep,
    list_claims,
    list_claims_on,
    queue,
    take_up,
    watch,
)
from trio2o.db.quotas.counters import OF_USERS, add, projects, usage
from trio2o.db.quotas.limits import (
    Limits,
    delete_limits,
    get_limits,
    get_limits_of_users,
    rename_limits,
    set_class_limits,
    set_limits,
)
from trio2o.db.quotas.recount import recount_project

__all__ = (
    'OF_USERS',
    'Bound',
    'Exceeded',
    'Limits',
    'BoundsExceeded',
    'Settlement',
    'add',
    'insert_claim',
    'count_claims_by_state',
    'delete_limits',
    'get_limits',
    'get_limits_of_users',
    'give_back',
    'keep',
    'list_claims',
    'list_claims_on',
    'projects',
    'queue',
    'recount_project',
    'rename_limits',
    'set_class_limits',
    'set_limits',
    'take_up',
    'usage',
    'watch',
)
