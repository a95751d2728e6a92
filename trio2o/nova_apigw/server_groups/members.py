# SPDX-License-Identifier: Apache-2.0
"""How many members something may have that stands in several pods, counted over all of them.

Who makes members claims them first, and then counts those there are; so of any number that race, each counts the
ones before it, as members or as claimed, and none gets in beyond the limit. One that was claimed and made in the
same moment may be counted twice: who is refused while others are at it tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.quota.amounts import UNLIMITED
from trio2o.quota.claims import Claim, ClaimRequest, Quota
from trio2o.web.call import Call

#: How long those that are about to become members are waited for.
_WAIT_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True)
class MemberLimit:
    """
    :ivar name: of the limit, among those of the quota; of a user, if he has one
    :ivar joining: how many members a body makes
    :ivar refusal: text of the 403
    """

    name: str
    joining: Callable[[Any], int]
    refusal: str

    @contextmanager
    def kept(self, call: Call, document: Any, owner: str, top_id: str, count: Callable[[], int]) -> Iterator[None]:
        """For as long as members are made.

        :param owner: project of what they become members of
        :param count: tells how many there are
        :raises Forbidden: there would be too many
        """
        quota: Quota = call.runtime.quota
        limits = quota.driver.limits(call.context.project_id or '', call.context.user_id or '')
        limit = limits.get(self.name, UNLIMITED)
        if limit < 0:
            yield
            return
        amounts = {f'{self.name}:{top_id}': self.joining(document)}
        asked = ClaimRequest(owner, '', amounts, request_id=call.context.request_id or '')
        claim = self._claimed(quota, asked, limit, count)
        is_known = True
        try:
            yield
        except exception.PodNoAnswer:
            is_known = False  # they may be there a moment later
            raise
        finally:
            if is_known:
                quota.give_back(claim)

    def _claimed(self, quota: Quota, asked: ClaimRequest, limit: int, count: Callable[[], int]) -> Claim:
        (mine,) = asked.amounts.values()
        deadline = Deadline(_WAIT_SECONDS)
        while mine <= limit:
            claim, claimed = quota.queue(asked)
            is_room = False
            try:
                is_room = count() + claimed <= limit
            finally:
                if not is_room:
                    quota.give_back(claim)
            if is_room:
                return claim
            if claimed <= mine or deadline.is_over():
                break
            time.sleep(_LOOK_AGAIN_SECONDS)
        raise exception.Forbidden(self.refusal)
