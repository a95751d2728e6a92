# SPDX-License-Identifier: Apache-2.0
"""Counters of quota usage, open claims, and the limits that were set.

A counter belongs to a project, or to one user in it. At any time, the amount in use is the sum of the deltas of the
live routings, and the amount claimed is the sum of the open claims. Both change in the transaction that changes the
routing or the claim, so a crash leaves at most an open claim.

A transaction that changes counters locks their rows before, in the order of the unique key. If it also changes
routings or claims, it does that first. This order prevents deadlocks, and allows a transaction that has locked the
counters of a project to compute them exactly from the routings and claims.
"""

from trio2o.db.quotas.claims import (
    CLAIM_STATES,
    Bound,
    BoundsExceeded,
    Exceeded,
    Settlement,
    count_claims_by_state,
    get_claim,
    insert_claim,
    keep,
    list_claims,
    list_claims_on,
    page_of_claims,
    postpone,
    queue,
    release,
    watch,
)
from trio2o.db.quotas.counters import OF_OBJECT, OF_USERS, add, projects, usage
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
    'CLAIM_STATES',
    'OF_OBJECT',
    'OF_USERS',
    'Bound',
    'BoundsExceeded',
    'Exceeded',
    'Limits',
    'Settlement',
    'add',
    'count_claims_by_state',
    'delete_limits',
    'get_claim',
    'get_limits',
    'get_limits_of_users',
    'insert_claim',
    'keep',
    'list_claims',
    'list_claims_on',
    'page_of_claims',
    'postpone',
    'projects',
    'queue',
    'recount_project',
    'release',
    'rename_limits',
    'set_class_limits',
    'set_limits',
    'usage',
    'watch',
)
