# SPDX-License-Identifier: Apache-2.0
"""Reschedules of servers that have begun, as recorded before the create is sent to the next pod.

The record is the payload of a job. As long as that job is not finished, a server without a routing that may be the new
one gets no routing of its own: whoever records it first would make it a second server of the tenant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from trio2o import job_types
from trio2o.db import jobs
from trio2o.db.database import Database
from trio2o.db.records import JOB_ACTIVE_STATES
from trio2o.resources import SERVER, Item, Resource
from trio2o.web import json_body

_AnyItem = TypeVar('_AnyItem', bound=Mapping[str, Any])

#: Largest difference between the clocks of a pod and of this host.
CLOCKS_DIFFER = timedelta(minutes=5)

#: Texts in the fault of a server for which no host was found, or none was left to try.
_NO_VALID_HOST = ('No valid host', 'Exhausted all hosts')


@dataclass(frozen=True)
class Reschedule:
    """A server that failed in one pod and is created in another.

    :ivar old_pod_id: the pod where it failed; ``old_bottom_id``: its id there
    :ivar pod_id: the pod that gets the create
    :ivar since: when the create was sent
    :ivar name: of the server, if the request gives it one; ``user_id``: who created it
    """

    top_id: str
    old_pod_id: str
    old_bottom_id: str
    pod_id: str
    since: datetime
    name: str | None
    user_id: str
    project_id: str

    @property
    def key(self) -> str:
        """The resource key of the job: there is one for each failed server and each pod that gets its create."""
        return f'{self.old_bottom_id}:{self.pod_id}'

    @property
    def payload(self) -> dict[str, Any]:
        return {**asdict(self), 'since': self.since.isoformat()}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Reschedule:
        """:raises ValueError: the payload is that of another job"""
        try:
            fields = {name: payload[name] for name in cls.__dataclass_fields__}
            return cls(**{**fields, 'since': datetime.fromisoformat(fields['since'])})
        except (KeyError, TypeError) as error:
            raise ValueError(f'{error!r} in the payload of a reschedule') from error

    def may_have_made(self, item: Mapping[str, Any]) -> bool:
        """Return whether a server of the pod may be the new one. A field that the item does not show may be right."""
        created_at = SERVER.created_at(item)
        return (
            item.get('status') != 'DELETED'
            and item.get('name', self.name) == self.name
            and item.get('user_id', self.user_id) == self.user_id
            and SERVER.owner_of(item, self.project_id) == self.project_id
            and (created_at is None or created_at >= self.since - CLOCKS_DIFFER)
        )


def without_new_servers(db: Database, resource: Resource, pod_id: str, items: Iterable[_AnyItem]) -> list[_AnyItem]:
    """Leave out the servers that a reschedule may have made in a pod.

    :param items: resources of the pod that have no routing
    """
    found = list(items)
    if not found or resource.type != SERVER.type:
        return found
    filters = {'type': job_types.SETTLE_RESCHEDULE, 'pod_id': pod_id, 'state': JOB_ACTIVE_STATES}
    begun = [Reschedule.from_payload(job.payload) for job in jobs.list_(db, filters=filters)]
    return [item for item in found if not any(each.may_have_made(item) for each in begun)]


def had_no_valid_host(server: Item) -> bool:
    """Return whether a server failed because no host was found, never ran, and is not being deleted."""
    message = str(json_body.at(server, 'fault', 'message') or '')
    never_ran = not server.get('OS-SRV-USG:launched_at') and not server.get('OS-EXT-STS:task_state')
    return server.get('status') == 'ERROR' and never_ran and any(text in message for text in _NO_VALID_HOST)
