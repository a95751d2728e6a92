# SPDX-License-Identifier: Apache-2.0
"""Jobs: one active job a resource, run by one worker at a time, never lost.

A claim is a compare-and-swap on one row, which holds on every server and for any number of
workers. A lease that ran out makes a running job claimable again, and a worker that lost its lease
can no longer change the job. `now` is the caller's clock; without it the system's.

A payload that names a pod (`pod_id`) makes the job one of that pod; the number of jobs that run for one pod at once
is limited.
"""

from trio2o.db.jobs.history import count_by_state, get, list_, list_events, longest_due, purge
from trio2o.db.jobs.leases import LOST_WORKER, claim, claim_id, finish, heartbeat, progress, retry_later
from trio2o.db.jobs.queue import DEFAULT_MAX_ATTEMPTS, cancel, redo, submit, submit_again
from trio2o.db.jobs.rows import Again

__all__ = (
    'DEFAULT_MAX_ATTEMPTS',
    'LOST_WORKER',
    'Again',
    'cancel',
    'claim',
    'claim_id',
    'count_by_state',
    'finish',
    'get',
    'heartbeat',
    'list_',
    'list_events',
    'longest_due',
    'progress',
    'purge',
    'redo',
    'retry_later',
    'submit',
    'submit_again',
)
