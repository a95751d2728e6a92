# SPDX-License-Identifier: Apache-2.0
"""One request to one pod, one answer back. The only place that waits on a pod for a tenant."""

from __future__ import annotations

import logging
import time

from oslo_config import cfg

from trio2o import exception, metrics
from trio2o.pods.health import Breakers
from trio2o.pods.registry import PodView
from trio2o.pods.transport import Transport
from trio2o.web.call import Answer

LOG = logging.getLogger(__name__)

#: Answers that count against the pod: something before it, or it itself, cannot serve.
SICK = frozenset({502, 503, 504})


class PodClient:
    """Sends requests to pods through a transport, watched by the breakers."""

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
        :param timeout: seconds; the configured read timeout if None
        :param is_repeated: whether a read may be sent twice; some of Cinder's change what they read
        :param is_read: whether it reads whatever its method
        :raises PodNotReached: nothing was sent
        :raises PodNoAnswer: sent, and no complete answer came. Reads are sent once more before.
        """
        endpoint = pod.endpoints.get(service)
        if endpoint is None:
            raise exception.PodNotReached(pod.name, f'has no {service} endpoint')
        key = (pod.id, service)
        if not self.breakers.may_call(key):
            raise exception.PodNotReached(pod.name, f'{service} is left alone after failures')
        started = time.monotonic()
        limit = self._read_timeout if timeout is None else timeout
        url = endpoint.url + path
        try:
            try:
                answer = self._transport.request(method, url, headers, body or None, limit)
            except ConnectionRefusedError:
                raise
            except ConnectionError:
                # Mostly a kept connection that the pod closed at this very moment.
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
        if status in SICK:
            self._failed(key, pod, service, 'sick', started)
        else:
            if self.breakers.succeeded(key):
                metrics.breaker_turned(pod.name, service, is_open=False)
            metrics.pod_called(pod.name, service, f'{status // 100}xx', time.monotonic() - started)
        return Answer(*answer)

    def _failed(self, key: tuple[str, str], pod: PodView, service: str, outcome: str, started: float) -> None:
        metrics.pod_called(pod.name, service, outcome, time.monotonic() - started)
        if self.breakers.failed(key):
            metrics.breaker_turned(pod.name, service, is_open=True)
