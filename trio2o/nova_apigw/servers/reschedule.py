# SPDX-License-Identifier: Apache-2.0
"""Reschedule a server to the next pod if the pod that accepted it then finds no valid host.

The process that served the create polls the pod with the caller's own token until the server is built. If the server
fails because no host was found, it is created in the next pod. Its routing then names that pod, so the tenant keeps
the id. The request and the token are only in the memory of that process: when it ends, or the token expires, a server
that failed stays as it is.

Before the create is sent to the next pod, the job ``settle_reschedule`` is submitted. If the process ends from then
on, the job leaves one of the two servers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from oslo_db import exception as db_exc

from trio2o import exception, job_types
from trio2o.context import working_for
from trio2o.db import moved_resources, routings
from trio2o.db.database import utcnow
from trio2o.gateway.call_pod import send
from trio2o.gateway.handlers.create import Create, Creation
from trio2o.gateway.refs import scheduler_hints
from trio2o.pods.own_answers import is_unknown_path
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, is_resource_id
from trio2o.routing.reschedules import CLOCKS_DIFFER, Reschedule, had_no_valid_host
from trio2o.web import json_body
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Servers watched at the same time. Further ones are not watched.
MAX_WATCHED = 10_000

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 8.0
#: When to look for a server that a pod created without a clear answer, in seconds after that.
FIND_SECONDS = (1.0, 10.0, 60.0)
#: When the job looks whether a reschedule has left two servers, in seconds after the create was sent.
SETTLE_SECONDS = 10.0
#: How often the deletion of a failed server is tried.
MAX_DELETES = 10


@dataclass(frozen=True)
class Watch:
    """One server that is being built.

    :ivar creation: the create that made it, with the password that the first pod chose in its body
    :ivar pod: the pod that has it now; ``bottom_id``: its id there
    :ivar until: when to stop watching, by the monotonic clock
    :ivar tried: ids of the pods that had no host for it
    :ivar seconds: how long to wait before the next look
    """

    create: Create
    creation: Creation = field(repr=False)
    pod: PodView
    top_id: str
    bottom_id: str
    until: float
    tried: frozenset[str] = frozenset()
    seconds: float = FIRST_SECONDS

    @property
    def call(self) -> Call:
        """The call of the create."""
        return self.creation.call


def watch(create: Create, creation: Creation, answer: Answer) -> None:
    """Watch a server that a pod accepted, if the configuration says so and it can be rescheduled.

    Servers of one request are not rescheduled, as they have to be in one pod, and neither are those with scheduler
    hints, which may refer to a pod.
    """
    call = creation.call
    runtime, options = call.runtime, call.runtime.conf.scheduler
    if not options.reschedule_on_no_valid_host or creation.requested.count != 1:
        return
    server = json_body.member(answer, SERVER)
    if scheduler_hints(creation.document) or server is None or not isinstance(server.get('id'), str):
        return
    route = runtime.locator.look_up(SERVER.type, server['id'])
    if route is None:
        return
    if runtime.background.delayed >= MAX_WATCHED:
        LOG.warning('server %s is not watched for rescheduling: %d others are', server['id'], MAX_WATCHED)
        return
    if server.get('adminPass'):
        with_password = {**creation.inner, 'adminPass': server['adminPass']}
        creation.change_body({**creation.document, creation.key: with_password})
    until = time.monotonic() + options.reschedule_watch_seconds
    _look_later(Watch(create, creation, route.pod, route.top_id, route.bottom_id, until))


def _later(seconds: float, watched: Watch, function: Callable[[], None]) -> None:
    watched.call.runtime.background.submit_after(seconds, _run, watched.call, function)


def _run(call: Call, function: Callable[[], None]) -> None:
    """Run a step of a request that was answered long ago, and log its failure, as no caller sees it."""
    with working_for(call.context.request_id):
        try:
            function()
        except exception.Trio2oException as error:
            LOG.warning('a server that failed is not rescheduled: %s', error)
        except db_exc.DBError:
            LOG.exception('a server that failed is not rescheduled')


def _look_later(watched: Watch) -> None:
    runtime = watched.call.runtime
    # In a thread of the pod: if it does not answer, no work of others waits.
    runtime.background.submit_after(
        watched.seconds, runtime.pod_threads.submit, watched.pod, _run, watched.call, lambda: _look(watched)
    )


def _look(watched: Watch) -> None:
    """Read the state of a server, and reschedule it or look again later."""
    if time.monotonic() > watched.until:
        return
    server = _server(watched)
    if server is None:
        return
    if not server or server.get('status') == 'BUILD':
        _look_later(replace(watched, seconds=min(2 * watched.seconds, LONGEST_SECONDS)))
    elif had_no_valid_host(server):
        _later(0, watched, lambda: _reschedule(watched))


def _server(watched: Watch) -> dict[str, Any] | None:
    """Return the server as its pod shows it; empty if the pod does not answer; None if the server is gone."""
    try:
        path = f'{SERVER.path}/{watched.bottom_id}'
        timeout = watched.call.runtime.conf.pods.gather_timeout
        answer = send(watched.call, watched.pod, method='GET', path=path, query='', body=b'', timeout=timeout)
    except exception.PodError:
        return {}
    if answer.status >= 500 or answer.status == 429:
        return {}
    return json_body.member(answer, SERVER)


def _reschedule(watched: Watch) -> None:
    """Create the server in the next pod, and change its routing.

    :raises Trio2oException: no pod can take it
    """
    runtime, creation = watched.call.runtime, watched.creation
    tried = watched.tried | {watched.pod.id}
    request = replace(creation.request, tried=tried)
    LOG.info('pod %s had no host for server %s', watched.pod.name, watched.top_id)
    for pod in runtime.scheduler.select(request)[: runtime.conf.scheduler.max_attempts]:
        there = replace(watched, pod=pod, bottom_id='', tried=tried, seconds=FIRST_SECONDS)
        since = utcnow()
        _submit_settling(watched, pod, since)
        try:
            answer = watched.create.create_in(creation, pod)
        except exception.PodNotReached as error:
            LOG.warning('server %s cannot be rescheduled there: %s', watched.top_id, error)
            continue
        except exception.PodNoAnswer as error:
            _find_later(watched, there, since, str(error))
            return
        if answer.status >= 500 or watched.create.is_out_of_capacity(answer):
            LOG.warning('server %s cannot be rescheduled to pod %s: %d', watched.top_id, pod.name, answer.status)
            continue
        server = json_body.member(answer, SERVER)
        if server is None or not is_resource_id(server.get('id')):
            LOG.warning('server %s is not rescheduled: pod %s answered %d', watched.top_id, pod.name, answer.status)
            return
        _placed(watched, replace(there, bottom_id=server['id']))
        return


def _submit_settling(watched: Watch, pod: PodView, since: datetime) -> None:
    """Submit the job that leaves one server, whatever becomes of this process."""
    context = watched.call.context
    begun = Reschedule(
        watched.top_id,
        watched.pod.id,
        watched.bottom_id,
        pod.id,
        since,
        watched.creation.inner.get('name'),
        context.user_id or '',
        context.project_id or '',
    )
    watched.call.runtime.jobs.submit(
        job_types.SETTLE_RESCHEDULE, begun.key, begun.payload, delay_seconds=SETTLE_SECONDS
    )


def _find_later(old: Watch, new: Watch, since: datetime, reason: str) -> None:
    """Look for a server that a pod may have created without a clear answer. No other pod is tried meanwhile.

    :param new: the server in that pod, whose id there is not known
    :param since: when the create was sent
    """
    LOG.warning('the outcome of rescheduling server %s is unknown: %s', new.top_id, reason)
    for seconds in FIND_SECONDS:
        _later(seconds, new, lambda: _find(old, new, since))


def _find(old: Watch, new: Watch, since: datetime) -> None:
    """Look once for a server that a pod created without a clear answer, and use it."""
    runtime = new.call.runtime
    route = runtime.locator.look_up(SERVER.type, new.top_id)
    if route is None or route.bottom_id != old.bottom_id:
        return  # found by an earlier look
    query = urlencode({'changes-since': f'{since - CLOCKS_DIFFER:%Y-%m-%dT%H:%M:%SZ}'})
    answer = send(new.call, new.pod, method='GET', path=f'{SERVER.path}/detail', query=query, body=b'')
    name, user_id = new.creation.inner.get('name'), new.call.context.user_id
    found = [
        server
        for server in json_body.objects_at(answer.json, SERVER.collection)
        if (server.get('name'), server.get('user_id')) == (name, user_id)
        and server.get('status') != 'DELETED'
        and is_resource_id(server.get('id'))
    ]
    # Servers of other requests have a routing.
    recorded = runtime.locator.look_up_many(SERVER.type, [server['id'] for server in found])
    mine = [server['id'] for server in found if server['id'] not in recorded]
    if len(mine) == 1:
        _placed(old, replace(new, bottom_id=mine[0]))


def _placed(old: Watch, new: Watch) -> None:
    """Use the server in its new pod."""
    scheduler = new.call.runtime.scheduler
    _moved(old, new)
    request = replace(new.creation.request, tried=new.tried)
    scheduler.placed(request, new.pod)
    scheduler.moved(request, new.pod)


def _moved(old: Watch, new: Watch) -> None:
    """Change the routing to the new server, and delete the old one; delete the new one if the old one is gone."""
    runtime = new.call.runtime
    source, target = (old.pod.id, old.bottom_id), (new.pod.id, new.bottom_id)
    routing = routings.get(runtime.db, SERVER.type, new.top_id)
    is_wanted = routing is not None and routing.is_live
    if routing is not None and (routing.pod_id, routing.bottom_id) == source:
        # Otherwise the job has been faster, and may have deleted the old server already.
        server = _server(old)
        is_wanted = is_wanted and server is not None and (not server or had_no_valid_host(server))
    if not is_wanted or not moved_resources.move(runtime.db, SERVER.type, new.top_id, source, target):
        routing = routings.get(runtime.db, SERVER.type, new.top_id)
        if is_wanted and routing is not None and routing.is_live:
            LOG.warning('server %s is another one by now than %s', new.top_id, new.bottom_id)
            return
        LOG.info('server %s was deleted while it was rescheduled', new.top_id)
        _delete(new)
        return
    runtime.registry.refresh()
    runtime.locator.forget(SERVER.type, new.top_id)
    runtime.locator.forget(SERVER.type, new.bottom_id)
    LOG.info('server %s is in pod %s now, as %s', new.top_id, new.pod.name, new.bottom_id)
    _look_later(new)
    # Processes that still use the old routing would take a 404 of the old pod for the end of the server.
    _later(2 * runtime.conf.pods.refresh_seconds + 1, old, lambda: _delete(old))


def _delete(watched: Watch, attempts: int = MAX_DELETES) -> None:
    """Delete a server that must not stay in its pod; try again later if the pod does not answer."""
    try:
        answer = send(
            watched.call, watched.pod, method='DELETE', path=f'{SERVER.path}/{watched.bottom_id}', query='', body=b''
        )
        is_done = answer.status < 500 and not is_unknown_path(answer)
        reason = f'answered {answer.status}'
        if is_done and not answer.is_ok and answer.status != 404:
            LOG.warning('server %s should be deleted, but pod %s %s', watched.bottom_id, watched.pod.name, reason)
    except exception.PodError as error:
        is_done, reason = False, error.reason
    if is_done:
        return
    if attempts <= 1:
        LOG.warning('server %s should be deleted, but pod %s %s', watched.bottom_id, watched.pod.name, reason)
        return
    _later(LONGEST_SECONDS, watched, lambda: _delete(watched, attempts - 1))
