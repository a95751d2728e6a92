# SPDX-License-Identifier: Apache-2.0
"""Copies of server groups that a pod may have made without an answer, so that their ids there are not known.

Nova shows neither a time nor a request of a group. But until the id of a copy is recorded no server is created in it:
it has the definition of its group, and no members.
"""

from __future__ import annotations

from collections.abc import Iterable

from trio2o.db import routings, server_group_copies
from trio2o.db.database import Database
from trio2o.db.records import ServerGroupCopy
from trio2o.resources import SERVER_GROUP, Item, is_resource_id


def definition_of(group: Item) -> Item:
    """Return the definition of a group, from which its copies are made.

    :param group: as any version shows it; before 2.64 it has ``policies`` and no rules
    :returns: body of a create at version 2.64
    """
    policies, rules = group.get('policies'), group.get('rules')
    shown = [group.get('policy'), *(policies if isinstance(policies, list) else [])]
    # A policy or rules of another type are none of Nova's.
    policy = next((each for each in shown if isinstance(each, str) and each), None)
    definition = {'name': group.get('name'), 'policy': policy}
    return {**definition, 'rules': rules} if isinstance(rules, dict) and rules else definition


def find(db: Database, copies: Iterable[ServerGroupCopy], groups: Iterable[Item]) -> dict[int, str]:
    """Find copies whose ids are not recorded among the groups of their pod.

    :param copies: in one pod
    :param groups: of that pod, as it shows them
    :returns: id of the record of a copy -> id that the pod gave to it
    """
    left = {group['id']: group for group in groups if is_resource_id(group.get('id')) and not group.get('members')}
    wanted = [copy for copy in copies if copy.bottom_id is None and copy.definition]
    if not wanted or not left:
        return {}
    known = server_group_copies.find_copies(db, wanted[0].pod_id, left)
    recorded = routings.get_many(db, SERVER_GROUP.type, left)
    unknown = [(bottom_id, group) for bottom_id, group in left.items() if bottom_id not in known | recorded]
    found: dict[int, str] = {}
    for copy in wanted:
        for bottom_id, group in unknown:
            is_owned = SERVER_GROUP.owner_of(group, copy.project_id) == copy.project_id
            if bottom_id not in found.values() and is_owned and definition_of(group) == copy.definition:
                found[copy.id] = bottom_id
                break
    return found
