# SPDX-License-Identifier: Apache-2.0
"""Full comparisons that stopped as the pod did not show many of its resources.

The progress of the job ``reconcile_routings`` holds why and when the comparison stopped. That is over when a later
comparison has reached its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trio2o import job_types
from trio2o.db import jobs
from trio2o.db.database import Database
from trio2o.pods.registry import PodView

_REASON, _AT = 'stopped', 'stopped_at'


@dataclass(frozen=True)
class Stop:
    """A comparison that stopped.

    :ivar reason: a sentence for operators
    """

    reason: str
    at: datetime

    @property
    def progress(self) -> dict[str, str]:
        """The values for the progress of the job."""
        return {_REASON: self.reason, _AT: self.at.isoformat()}


def stop_of(pod: PodView, progress: Any) -> Stop | None:
    """Return the stop in a job's progress, unless a later comparison of the pod has reached its end."""
    if not isinstance(progress, dict) or _REASON not in progress:
        return None
    stop = Stop(progress[_REASON], datetime.fromisoformat(progress[_AT]))
    reconciled = pod.record.reconciled_at
    return None if reconciled is not None and reconciled >= stop.at else stop


def stopped_comparisons(db: Database, pods: Iterable[PodView]) -> dict[str, str]:
    """Return, by pod id, why the comparison of a pod stopped; nothing for the other pods."""
    by_id = {pod.id: pod for pod in pods}
    found: dict[str, str] = {}
    for job in jobs.list_(db, filters={'type': job_types.RECONCILE_ROUTINGS}):
        pod = by_id.get((job.payload or {}).get('pod_id', ''))
        stop = stop_of(pod, job.progress) if pod is not None else None
        if pod is not None and stop is not None:
            found[pod.id] = stop.reason
    return found
