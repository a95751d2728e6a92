# SPDX-License-Identifier: Apache-2.0
"""Bytes to a URL and bytes back: the seam under ``PodClient``.

Failures are told in the standard library's words, so that any transport can stand in:
``ConnectionRefusedError`` when nothing was sent, ``TimeoutError`` or any other ``ConnectionError`` when the
request went out and no complete answer came.
"""

from __future__ import annotations

from typing import Protocol

import urllib3
from oslo_config import cfg
from urllib3 import exceptions as errors

Headers = list[tuple[str, str]]


class Transport(Protocol):
    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
        """:param timeout: seconds for the whole call, connecting included"""
        ...


class PooledTransport:
    """urllib3's pools: connections are kept open, with TCP_NODELAY, one pool for each endpoint."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf.pods
        tls = {'cert_reqs': 'CERT_NONE'} if options.insecure else {'ca_certs': options.cafile}
        self._connect_timeout = options.connect_timeout
        self._pools = urllib3.PoolManager(num_pools=1024, maxsize=options.pool_size, block=False, **tls)

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, timeout: float
    ) -> tuple[int, Headers, bytes]:
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
                preload_content=True,
            )
        except (
            errors.ConnectTimeoutError,
            errors.NewConnectionError,
            errors.SSLError,
            errors.LocationValueError,
        ) as e:
            raise ConnectionRefusedError(type(e).__name__) from None
        except errors.TimeoutError as e:
            raise TimeoutError(type(e).__name__) from None
        except (errors.HTTPError, OSError) as e:
            raise ConnectionResetError(type(e).__name__) from None
        return response.status, list(response.headers.items()), response.data
