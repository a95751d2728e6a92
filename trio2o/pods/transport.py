# SPDX-License-Identifier: Apache-2.0
"""HTTP requests as bytes: the interface under ``PodClient``, and its implementation with urllib3.

Failures are exceptions of the standard library, so that an implementation needs no other: ``ConnectionRefusedError``
when nothing was sent, ``TimeoutError`` or any other ``ConnectionError`` when the request was sent and no complete
answer came.
"""

from __future__ import annotations

from typing import Protocol

import urllib3
from oslo_config import cfg
from urllib3 import exceptions as errors

from trio2o.concurrency import Deadline

Headers = list[tuple[str, str]]


class Transport(Protocol):
    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        """:param timeout: seconds for the whole call, connecting included"""
        ...


class PooledTransport:
    """Transport over urllib3: a pool of open connections, with TCP_NODELAY, for each endpoint."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.pods
        tls = {'cert_reqs': 'CERT_NONE'} if options.insecure else {'ca_certs': options.cafile}
        self._connect_timeout = options.connect_timeout
        self._pools = urllib3.PoolManager(num_pools=1024, maxsize=options.pool_size, block=False, **tls)

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        deadline = Deadline(timeout)
        limits = urllib3.Timeout(connect=min(self._connect_timeout, timeout), read=timeout)
        try:
            response = self._pools.urlopen(
                method,
                url,
                body=body,
                headers=urllib3.HTTPHeaderDict(headers),
                retries=False,
                redirect=False,
                timeout=limits,
                decode_content=False,
                preload_content=False,
            )
            answer = response.status, list(response.headers.items()), _read(response, deadline)
            if not answer[2] and _is_cut_short(method, response):
                raise ConnectionResetError('the headers of the answer were not complete')
            return answer
        except _NOT_SENT as error:
            raise ConnectionRefusedError(type(error).__name__) from None
        except (errors.TimeoutError, TimeoutError) as error:
            raise TimeoutError(type(error).__name__) from None
        except (errors.HTTPError, OSError) as error:
            raise ConnectionResetError(type(error).__name__) from None


_NOT_SENT = (errors.ConnectTimeoutError, errors.NewConnectionError, errors.SSLError, errors.LocationValueError)

_PIECE = 1 << 18


def _is_cut_short(method: str, response: urllib3.BaseHTTPResponse) -> bool:
    """Whether the connection ended within the headers, which the standard library does not notice."""
    if method == 'HEAD' or response.status in (204, 304):
        return False
    return 'content-length' not in response.headers and 'transfer-encoding' not in response.headers


def _read(response: urllib3.BaseHTTPResponse, deadline: Deadline) -> bytes:
    """Read the body in pieces: urllib3's timeout is for each of them, the deadline for all together.

    :raises TimeoutError: the deadline passed; the connection is closed
    """
    parts = []
    while piece := response.read1(_PIECE):
        parts.append(piece)
        if deadline.is_over():
            response.close()
            raise TimeoutError('the body took too long')
    response.release_conn()
    return b''.join(parts)
