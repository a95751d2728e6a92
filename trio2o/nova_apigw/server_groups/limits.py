# SPDX-License-Identifier: Apache-2.0
"""What server groups are made of, and how servers name them."""

from __future__ import annotations

from typing import Any

from oslo_utils import uuidutils

from trio2o.gateway.refs import scheduler_hints
from trio2o.nova_apigw.server_groups.copies import Twinned
from trio2o.nova_apigw.server_groups.members import MemberLimit
from trio2o.nova_apigw.servers.requested import counts
from trio2o.resources import SERVER, SERVER_GROUP, Item
from trio2o.web.microversion import Version


def definition(item: Item) -> Item:
    """A group as 2.64 takes it, of one as any version shows it."""
    policy = item.get('policy') or next(iter(item.get('policies') or []), None)
    made_of = {'name': item.get('name'), 'policy': policy}
    return {**made_of, 'rules': item['rules']} if item.get('rules') else made_of


def is_single(made_of: Item) -> bool:
    """Servers of an affinity group are on one host, so in one pod. The soft policy only wishes for it."""
    return made_of.get('policy') == 'affinity'


def named_in(document: Any) -> str | None:
    hints = scheduler_hints(document)
    group = hints.get('group') if isinstance(hints, dict) else None
    # What is no UUID is refused by any pod.
    return group if isinstance(group, str) and uuidutils.is_uuid_like(group) else None


TWINNED = Twinned(
    SERVER_GROUP,
    version=Version(2, 64),
    members='members',
    definition=definition,
    is_single=is_single,
    named_in=named_in,
    member=SERVER,
    limit=MemberLimit(
        'server_group_members',
        joining=lambda document: counts(document['server'])[1],
        refusal='Quota exceeded, too many servers in group',
    ),
    unknown='Instance group {id} could not be found.',
)
