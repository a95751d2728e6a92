# SPDX-License-Identifier: Apache-2.0
"""Choose the servers whose moves even out a zone.

It works on copies of what is known of the pods' capacity. A server is taken out of its pod, and the weighers of the
scheduler choose a pod for it as if it were new. If they prefer another pod, the server is to move there. This ends, as
each such move makes the pods more equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from trio2o.db import routings
from trio2o.db.move_groups import NewMember
from trio2o.db.records import LIVE_STATES, Routing
from trio2o.moves.groups.options import Options
from trio2o.pods.endpoints import COMPUTE
from trio2o.pods.registry import PodView
from trio2o.pods.usage import Amount, Usage
from trio2o.resources import SERVER
from trio2o.scheduler.spec import SPEC_PREFIX, PodRequest

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

#: Servers of each pod that are looked at, the largest of the oldest ones first, and most moves of one rebalancing.
_SERVERS, MOST = 500, 200


def choose(runtime: Runtime, zone: str, options: Options) -> list[NewMember]:
    """Return the servers of a zone to move, each with its target."""
    return _Balance(runtime, zone).members(options)


class _Balance:
    def __init__(self, runtime: Runtime, zone: str) -> None:
        self._runtime = runtime
        # The usage of the pods is that of the copies here.
        self._scheduler = runtime.scheduler.for_plans()
        self._zone = zone
        known = (pod for pod in runtime.registry.snapshot().by_zone.get(zone, ()) if pod.is_enabled)
        #: Pods with the usage that they would have after the moves chosen so far.
        self._pods = {pod.id: pod for pod in known if pod.usages.get(COMPUTE) is not None}
        self._servers = {pod_id: self._of_pod(pod_id) for pod_id in self._pods}
        self._exclusive: dict[str, Mapping[tuple[str, str], frozenset[str]]] = {}

    def _of_pod(self, pod_id: str) -> list[Routing]:
        filters = {'pod_id': pod_id, 'resource_type': SERVER.type, 'state': LIVE_STATES}
        found = routings.list_(self._runtime.db, filters=filters, limit=_SERVERS)
        sized = [routing for routing in found if routing.deltas]
        return sorted(sized, key=lambda routing: (-_size(routing, 'ram'), -_size(routing, 'cores'), routing.top_id))

    def members(self, options: Options) -> list[NewMember]:
        found: list[NewMember] = []
        while len(found) < MOST and len(self._pods) > 1:
            chosen = self._next()
            if chosen is None:
                break
            routing, target = chosen
            at = len(found)
            member = NewMember(at, at, options.wave_of(at), SERVER.type, routing.top_id, routing.project_id)
            found.append(replace(member, target_pod_id=target.id))
        return found

    def _next(self) -> tuple[Routing, PodView] | None:
        """Choose a server of the pod that the weighers like least, and take it to its new pod."""
        general = PodRequest(service=COMPUTE, project_id='', zone=self._zone, resource_type=SERVER.type)
        ranked = self._scheduler.rank(list(self._pods.values()), general, by_usage=True)
        for source in [each.pod for each in reversed(ranked)]:
            for routing in self._servers[source.id]:
                target = self._better(source, routing)
                if target is not None:
                    self._servers[source.id].remove(routing)
                    self._pods[source.id] = _with(source, routing, -1)
                    self._pods[target.id] = _with(target, routing, 1)
                    return routing, target
        return None

    def _better(self, source: PodView, routing: Routing) -> PodView | None:
        """Return the pod that the weighers prefer for a server if it were new; None if it is best where it is."""
        without = _with(source, routing, -1)
        pods = [without if pod.id == source.id else pod for pod in self._pods.values()]
        tag, project_id = source.record.resource_affinity_tag or {}, routing.project_id
        if project_id not in self._exclusive:
            self._exclusive[project_id] = self._scheduler.exclusive(project_id)
        request = PodRequest(
            service=COMPUTE,
            project_id=project_id,
            zone=self._zone,
            only=self._exclusive[project_id],
            resource_type=SERVER.type,
            resources=_resources(routing),
            extra_specs={f'{SPEC_PREFIX}{key}': str(value) for key, value in tag.items()},
        )
        ranked = self._scheduler.rank(pods, request, by_usage=True)
        stays = next((each for each in ranked if each.pod.id == source.id), None)
        if not ranked or (stays is not None and ranked[0].weight <= stays.weight):
            return None
        return self._pods[ranked[0].pod.id]


def _size(routing: Routing, name: str) -> int:
    return int((routing.deltas or {}).get(name, 0))


def _resources(routing: Routing) -> dict[str, int]:
    return {'VCPU': _size(routing, 'cores'), 'MEMORY_MB': _size(routing, 'ram')}


def _with(pod: PodView, routing: Routing, sign: int) -> PodView:
    """Return a pod with a server more (``sign`` 1) or less (-1)."""
    usage = pod.usages[COMPUTE]
    amounts: Mapping[str, Amount] = {
        name: _changed(amount, sign * _resources(routing).get(name, 0)) for name, amount in usage.amounts.items()
    }
    return replace(pod, usages={**pod.usages, COMPUTE: Usage(usage.collected_at, amounts, usage.pools)})


def _changed(amount: Amount, taken: int) -> Amount:
    free = None if amount.free is None else amount.free - taken
    return replace(amount, used=amount.used + taken, free=free)
