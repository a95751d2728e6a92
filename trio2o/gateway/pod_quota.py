# SPDX-License-Identifier: Apache-2.0
"""The quota that a pod itself enforces: recognize its refusal, and have its limits set to unlimited.

Trio2o claims a request's amounts on its own quota before it calls a pod. A pod that refuses the request all the same
has a lower limit of its own.
"""

from __future__ import annotations

import logging

from trio2o import job_types
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Part of the refusal of a single resource that is larger than any may be, in every pod.
_TOO_LARGE_ANYWHERE = b'larger than maximum allowed limit'


def is_over_quota(answer: Answer) -> bool:
    """Return whether a pod refuses a request because of a quota of its own: 403 of compute, 413 of volume."""
    if answer.status == 413:
        return _TOO_LARGE_ANYWHERE not in answer.body
    return answer.status == 403 and b'uota exceeded' in answer.body


def report_limit(call: Call, pod: PodView, project_id: str) -> None:
    """Log that a pod refuses what the quota allows, and submit a job that sets that limit to unlimited.

    :param project_id: the project whose quota allows it
    """
    LOG.warning('pod %s has a limit of its own that refuses project %s what the quota allows', pod.name, project_id)
    context, runtime = call.context, call.runtime
    if runtime.conf.quota.raise_limits_interval:
        payload = {'pod_id': pod.id, 'project_id': project_id, 'user_id': context.user_id}
        key = f'{pod.id}:{project_id}'
        runtime.jobs.submit(job_types.RAISE_POD_LIMITS, key, payload, request_id=context.request_id)
