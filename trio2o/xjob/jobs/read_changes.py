# SPDX-License-Identifier: Apache-2.0
"""Record what was created, changed or deleted in reconciled pods directly, without a comparison of all resources.

One run reads the changes in all pods of a part, concurrently. It writes only what it has to record, and for all pods
at once until when it has read.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db import pods as db_pods
from trio2o.db.database import utcnow
from trio2o.pods.fanout import ask_all
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.routing.inventory import Inventory
from trio2o.xjob.jobs.base import Task
from trio2o.xjob.jobs.reconcile_routings import OVERLAP, record_since, resources_of
from trio2o.xjob.parts import pods_of

LOG = logging.getLogger(__name__)

#: Seconds for one request.
_TIMEOUT = 10.0

#: Names of pods in the progress of the job; all of them are logged.
_MAX_NAMES = 100


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
        results = ask_all(
            runtime.pod_threads,
            pods,
            lambda pod: _read(task, pod, since[pod.id] - OVERLAP),
            Deadline(self.max_seconds - 60),
        )
        read = {pod: result for pod, result in results.items() if isinstance(result, Counter)}
        if read:
            db_pods.set_changes_read(runtime.db, [pod.id for pod in read], started)
        counts: Counter[str] = Counter()
        for found in read.values():
            counts.update(found)
        failed = [pod.name for pod in pods if pod not in read]
        task.progress(pods=len(read), **counts, **({'failed': failed[:_MAX_NAMES]} if failed else {}))


def _read(task: Task, pod: PodView, since: datetime) -> Counter[str] | None:
    """Record the changes in a pod since a time.

    :returns: the numbers of changes, without those that are 0; None if the pod cannot be read
    """
    counts: Counter[str] = Counter()
    try:
        for resource in resources_of(pod):
            if not resource.lists_by_offset:  # those lists do not show what changed
                inventory = Inventory(task.runtime, pod, resource, check=task.check, timeout=_TIMEOUT)
                counts.update({name: count for name, count in record_since(inventory, since).items() if count})
    except (exception.PodError, exception.ServiceUnavailable, PodRefused) as error:
        LOG.warning('Failed to read the changes in pod %s: %s', pod.name, error)
        return None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        LOG.warning('Failed to parse the changes in pod %s: %r', pod.name, error)
        return None
    return counts
