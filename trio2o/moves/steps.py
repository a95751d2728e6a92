# SPDX-License-Identifier: Apache-2.0
"""The steps of a move, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trio2o.db.records import FROZEN, VERIFIED
from trio2o.moves import building, compare, copying, ending, freeze, ports
from trio2o.moves.step import Step


def of_plan(plan: Mapping[str, Any]) -> list[Step]:
    """Return the steps of a plan. They are made from it alone, so that each run of a move has the same ones."""
    servers = plan['servers']
    found: list[Step] = [freeze.Lock('lock')]
    found += [freeze.Stop(server['id']) for server in servers]
    _only_last(found, FROZEN)
    found += copying.steps(plan)
    found += [building.VerifyImage(server['id']) for server in servers if server['has_local_root']]
    for disk in plan['volumes']:
        found.append(building.BuildVolume(disk['id']))
        if plan['is_verified']:
            found.append(building.VerifyVolume(disk))
    _only_last(found, VERIFIED)
    found.append(freeze.Unchanged('check source'))
    found += ports.steps(plan)
    for server in servers:
        found += [building.BuildKeyPair(server['id']), building.BuildServer(server['id'])]
    found += [compare.Compare('compare'), ending.Switch(), ending.Window()]
    found += [ending.DeleteSource(), ending.DeleteRest()]
    return found


def _only_last(steps: list[Step], state: str) -> None:
    """Let only the last of the steps that lead to a state set it."""
    those = [step for step in steps if step.state == state]
    for step in those[:-1]:
        step.state = None
