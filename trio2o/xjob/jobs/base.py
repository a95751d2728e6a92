# SPDX-License-Identifier: Apache-2.0
"""What a job is to its runner, and the runner to a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from trio2o.pods.registry import PodView

if TYPE_CHECKING:
    from trio2o.db.records import Job as JobRecord
    from trio2o.runtime import Runtime


class TryAgain(Exception):
    """It could not be done now; the text tells an operator why."""


class GiveUp(Exception):
    """It can never be done; the text tells an operator why."""


class Interrupted(Exception):
    """The run has to end here: it was cancelled, another worker has it, or this one stops."""


class Task(Protocol):
    """One run of a job."""

    job: JobRecord
    runtime: Runtime

    def check(self) -> None:
        """Call between steps.

        :raises Interrupted: the job must not go on
        """
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass; also a ``check``, and shorter where the job must not go on."""
        ...

    def progress(self, **what: Any) -> None:
        """Tell operators how far it is, and the next run of this job where to go on (``job.progress``); also a
        ``check``.
        """
        ...

    def result(self, what: Any) -> None:
        """Say what it came to; kept with the job when it ends."""
        ...

    def again(self, payload: Any, delay_seconds: float) -> None:
        """Have another run of this job follow when this one has ended."""
        ...


class Job(Protocol):
    """One type of job. Steps must bear being done twice: a worker may die at any of them.

    :ivar max_seconds: a run that takes longer is taken for hung, and the job is given to another
    """

    max_seconds: float

    def run(self, task: Task) -> None:
        """Do it.

        :raises TryAgain: later, please
        :raises GiveUp: never
        """
        ...


def pod_of(task: Task) -> PodView:
    """The pod the payload names, as it is now.

    :raises GiveUp: there is none any more
    """
    pod_id = (task.job.payload or {}).get('pod_id', '')
    pod = task.runtime.registry.refresh().by_id.get(pod_id)
    if pod is None:
        raise GiveUp(f'there is no pod {pod_id}')
    return pod
