# SPDX-License-Identifier: Apache-2.0
"""Requests to pods. The only module that waits for a pod while a tenant waits."""

from __future__ import annotations

import logging
import time

from oslo_config import cfg

from trio2o import exception, metrics
from trio2o.pods.breakers import Breakers
from trio2o.pods.own_answers import is_missing_or_unknown_path
from trio2o.pods.registry import PodView
from trio2o.pods.transport import Transport
from trio2o.web.call import Answer

LOG = logging.getLogger(__name__)

#: Statuses that a breaker counts as failures: a proxy in front of the pod, or the pod itself, is out of service.
FAILURE_STATUSES = frozenset({502, 503, 504})


class PodClient:
    """Sends requests to pods through a transport, unless a breaker is open."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Transport, breakers: Breakers) -> None:
        self._transport = transport
        self.breakers = breakers
        self._read_timeout = conf.pods.read_timeout

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
        :raises PodNotReached: nothing was sent
        :raises PodNoAnswer: the request was sent, and no complete answer came, not even for the second try of a read;
            or a 404 came that is not the service's own
        """
        endpoint = pod.endpoints.get(service)
        if endpoint is None:
            raise exception.PodNotReached(pod.name, f'has no {service} endpoint')
        limit = self._read_timeout if timeout is None else timeout
        if limit <= 0:
            # The deadline of the request is over, which is no failure of the pod.
            raise exception.PodNotReached(pod.name, f'no time left to call {service}')
        key = (pod.id, service)
        if not self.breakers.may_call(key):
            raise exception.PodNotReached(pod.name, f'{service} is not called while its breaker is open')
        started = time.monotonic()
        url = endpoint.url + path
        try:
            try:
                answer = self._transport.request(method, url, headers, body or None, limit)
            except ConnectionRefusedError:
                raise
            except ConnectionError:
                # Usually the pod closed a connection of the pool just when it was used.
                left = limit - (time.monotonic() - started)
                reads = is_read or method in ('GET', 'HEAD')
                if not (reads and is_repeated) or left <= 0:
                    raise
                answer = self._transport.request(method, url, headers, body or None, left)
        except ConnectionRefusedError as error:
            self._failed(key, pod, service, 'not_reached', started)
            raise exception.PodNotReached(pod.name, f'{service} not reached: {error}') from None
        except (TimeoutError, ConnectionError) as error:
            self._failed(key, pod, service, 'no_answer', started)
            raise exception.PodNoAnswer(pod.name, f'{service} gave no answer: {error}') from None
        status = answer[0]
        found = Answer(*answer)
        if status in FAILURE_STATUSES:
            self._failed(key, pod, service, 'unavailable', started)
        elif status == 404 and not is_missing_or_unknown_path(found, method):
            # A breaker counts this neither way: the service may work, and a path that a tenant chose may be the cause.
            metrics.pod_called(pod.name, service, 'no_answer', time.monotonic() - started)
            raise exception.PodNoAnswer(pod.name, f'{service} answered 404 in a form that is not its own')
        else:
            if self.breakers.succeeded(key):
                metrics.breaker_turned(pod.name, service, is_open=False)
            metrics.pod_called(pod.name, service, f'{status // 100}xx', time.monotonic() - started)
        return found

    def _failed(self, key: tuple[str, str], pod: PodView, service: str, outcome: str, started: float) -> None:
        metrics.pod_called(pod.name, service, outcome, time.monotonic() - started)
        if self.breakers.failed(key):
            metrics.breaker_turned(pod.name, service, is_open=True)
