# SPDX-License-Identifier: Apache-2.0
"""Check the accounts that pods have of their own, in sections such as ``[service_auth:Pod2]``."""

from __future__ import annotations

from collections.abc import Mapping

from trio2o import exception
from trio2o.pods.endpoints import COMPUTE, VOLUME, PodEndpoint
from trio2o.pods.identity import FAILURES, Identity


def find_problem(identity: Identity, pod_name: str, endpoints: Mapping[str, PodEndpoint]) -> str | None:
    """Check whether Keystone and a pod accept the account of the pod.

    A pod that does not answer is no problem of its account.

    :param endpoints: of the pod, by service
    :returns: what is wrong; None if nothing is, or the pod has no account of its own
    """
    account = identity.account_of(pod_name)
    if account is identity:
        return None
    section = f'[{account.section}]'
    try:
        account.token()
        # Only administrators may list services. None has this name, so the answer is short.
        paths = {COMPUTE: '/os-services', VOLUME: f'/{account.project_id()}/os-services'}
    except (*FAILURES, exception.ServiceUnavailable) as error:
        return f'{error} Look at {section}.'
    for service, path in paths.items():
        if service not in endpoints:
            continue
        try:
            answer = account.pod_session.get(f'{endpoints[service].url}{path}?binary=trio2o', raise_exc=False)
        except FAILURES:
            continue
        if answer.status_code in (401, 403):
            return f'{service} does not take the user of {section} for an administrator.'
    return None
