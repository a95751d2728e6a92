# SPDX-License-Identifier: Apache-2.0
"""Record what was created, changed or deleted in reconciled pods directly, without a comparison of all resources.

One run reads the changes in all pods of a part, concurrently. It writes only what it has to record, and for all pods
at once until when it has read. A pod that is slow, or has many changes, gets its own job ``reconcile_routings``, which
has an hour for them. So it does not delay the other pods of its part.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from trio2o import exception, job_types
from trio2o.concurrency import Deadline
from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db.database import utcnow
from trio2o.pods.fanout import ask_each
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.routing.inventory import Inventory
from trio2o.xjob.jobs.base import Task
from trio2o.xjob.jobs.reconcile_routings import OVERLAP, record_since, resources_of
from trio2o.xjob.parts import pods_of

LOG = logging.getLogger(__name__)

#: Seconds for all pods of the part. They are less than the job may take, as the last request may begin at their end.
_SECONDS = 120.0

#: Seconds for one request.
_TIMEOUT = 10.0

#: Names of pods in the progress of the job; all of them are logged.
_MAX_NAMES = 100

#: Errors of which the text says enough.
_KNOWN_ERRORS = (exception.PodError, exception.ServiceUnavailable, PodRefused)


class ReadChanges:
    """Payload: that of a part of the pods, see ``parts``."""

    max_seconds = 300.0

    def run(self, task: Task) -> None:
        runtime = task.runtime
        started = utcnow()
        known = runtime.registry.refresh().pods
        pods = [pod for pod in pods_of(task.job.payload, known) if not pod.in_maintenance and pod.record.reconciled_at]
        since = db_pods.changes_read(runtime.db, [pod.id for pod in pods])
        pods = [pod for pod in pods if pod.id in since]
        deadline = Deadline(_SECONDS)
        results = ask_each(
            runtime.pod_threads, pods, lambda pod: _read(task, pod, since[pod.id] - OVERLAP, deadline), deadline
        )
        # An error of a pod may be that this run must end. It then must for all pods.
        task.check()
        errors = {pod: result for pod, result in results.items() if isinstance(result, Exception)}
        read = [pod.id for pod in results if pod not in errors]
        if read:
            db_pods.set_changes_read(runtime.db, read, started)
        counts: Counter[str] = Counter()
        for result in results.values():
            if isinstance(result, Counter):
                counts.update(result)
        for pod, error in errors.items():
            _log(pod, error)
        behind = [pod for pod, error in errors.items() if isinstance(error, exception.PodError) and not error.is_down]
        for pod in behind:
            _read_alone(task, pod)
        names = {'failed': _names(pod for pod in errors if pod not in behind), 'behind': _names(behind)}
        task.progress(pods=len(read), **counts, **{name: value for name, value in names.items() if value})


def _names(pods: Iterable[PodView]) -> list[str]:
    return [pod.name for pod in pods][:_MAX_NAMES]


def _read(task: Task, pod: PodView, since: datetime, deadline: Deadline) -> Counter[str]:
    """Record the changes in a pod since a time.

    :returns: the numbers of changes, without those that are 0
    :raises PodError: the pod did not answer; or the time is over, and nobody waits for this thread any more
    :raises PodRefused: the pod answered 4xx
    """

    def check() -> None:
        task.check()
        if deadline.is_over():
            raise exception.PodNoAnswer(pod.name, 'reading its changes takes too long', is_down=False)

    timeout = min(_TIMEOUT, task.runtime.conf.pods.read_timeout)
    counts: Counter[str] = Counter()
    for resource in resources_of(pod):
        if not resource.lists_by_offset:  # those lists do not show what changed
            inventory = Inventory(task.runtime, pod, resource, check=check, timeout=timeout)
            counts.update({name: count for name, count in record_since(inventory, since).items() if count})
    return counts


def _log(pod: PodView, error: Exception) -> None:
    if isinstance(error, _KNOWN_ERRORS):
        LOG.warning('Failed to read the changes in pod %s: %s', pod.name, error)
    else:
        LOG.error('Failed to read or record the changes in pod %s', pod.name, exc_info=error)


def _read_alone(task: Task, pod: PodView) -> None:
    """Submit the job that reads the changes in this pod alone, unless it waits or runs."""
    max_attempts = task.runtime.conf.xjob.max_attempts
    payload = {'pod_id': pod.id}
    db_jobs.submit_again(task.runtime.db, job_types.RECONCILE_ROUTINGS, pod.id, payload, 0, max_attempts)
