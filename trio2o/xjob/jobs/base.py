# SPDX-License-Identifier: Apache-2.0
"""The interface between a job and the manager that runs it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from trio2o.pods.registry import PodView

if TYPE_CHECKING:
    from trio2o.db.records import Job as JobRecord
    from trio2o.runtime import Runtime

#: So long after its registration the job ``sync_pod`` may bring a pod to the desired state, and try again if it fails.
JOINING = timedelta(hours=1)


class TryAgain(Exception):
    """The job cannot be done now and is to be retried. The text is shown to operators as the job's error."""


class GiveUp(Exception):
    """The job can never be done. The text is shown to operators as the job's error."""


class Later(Exception):
    """The job goes on after so many seconds, as something that it waits for takes time. It has not failed.

    A job that waits often does not fill the table, as it would with ``Task.run_again``.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f'in {seconds:g} seconds')
        self.seconds = seconds


class Interrupted(Exception):
    """The run must end: the job is cancelled, another worker has claimed it, or this worker is stopping."""


class Task(Protocol):
    """One run of a job, as the job sees it."""

    job: JobRecord
    runtime: Runtime

    def check(self) -> None:
        """Check that the run may go on. Jobs call it between steps.

        :raises Interrupted: the run must end
        """
        ...

    def wait(self, seconds: float) -> None:
        """Sleep, then ``check``. Returns early if the run must end."""
        ...

    def progress(self, **values: Any) -> None:
        """Save the progress, for operators and for the next run of this job (``job.progress``), then ``check``."""
        ...

    def result(self, value: Any) -> None:
        """Set the result that is stored with the job when it ends."""
        ...

    def run_again(self, payload: Any, delay_seconds: float) -> None:
        """Run this job once more after this run has ended."""
        ...


class JobHandler(Protocol):
    """A job type. Its steps must be idempotent, as a worker may die after any of them and another repeats it.

    :ivar max_seconds: a run that takes longer is interrupted, and the job is retried
    """

    max_seconds: float

    def run(self, task: Task) -> None:
        """Do the work of the job.

        :raises TryAgain: it cannot be done now
        :raises Later: it waits
        :raises GiveUp: it can never be done
        """
        ...


def is_joining(pod: PodView, now: datetime) -> bool:
    """Whether the job ``sync_pod`` has not brought a new pod to the desired state yet. It submits the next job.

    Other jobs would do the same work before or after it, which delays thousands of pods that join.
    """
    return pod.record.adopted_at is None and pod.record.created_at + JOINING > now


def pod_of(task: Task) -> PodView:
    """Return the current record of the pod that the payload names.

    :raises GiveUp: the pod was deleted
    """
    pod_id = (task.job.payload or {}).get('pod_id', '')
    pod = task.runtime.registry.refresh().by_id.get(pod_id)
    if pod is None:
        raise GiveUp(f'there is no pod {pod_id}')
    return pod
