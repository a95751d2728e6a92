# SPDX-License-Identifier: Apache-2.0
"""The table of jobs. A resource has at most one active job of a type, and one worker at a time runs it.

A worker claims a job with an atomic update of its row, which is safe on every database server and for any number of
workers. When the lease of a running job expires, another worker can claim the job, and the former one can no longer
change it. The argument `now` is the current time; None: that of the system's clock.

A job whose payload names a pod (`pod_id`) counts as a job of that pod. The number of jobs that run concurrently for
one pod is limited.
"""

from trio2o.db.jobs.history import (
    count_by_state,
    get,
    is_active,
    last_ends,
    list_,
    list_events,
    longest_due,
    purge,
    purge_events,
)
from trio2o.db.jobs.leases import LOST_WORKER, claim, claim_id, finish, heartbeat, progress, retry_later
from trio2o.db.jobs.queue import DEFAULT_MAX_ATTEMPTS, cancel, redo, submit, submit_again, submit_in, submit_row
from trio2o.db.jobs.rows import Again, JobRow, merge_payloads, new_row

__all__ = (
    'DEFAULT_MAX_ATTEMPTS',
    'LOST_WORKER',
    'Again',
    'JobRow',
    'cancel',
    'claim',
    'claim_id',
    'count_by_state',
    'finish',
    'get',
    'heartbeat',
    'is_active',
    'last_ends',
    'list_',
    'list_events',
    'longest_due',
    'merge_payloads',
    'new_row',
    'progress',
    'purge',
    'purge_events',
    'redo',
    'retry_later',
    'submit',
    'submit_again',
    'submit_in',
    'submit_row',
)
