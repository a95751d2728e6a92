# SPDX-License-Identifier: Apache-2.0
"""Compare the resources of a pod with their routings: some were created, changed, moved or deleted in it directly.

The job compares all resources of the pod in its first run and then every ``[xjob] full_reconcile_interval``, as the
Block Storage API does not list deleted resources. Once a pod is compared, the gateway does not have to call it for
ids that have no routing. Between two comparisons the job ``read_changes`` reads what changed; after requests without
an answer, this one does.

If many resources are missing in the pod, the comparison ends no routing of that type and the job fails with a text for
operators. Until a later comparison reaches its end, the job goes on reading changes, and fails with that text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from trio2o import job_types
from trio2o.db import pods as db_pods
from trio2o.db import server_group_copies
from trio2o.db.database import utcnow
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.pods.stopped_comparisons import Stop, stop_of
from trio2o.resources import ROUTED, Resource
from trio2o.routing.inventory import Inventory, Recorded, split_deleted
from trio2o.xjob.full_comparison import FullComparison
from trio2o.xjob.jobs.base import GiveUp, Task, TryAgain, pod_of

#: Largest difference between the clocks of a pod and of this host.
OVERLAP = timedelta(minutes=5)


class ReconcileRoutings:
    """Payload: ``{'pod_id': ..., 'is_full': ..., 'end_missing': ..., 'looks': ...}``.

    ``is_full`` compares all resources. ``end_missing`` also ends the routings of many missing resources. ``looks`` is
    a list of seconds: the job runs again after the first of them, then after the next. It is given after a create
    without an answer, as the pod may still create the resource.
    """

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if pod.in_maintenance:
            return
        started = utcnow()
        stop = stop_of(pod, task.job.progress)
        since = self._since(task, pod, stop, started)
        values = {
            'since': since.isoformat() if since else 'the beginning',
            **(stop.progress if stop is not None else {}),
        }
        missing: list[str] = []
        if since:
            counts = _record_changes(task, pod, since)
        else:
            comparison = FullComparison(task, pod, started)
            missing = comparison.run(resources_of(pod), **values)
            started, counts = comparison.started, comparison.counts
        if missing:
            stop = Stop(f'The full comparison stopped: {" ".join(missing)}', started)
            values |= stop.progress
        task.progress(**counts, **values)
        if since or missing:
            db_pods.set_changes_read(task.runtime.db, [pod.id], started)
        else:
            stop = None
            db_pods.set_reconciled(task.runtime.db, pod.id, started)
            # Only now is it recorded which projects have resources in the pod.
            payload = {'pod_id': pod.id}
            request_id = task.job.request_id
            task.runtime.jobs.submit(job_types.RAISE_POD_LIMITS, pod.id, payload, request_id=request_id)
            if server_group_copies.list_without_id(task.runtime.db, [pod.id]):
                # Left by a process that died while it made a copy.
                task.runtime.jobs.submit(job_types.DELETE_SERVER_GROUP_COPIES, pod.id, payload, request_id=request_id)
        task.runtime.registry.refresh()
        looks = task.job.payload.get('looks')
        if looks:
            task.run_again({'pod_id': pod.id, 'looks': looks[1:]}, looks[0])
        if stop is not None:
            raise GiveUp(stop.reason)

    def _since(self, task: Task, pod: PodView, stop: Stop | None, now: datetime) -> datetime | None:
        """Return the time since which changes are to be read; None to compare all resources."""
        reconciled, changes_read = pod.record.reconciled_at, pod.record.followed_at
        interval = task.runtime.conf.xjob.full_reconcile_interval
        if reconciled is None or task.job.payload.get('is_full'):
            return None
        last = max(reconciled, stop.at) if stop is not None else reconciled
        if interval and last + timedelta(seconds=interval) <= now:
            return None
        return max(reconciled, changes_read or reconciled) - OVERLAP


def resources_of(pod: PodView) -> Iterator[Resource]:
    """Yield the types with routings that the services of a pod have."""
    for resource in ROUTED.values():
        if resource.service in pod.endpoints:
            yield resource


def _record_changes(task: Task, pod: PodView, since: datetime) -> Counter[str]:
    """:raises TryAgain: the pod answered 4xx"""
    counts: Counter[str] = Counter()
    for resource in resources_of(pod):
        if not resource.lists_by_offset:  # those lists do not show what changed
            inventory = Inventory(task.runtime, pod, resource, check=task.check)
            try:
                counts.update(record_since(inventory, since))
            except PodRefused as error:
                raise TryAgain(str(error)) from error
    return counts


def record_since(inventory: Inventory, since: datetime) -> dict[str, int]:
    """Record what changed in a pod since a time.

    :returns: the numbers of resources that were read, new, gone, moved and in conflict
    """
    seen = ended = 0
    recorded = Recorded()
    for page in inventory.pages_since(since):
        existing, deleted = split_deleted(page)
        seen += len(existing)
        recorded.add(inventory.record(existing))
        ended += inventory.end_deleted(deleted)
    return _counts(inventory.resource, seen, recorded, ended)


def _counts(resource: Resource, seen: int, recorded: Recorded, ended: int) -> dict[str, int]:
    name = resource.collection
    counts = {name: seen, f'new_{name}': recorded.new, f'gone_{name}': ended}
    if recorded.moved:
        counts[f'moved_{name}'] = recorded.moved
    if recorded.conflicts:
        counts[f'conflicts_{name}'] = len(recorded.conflicts)
    return counts
