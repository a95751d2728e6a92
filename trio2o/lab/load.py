# SPDX-License-Identifier: Apache-2.0
"""Clients that send requests to a Compute API all the time and count the answers, while something else happens."""

from __future__ import annotations

import collections
import http.client
import itertools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

READS = 2
WRITES = 2
PAUSE_SECONDS = 0.2
TIMEOUT_SECONDS = 60
#: HAProxy's answers if a host ends while it has the request; HAProxy must not repeat a POST.
BROKEN_OFF = (502, 504)


@dataclass(frozen=True)
class Target:
    """The API that gets the load.

    :ivar path: the part of the path before ``/servers``
    :ivar server: the body of a create, below its ``server`` key
    """

    host: str
    port: int
    path: str
    token: str
    server: Mapping[str, Any]


class Client(threading.Thread):
    """Sends requests until it is stopped, and counts the answers by method and status."""

    def __init__(self, target: Target, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._ended = ended
        self._headers = {'X-Auth-Token': target.token, 'Content-Type': 'application/json'}
        self.seen: collections.Counter[tuple[str, int | str]] = collections.Counter()
        self.slowest = 0.0

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int | str, bytes]:
        """Send one request on a new connection.

        :returns: the status, or the class of the error, and the body
        """
        begun = time.monotonic()
        connection = http.client.HTTPConnection(self._target.host, self._target.port, timeout=TIMEOUT_SECONDS)
        status: int | str
        try:
            connection.request(method, self._target.path + path, json.dumps(body) if body else None, self._headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            status, content = type(error).__name__, b''
        finally:
            connection.close()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.seen[method, status] += 1
        return status, content

    def run(self) -> None:
        for number in itertools.count():
            if self._ended.wait(PAUSE_SECONDS):
                return
            self.work(number)

    def work(self, number: int) -> None:
        raise NotImplementedError


class Reader(Client):
    """Lists servers, a page of them, and flavors in turn."""

    def work(self, number: int) -> None:
        self.ask('GET', '/servers/detail?limit=50' if number % 2 else '/flavors')


class Writer(Client):
    """Creates servers and deletes every second one.

    :ivar kept: ids of the servers that must exist
    :ivar gone: ids of the servers that must not exist
    :ivar unsure: number of requests without a successful answer
    """

    def __init__(self, target: Target, ended: threading.Event) -> None:
        super().__init__(target, ended)
        self.kept: set[str] = set()
        self.gone: set[str] = set()
        self.unsure = 0

    def work(self, number: int) -> None:
        status, content = self.ask('POST', '/servers', {'server': self._target.server})
        if status != 202:
            self.unsure += 1
            return
        server_id = json.loads(content)['server']['id']
        self.kept.add(server_id)
        if number % 2:
            status, _content = self.ask('DELETE', f'/servers/{server_id}')
            self.kept.discard(server_id)
            (self.gone if status == 204 else set()).add(server_id)
            self.unsure += status != 204


@dataclass
class Load:
    """Readers and writers that work until they are stopped."""

    target: Target
    readers: list[Reader] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Load:
        self.readers = [Reader(self.target, self.ended) for _each in range(READS)]
        self.writers = [Writer(self.target, self.ended) for _each in range(WRITES)]
        for client in (*self.readers, *self.writers):
            client.start()
        return self

    def end(self) -> collections.Counter[tuple[str, int | str]]:
        """Stop the clients.

        :returns: number of answers by method and status
        """
        self.ended.set()
        seen: collections.Counter[tuple[str, int | str]] = collections.Counter()
        for client in (*self.readers, *self.writers):
            client.join(TIMEOUT_SECONDS + PAUSE_SECONDS + TIMEOUT_SECONDS)
            seen += client.seen
        return seen

    @property
    def slowest(self) -> float:
        """Seconds until the slowest answer."""
        return max(client.slowest for client in (*self.readers, *self.writers))

    @property
    def kept(self) -> set[str]:
        return set().union(*(writer.kept for writer in self.writers))

    @property
    def gone(self) -> set[str]:
        return set().union(*(writer.gone for writer in self.writers))

    def clear(self) -> None:
        """Delete the servers in ``kept``."""
        client = Client(self.target, self.ended)
        for server_id in self.kept:
            client.ask('DELETE', f'/servers/{server_id}')

    def ids(self) -> set[str]:
        """List the ids of all servers."""
        client = Client(self.target, self.ended)
        found: set[str] = set()
        marker = ''
        while True:
            status, content = client.ask('GET', f'/servers?limit=500{marker}')
            if status != 200:
                raise OSError(f'the list of servers failed: {status}')
            page = [server['id'] for server in json.loads(content)['servers']]
            if not page:
                return found
            found.update(page)
            marker = f'&marker={page[-1]}'
