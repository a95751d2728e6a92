# SPDX-License-Identifier: Apache-2.0
"""/claims: amounts of the quota that are reserved for requests whose outcome is not known yet.

A job settles claims as soon as the pod answers. To end one by hand is for those that cannot be settled, for example as
the pod will not answer for days.
"""

from __future__ import annotations

import functools
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from trio2o import exception, job_types
from trio2o.api import pagination
from trio2o.api.schemas import claims as schemas
from trio2o.db import quotas
from trio2o.db.database import utcnow
from trio2o.db.records import QuotaClaim
from trio2o.web.call import Answer, Call


def view(claim: QuotaClaim) -> dict[str, Any]:
    return asdict(claim)


def list_claims(call: Call) -> Answer:
    """GET /claims, the oldest first: 200, 400."""
    query = schemas.LIST.read(call)
    older_than = query.get('older_than')
    made_before = None if older_than is None else utcnow() - timedelta(seconds=int(older_than))
    return pagination.read(
        call,
        'claims',
        query,
        functools.partial(quotas.page_of_claims, made_before=made_before),
        view,
        filters=pagination.filters_of(query, 'older_than'),
        default=(('created_at', 'asc'),),
    )


def show_claim(call: Call) -> Answer:
    """GET /claims/{claim_id}: 200, 404."""
    return Answer.of({'claim': view(_find(call))})


def delete_claim(call: Call) -> Answer:
    """DELETE /claims/{claim_id}: release what it holds, and recount its project in the pods. 200, 404, 409."""
    claim = _find(call)
    due = claim.created_at + timedelta(seconds=call.runtime.conf.quota.claim_seconds)
    if utcnow() < due:
        # The project could use the amounts again, and its limit would be exceeded when the pod is done.
        raise exception.Conflict(
            f'The request of claim {claim.id} may still be carried out. The claim can be ended from '
            f'{due.isoformat(timespec="seconds")} on ([quota] claim_seconds).'
        )
    quotas.release(call.runtime.db, claim.id)
    payload = {'project_id': claim.project_id, 'asks_pods': True}
    call.runtime.jobs.submit(job_types.RECOUNT_QUOTA, claim.project_id, payload, request_id=call.context.request_id)
    return Answer.of({})


def _find(call: Call) -> QuotaClaim:
    claim = quotas.get_claim(call.runtime.db, call.id)
    if claim is None:
        raise exception.NotFound(f'Claim {call.id} could not be found.')
    return claim
