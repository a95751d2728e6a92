# SPDX-License-Identifier: Apache-2.0
"""Which open claim is that of a resource that was found in a pod, and that no answer to its create has shown.

Pods do not show which request made a resource. But a claim names the pod that its request was sent to, its amounts and
its time. Claims that these fit equally are alike, so any of them may end with the resource; but not the claim of a
request that is still served, as its answer will show the resource.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trio2o.db.records import QuotaClaim, Routing
from trio2o.resources import TRANSFER, USED_BY

Amounts = Mapping[str, int]


@dataclass
class Matches:
    """The result of matching found resources with the open claims of their projects.

    :ivar counted: resources to be counted now. The others have to stay uncounted: they are covered by a claim that is
        settled later, and it is not known yet by which
    :ivar taken: claim id -> amounts that become usage of these resources
    """

    counted: list[Routing] = field(default_factory=list)
    taken: dict[str, Amounts] = field(default_factory=dict)


def match(found: Iterable[Routing], claims: Iterable[QuotaClaim], claim_id: str | None = None) -> Matches:
    """Match found resources with open claims.

    :param found: with the amounts that they use; their usage was not counted before
    :param claim_id: the claim that ends next. What it fits is taken out of it, even if it fits a request that is
        being served as well
    """
    left = {claim.id: Counter(claim.resources) for claim in claims}
    by_id = {claim.id: claim for claim in claims}
    matches = Matches()
    taken: dict[str, Counter[str]] = {}
    for routing in sorted(found, key=lambda each: (each.created_at or datetime.min, each.top_id)):
        fitting = [claim for claim in by_id.values() if _fits(claim, left[claim.id], routing)]
        waiting = [claim for claim in fitting if claim.state != 'open' or claim.id == claim_id]
        is_served = len(waiting) < len(fitting) and not any(claim.id == claim_id for claim in waiting)
        if waiting and is_served:
            continue
        matches.counted.append(routing)
        if waiting:
            best = min(waiting, key=lambda claim: _rank(claim, left[claim.id], routing, claim_id))
            part = _part(left[best.id], routing)
            left[best.id] -= part
            taken.setdefault(best.id, Counter()).update(part)
    matches.taken.update(taken)
    return matches


def _fits(claim: QuotaClaim, left: Amounts, routing: Routing) -> bool:
    """Return whether a resource may be one of those that a claim was made for.

    :param left: amounts of the claim that no resource has taken
    """
    names, deltas = USED_BY.get(routing.resource_type, ()), routing.deltas or {}
    if not names or not deltas.get(names[0]) or not left.get(names[0]):
        return False
    if claim.project_id != routing.project_id or claim.pod_id not in (None, routing.pod_id):
        return False
    if claim.user_id and routing.user_id and claim.user_id != routing.user_id:
        return False
    # Pods show whole seconds.
    if routing.created_at is not None and routing.created_at < claim.created_at.replace(microsecond=0):
        return False
    if claim.resource_type == TRANSFER.type:
        return False  # its volume existed before
    claimed = [name for name in names if name in left]
    if claim.resource_type != routing.resource_type:
        # One of several resources that are created along with another one, such as the volumes of a server.
        return all(deltas.get(name, 0) <= left[name] for name in claimed)
    if claim.resource_id and claim.state != 'watch':
        return False  # a change of another resource
    # A volume has no size until its pod has read the source.
    return all(deltas.get(name, 0) in (0, left[name] / left[names[0]]) for name in claimed)


def _rank(
    claim: QuotaClaim, left: Amounts, routing: Routing, claim_id: str | None
) -> tuple[bool, bool, timedelta, str]:
    """Return the sort key of a fitting claim; the lowest is the best.

    That is the last one made before the resource: an earlier one may be needed for a resource that was created between
    the two, and is found later.
    """
    deltas = routing.deltas or {}
    is_other_type = any(not left.get(name) for name in deltas)
    return claim.id != claim_id, is_other_type, datetime.max - claim.created_at, claim.id


def _part(left: Counter[str], routing: Routing) -> Counter[str]:
    """Return the amounts of a claim that become usage of a resource: all that are left if it is the last one."""
    deltas = routing.deltas or {}
    part = Counter({name: min(amount, deltas[name]) for name, amount in left.items() if deltas.get(name)})
    counts = [names[0] for names in USED_BY.values()]
    is_last = not any(left[name] > part[name] for name in counts)
    is_measured = all(deltas.get(name) for name in USED_BY[routing.resource_type] if left[name])
    return Counter(left) if is_last and is_measured else part
