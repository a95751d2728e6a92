# SPDX-License-Identifier: Apache-2.0
"""Parts of the pods, and the intervals of jobs that concern all pods.

A job that calls all pods every minute is one job for each part of them. So several workers share its work, and the
statements for a run are those of a part and not of each pod. The part of a pod is a hash of its id, so that a pod
keeps its part as long as the number of parts stays the same.

A job that costs a pod and us more than a few requests runs less often if there are many pods: for at most so many
pods a second. So the load of all these jobs together has a bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from trio2o import job_types
from trio2o.pods.registry import PodView

#: Pods of one part, about.
PODS_IN_PART = 64

#: Resource key of a job that concerns all pods.
ALL = 'all'

#: Most pods for which a periodic job runs in a second.
PODS_A_SECOND = {job_types.REPAIR_REPLICAS: 1.0, job_types.COLLECT_USAGE: 4.0, job_types.REFRESH_ENDPOINTS: 20.0}


def parts(pods: int) -> list[tuple[str, Any]]:
    """Return the resource key and the payload of the job of each part.

    Their number is a power of two, so that it seldom changes when pods join.

    :param pods: number of pods
    """
    count = 1
    while count * PODS_IN_PART < pods:
        count *= 2
    if count == 1:
        return [(ALL, None)]
    return [(f'part-{number}-of-{count}', {'part': number, 'parts': count}) for number in range(1, count + 1)]


def pods_of(payload: Mapping[str, Any] | None, pods: Iterable[PodView]) -> list[PodView]:
    """Return the pods of the part that a payload of ``parts`` names; all of them without one."""
    if not payload:
        return list(pods)
    number, count = payload['part'], payload['parts']
    return [pod for pod in pods if zlib.crc32(pod.id.encode()) % count + 1 == number]


def interval(job_type: str, seconds: float, pods: int) -> float:
    """Return the seconds between two runs of a periodic job for a pod.

    :param seconds: the interval that is configured; 0: the job is switched off, and stays so
    :param pods: number of pods
    """
    return max(seconds, pods / PODS_A_SECOND[job_type]) if seconds else 0.0
