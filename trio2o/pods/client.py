# SPDX-License-Identifier: Apache-2.0
"""Requests to pods. The only module that waits for a pod while a tenant waits."""

from __future__ import annotations

import logging
import time

from oslo_config import cfg
from oslo_context import context

from trio2o import exception, metrics
from trio2o.concurrency import Deadline
from trio2o.pods.breakers import Breakers, Key
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.identity import FAILURES, Identity
from trio2o.pods.own_answers import is_foreign
from trio2o.pods.registry import PodView
from trio2o.pods.shares import Shares, ShareUsedUp
from trio2o.pods.transport import Transport
from trio2o.web.call import Answer

LOG = logging.getLogger(__name__)

#: The configuration of the requests that call a service of a pod.
_SERVED_BY = {COMPUTE: 'nova_apigw', VOLUME: 'cinder_apigw'}
#: Statuses that a breaker counts as failures: a proxy in front of the pod, or the pod itself, is out of service.
FAILURE_STATUSES = frozenset({502, 503, 504})

_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})
#: Redirects after which the service has certainly done nothing: something before it sends clients to another URL.
_MOVED_STATUSES = frozenset({301, 302, 307, 308})


class PodClient:
    """Sends requests to pods through a transport, unless a breaker is open or a slow pod has its share of calls."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Transport, breakers: Breakers, identity: Identity) -> None:
        """:param identity: with which it finds out whether a pod that does not answer one project answers others"""
        self._identity = identity
        self._transport = transport
        self.breakers = breakers
        options = conf.pods
        self._read_timeout: float = options.read_timeout
        self._connect_timeout: float = options.connect_timeout
        self._probe_timeout: float = options.probe_timeout
        # A breaker refuses calls that may take much longer than a look-up, so it does not count shorter limits.
        self._least_timeout = min(options.gather_timeout, options.read_timeout) / 2
        self.shares = Shares({service: _share(conf, group) for service, group in _SERVED_BY.items()})

    def send(
        self,
        pod: PodView,
        service: str,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes | None = None,
        timeout: float | None = None,
        is_repeated: bool = True,
        is_read: bool = False,
    ) -> Answer:
        """Send one request.

        :param path: below the endpoint's version, with query string
        :param timeout: seconds; the configured read timeout if None; nothing is sent if there are none
        :param is_repeated: whether a read may be sent a second time; some GET requests to Cinder change what they read
        :param is_read: whether the request is a read although its method is not GET or HEAD
        :raises PodNotReached: nothing was sent, or a redirect came instead of the service's answer
        :raises PodNoAnswer: the request was sent, and no complete answer came, not even for the second try of a read;
            or an answer came that is not the service's own
        """
        endpoint = pod.endpoints.get(service)
        if endpoint is None:
            raise exception.PodNotReached(pod.name, f'has no {service} endpoint')
        limit = self._read_timeout if timeout is None else timeout
        if limit <= 0:
            # The deadline of the request is over, which is no failure of the pod.
            raise exception.PodNotReached(pod.name, f'no time left to call {service}', is_down=False)
        key = (pod.id, service)
        started = time.monotonic()
        if not self.breakers.may_call(key, limit):
            raise exception.PodNotReached(pod.name, f'{service} is not called while its breaker is open')
        try:
            place = self.shares.enter(key, limit, _request_id())
        except ShareUsedUp:
            reason = f'{service} is slow, and has its share of calls already'
            raise exception.PodNotReached(pod.name, reason, is_down=False) from None
        is_write = not is_read and method not in ('GET', 'HEAD')
        is_answered = False
        try:
            is_repeated = is_repeated and not is_write
            left = limit - (time.monotonic() - started)
            answer = self._request(method, endpoint.url + path, headers, body or None, max(left, 0.001), is_repeated)
            is_answered = True
        except ConnectionRefusedError as error:
            is_cut_off = limit < self._connect_timeout and time.monotonic() - started >= limit
            self._failed(key, pod, service, 'not_reached', started, is_counted=not is_cut_off)
            reason = f'{service} not reached: {error}'
            raise exception.PodNotReached(pod.name, reason, is_down=not is_cut_off) from None
        except TimeoutError as error:
            # A short timeout of ours does not show that the pod fails.
            self._failed(key, pod, service, 'no_answer', started, is_counted=limit >= self._least_timeout)
            raise exception.PodNoAnswer(pod.name, f'{service} gave no answer: {error}', is_down=False) from None
        except ConnectionError as error:
            self._failed(key, pod, service, 'no_answer', started)
            raise exception.PodNoAnswer(pod.name, f'{service} gave no answer: {error}') from None
        finally:
            self.shares.leave(key, place, is_answered=is_answered)
        status = answer.status
        is_failure = status in FAILURE_STATUSES
        if is_failure:
            self._failed(key, pod, service, 'unavailable', started)
        elif status in _REDIRECTS:
            # The pod's own URL is not for clients. As with a 404, a path that a tenant chose may be the cause.
            metrics.pod_called(pod.name, service, 'no_answer', time.monotonic() - started)
            error_class = exception.PodNotReached if status in _MOVED_STATUSES else exception.PodNoAnswer
            raise error_class(pod.name, f'{service} answered with a redirect ({status})', is_down=False)
        if is_foreign(answer, method, is_write=is_write):
            if not is_failure:
                # A breaker counts this neither way: the service may work, and a path of a tenant may be the cause.
                metrics.pod_called(pod.name, service, 'no_answer', time.monotonic() - started)
            reason = f'{service} answered {status} in a form that is not its own'
            raise exception.PodNoAnswer(pod.name, reason, is_down=is_failure)
        if not is_failure:
            if self.breakers.succeeded(key):
                metrics.breaker_turned(pod.name, service, is_open=False)
            metrics.pod_called(pod.name, service, f'{status // 100}xx', time.monotonic() - started)
        return answer

    def _request(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        seconds: float,
        is_repeated: bool,
    ) -> Answer:
        """Send a request, once more if the connection is lost and it may be repeated."""
        deadline = Deadline(seconds)
        try:
            return Answer(*self._transport.request(method, url, headers, body, seconds))
        except ConnectionRefusedError:
            raise
        except ConnectionError:
            # Usually the pod closed a connection of the pool just when it was used.
            if not is_repeated or deadline.is_over():
                raise
            return Answer(*self._transport.request(method, url, headers, body, deadline.remaining()))

    def _failed(
        self, key: Key, pod: PodView, service: str, outcome: str, started: float, *, is_counted: bool = True
    ) -> None:
        metrics.pod_called(pod.name, service, outcome, time.monotonic() - started)
        if not is_counted:
            return
        # One project alone can cause the others, by requests that take the pod long.
        source = None if outcome == 'not_reached' else _project()
        is_opened = self.breakers.failed(key, source)
        if self.breakers.is_suspect(key):
            is_opened = self._check(key, pod, service)
        if is_opened:
            metrics.breaker_turned(pod.name, service, is_open=True)

    def _check(self, key: Key, pod: PodView, service: str) -> bool:
        """Find out, with Trio2o's own token, whether a pod answers others, as the requests of one project failed.

        A short list needs the pod's authentication and database, as most requests do.

        :returns: whether the breaker opened
        """
        headers, path = self._check_request(pod.name, service)
        url = pod.endpoints[service].url
        try:
            status = self._transport.request('GET', url + path, headers, None, self._probe_timeout)[0]
        except (TimeoutError, ConnectionError):
            return self.breakers.failed(key)
        if status in FAILURE_STATUSES:
            return self.breakers.failed(key)
        self.breakers.succeeded(key)
        return False

    def _check_request(self, pod_name: str, service: str) -> tuple[list[tuple[str, str]], str]:
        """Return the headers and the path of a request that every pod answers fast."""
        try:
            account = self._identity.account_of(pod_name)
            headers, project_id = account.headers(), account.project_id()
        except (exception.ServiceUnavailable, *FAILURES):
            # Without a token the pod can at least show its versions.
            return [], '/'
        return headers, '/servers?limit=1' if service == COMPUTE else f'/{project_id}/volumes?limit=1'


def _request_id() -> str:
    """Return the id of the request that this thread serves; empty if there is none."""
    current = context.get_current()
    return current.request_id if current is not None else ''


def _project() -> str:
    """Return the id of the project whose request this thread serves; empty if there is none."""
    current = context.get_current()
    return (current.project_id or '') if current is not None else ''


def _share(conf: cfg.ConfigOpts, group: str) -> int:
    """Return how many calls to a service of one pod may be under way: half as many as requests."""
    return max(1, conf[group].threads // 2)
