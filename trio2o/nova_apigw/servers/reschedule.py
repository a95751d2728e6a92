# SPDX-License-Identifier: Apache-2.0
"""Servers that a pod accepted and then had no host for: made anew in the next pod, under the same id for the tenant.

The process that served the request watches them, with the caller's own token, until they are built. What that takes,
the request and the token, is nowhere but in its memory; when the process ends, or the token does, a server that
failed stays as its pod left it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from oslo_db import exception as db_exc

from trio2o import exception
from trio2o.context import working_for
from trio2o.db import moved_resources
from trio2o.gateway.call_pod import send
from trio2o.gateway.handlers.create import Place
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER
from trio2o.scheduler.spec import PodRequest
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

#: Servers watched at once. Those beyond are not.
MOST = 10_000

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 8.0
#: Times a failed server is tried to be deleted.
DELETES = 10

#: What a fault says when there was no host, or none was left to try.
_NO_HOST = ('No valid host', 'Exhausted all hosts')


@dataclass(frozen=True)
class Watch:
    """One server on its way.

    :ivar bottom_id: its id in the pod it is in now
    :ivar document: what makes it, with the password that the first pod gave it
    :ivar tried: ids of the pods that had no host for it
    """

    place: Place
    call: Call
    pod: PodView
    top_id: str
    bottom_id: str
    document: Any = field(repr=False)
    request: PodRequest
    until: float
    tried: frozenset[str] = frozenset()
    seconds: float = FIRST_SECONDS


class Clockwork:
    """Runs things later, in the executor of the runtime they belong to."""

    def __init__(self) -> None:
        self._later: list[tuple[float, int, Call, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._later)

    def after(self, seconds: float, call: Call, function: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), call, function))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name='rebuild', daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._later or self._later[0][0] > time.monotonic():
                    self._changed.wait(self._later[0][0] - time.monotonic() if self._later else None)
                _due, _number, call, function = heapq.heappop(self._later)
            try:
                call.runtime.executor.submit(_work, call, function)
            except RuntimeError:
                continue  # the service has ended


def _work(call: Call, function: Callable[[], None]) -> None:
    """Do something for a request that was answered long ago, and tell what went wrong: nobody else would."""
    with working_for(call.context.request_id):
        try:
            function()
        except exception.Trio2oException as error:
            LOG.warning('a server that failed is not made anew: %s', error)
        except db_exc.DBError:
            LOG.exception('a server that failed is not made anew')


CLOCKWORK = Clockwork()


def follow(place: Place, call: Call, document: Any, request: PodRequest, answer: Answer) -> None:
    """Watch a server that was accepted, if the operator wants that and it can be made anew."""
    options = call.runtime.conf.scheduler
    made = answer.json.get(SERVER.member) if isinstance(answer.json, dict) else None
    if not options.reschedule_on_no_valid_host or request.count != 1 or document.get('os:scheduler_hints'):
        return
    if not isinstance(made, dict) or not isinstance(made.get('id'), str):
        return
    route = call.runtime.locator.look_up(SERVER.type, made['id'])
    if route is None:
        return
    if len(CLOCKWORK) >= MOST:
        LOG.warning('server %s is not watched: %d others are', made['id'], MOST)
        return
    if made.get('adminPass'):
        key = place.body_key or SERVER.member
        document = {**document, key: {**document[key], 'adminPass': made['adminPass']}}
    until = time.monotonic() + options.reschedule_watch_seconds
    _again(Watch(place, call, route.pod, route.top_id, route.bottom_id, document, request, until))


def _again(watch: Watch) -> None:
    CLOCKWORK.after(watch.seconds, watch.call, lambda: _look(watch))


def _look(watch: Watch) -> None:
    """See how far it is."""
    if time.monotonic() > watch.until:
        return
    server = _server(watch)
    if server is None:
        return
    if not server or server.get('status') == 'BUILD':
        _again(replace(watch, seconds=min(2 * watch.seconds, LONGEST_SECONDS)))
    elif _had_no_host(server):
        _make_anew(watch)


def _server(watch: Watch) -> dict[str, Any] | None:
    """As its pod shows it; empty if the pod does not answer; None if it is not to be seen any more."""
    try:
        path = f'{SERVER.path}/{watch.bottom_id}'
        answer = send(watch.call, watch.pod, method='GET', path=path, query='', body=b'')
    except exception.PodError:
        return {}
    if answer.status >= 500 or answer.status == 429:
        return {}
    document = answer.json if answer.is_ok else None
    server = document.get(SERVER.member) if isinstance(document, dict) else None
    return server if isinstance(server, dict) else None


def _had_no_host(server: dict[str, Any]) -> bool:
    """Whether it failed, never ran, and nobody is deleting it."""
    fault = server.get('fault')
    message = str(fault.get('message', '')) if isinstance(fault, dict) else ''
    is_untouched = not server.get('OS-SRV-USG:launched_at') and not server.get('OS-EXT-STS:task_state')
    return server.get('status') == 'ERROR' and is_untouched and any(text in message for text in _NO_HOST)


def _make_anew(watch: Watch) -> None:
    """Make it in the next pod that will do, and let its routing follow.

    :raises Trio2oException: no pod will do
    """
    runtime = watch.call.runtime
    tried = watch.tried | {watch.pod.id}
    request = replace(watch.request, tried=tried)
    LOG.info('pod %s had no host for server %s', watch.pod.name, watch.top_id)
    for pod in runtime.scheduler.select(request)[: runtime.conf.scheduler.max_attempts]:
        try:
            answer = watch.place.create_once(watch.call, pod, watch.document)
        except exception.PodNotReached as error:
            LOG.warning('server %s cannot be made anew there: %s', watch.top_id, error)
            continue
        if answer.status >= 500 or watch.place.is_full(answer):
            LOG.warning('server %s cannot be made anew in pod %s: %d', watch.top_id, pod.name, answer.status)
            continue
        made = answer.json.get(SERVER.member) if answer.is_ok and isinstance(answer.json, dict) else None
        if not isinstance(made, dict) or not isinstance(made.get('id'), str):
            LOG.warning('server %s is not made anew: pod %s answered %d', watch.top_id, pod.name, answer.status)
            return
        _moved(watch, replace(watch, pod=pod, bottom_id=made['id'], tried=tried, seconds=FIRST_SECONDS))
        runtime.scheduler.placed(request, pod)
        runtime.scheduler.moved(request, pod)
        return


def _moved(old: Watch, new: Watch) -> None:
    """Let the new one be the server, and delete the old one; or the new one, if the old one was deleted meanwhile."""
    runtime = new.call.runtime
    server = _server(old)
    is_wanted = server is not None and (not server or _had_no_host(server))
    if not is_wanted or not moved_resources.move(runtime.db, SERVER.type, new.top_id, new.pod.id, new.bottom_id):
        LOG.info('server %s was deleted while it was made anew', new.top_id)
        _delete(new)
        return
    runtime.registry.refresh()
    runtime.locator.forget(SERVER.type, new.top_id)
    runtime.locator.forget(SERVER.type, new.bottom_id)
    LOG.info('server %s is in pod %s now, as %s', new.top_id, new.pod.name, new.bottom_id)
    _again(new)
    # Not before every process knows where it is: a 404 of the old pod would mean to them that it is gone.
    CLOCKWORK.after(2 * runtime.conf.pods.refresh_seconds + 1, old.call, lambda: _delete(old))


def _delete(watch: Watch, left: int = DELETES) -> None:
    """Delete what must not be there."""
    try:
        answer = send(
            watch.call, watch.pod, method='DELETE', path=f'{SERVER.path}/{watch.bottom_id}', query='', body=b''
        )
        is_done = answer.status < 500
        why = f'answered {answer.status}'
        if is_done and not answer.is_ok and answer.status != 404:
            LOG.warning('server %s of pod %s should be deleted: it %s', watch.bottom_id, watch.pod.name, why)
    except exception.PodError as error:
        is_done, why = False, error.reason
    if is_done:
        return
    if left <= 1:
        LOG.warning('server %s of pod %s should be deleted: it %s', watch.bottom_id, watch.pod.name, why)
        return
    CLOCKWORK.after(LONGEST_SECONDS, watch.call, lambda: _delete(watch, left - 1))
