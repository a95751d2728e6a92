# SPDX-License-Identifier: Apache-2.0
"""Follow what happens in a pod without passing the gateway: record what is new there, end what is gone.

Mostly only what changed since the last look is read. All of it is compared when the pod has never been, and now and
then: the Block Storage API does not tell what was deleted. A pod that has been compared once need not be asked for
what has no routing in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from trio2o.db import pods as db_pods
from trio2o.db.session import utcnow
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.resources import ROUTED, Resource
from trio2o.xjob.jobs.base import Task, TryAgain, pod_of
from trio2o.xjob.routes import Routes, Taken, split_deleted

#: The clocks of a pod and of ours may differ by as much.
OVERLAP = timedelta(minutes=5)


class ReconcileRoutings:
    """``{'pod_id': ..., 'is_full': whether to compare all, 'looks': seconds after which to look again, each once}``

    Looks follow where a request was not answered: what it makes may not be there yet.
    """

    max_seconds = 3600.0

    def run(self, task: Task) -> None:
        pod = pod_of(task)
        if not pod.is_asked:
            return
        started = utcnow()
        since = self._since(task, pod, started)
        counts: dict[str, int | str] = {'since': since.isoformat() if since else 'the beginning'}
        for resource in present(pod):
            if since and resource.is_sliced:
                continue  # lists of these do not tell what changed
            routes = Routes(task, pod, resource)
            try:
                counts |= _follow(routes, since) if since else _compare(routes, started)
            except PodRefused as error:
                # A marker that was deleted between two pages, for one: the next run starts anew.
                raise TryAgain(str(error)) from error
            task.progress(**counts)
        if since:
            db_pods.set_followed(task.runtime.db, pod.id, started)
        else:
            db_pods.set_reconciled(task.runtime.db, pod.id, started)
            # By now it is known who has something there.
            task.runtime.jobs.submit('lift_limits', pod.id, {'pod_id': pod.id}, request_id=task.job.request_id)
        task.runtime.registry.refresh()
        looks = task.job.payload.get('looks')
        if looks:
            task.again({'pod_id': pod.id, 'looks': looks[1:]}, looks[0])

    def _since(self, task: Task, pod: PodView, now: datetime) -> datetime | None:
        """The time since which changes are to be read; None: everything is."""
        reconciled, followed = pod.record.reconciled_at, pod.record.followed_at
        every = task.runtime.conf.xjob.full_reconcile_interval
        if reconciled is None or task.job.payload.get('is_full'):
            return None
        if every and reconciled + timedelta(seconds=every) <= now:
            return None
        return max(reconciled, followed or reconciled) - OVERLAP


def present(pod: PodView) -> Iterator[Resource]:
    """The kinds of resources with routings that a pod can have."""
    for resource in ROUTED.values():
        if resource.service in pod.endpoints:
            yield resource


def _follow(routes: Routes, since: datetime) -> dict[str, int | str]:
    seen = ended = 0
    taken = Taken()
    for page in routes.pages_since(since):
        there, deleted = split_deleted(page)
        seen += len(there)
        _add(taken, routes.take(there))
        ended += routes.end_deleted(deleted)
    return _counts(routes.resource, seen, taken, ended)


def _compare(routes: Routes, started: datetime) -> dict[str, int | str]:
    seen: set[str] = set()
    taken = Taken()
    ended = 0
    for page in routes.pages():
        there, deleted = split_deleted(page)
        seen.update(item['id'] for item in there)
        _add(taken, routes.take(there))
        ended += routes.end_deleted(deleted)
    return _counts(routes.resource, len(seen), taken, ended + routes.end_gone(seen, started))


def _add(total: Taken, more: Taken) -> None:
    total.new += more.new
    total.moved += more.moved
    total.conflicts += more.conflicts


def _counts(resource: Resource, seen: int, taken: Taken, ended: int) -> dict[str, int | str]:
    name = resource.collection
    counts: dict[str, int | str] = {name: seen, f'new_{name}': taken.new, f'gone_{name}': ended}
    if taken.moved:
        counts[f'moved_{name}'] = taken.moved
    if taken.conflicts:
        counts[f'conflicts_{name}'] = len(taken.conflicts)
    return counts
