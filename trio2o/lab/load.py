# SPDX-License-Identifier: Apache-2.0
"""Clients that ask a Compute API without pause, and remember what came back: for what happens meanwhile."""

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
PAUSE_SECONDS = 0.1
TIMEOUT_SECONDS = 60
#: What HAProxy says when a host went away while it had the request; it must not send a POST again.
BROKEN_OFF = (502, 504)


@dataclass(frozen=True)
class Target:
    """Where the load goes.

    :ivar path: what comes before ``/servers``
    :ivar server: the body of a create, below its ``server`` key
    """

    host: str
    port: int
    path: str
    token: str
    server: Mapping[str, Any]


class Client(threading.Thread):
    """Asks again and again, and counts the answers by method and status."""

    def __init__(self, target: Target, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._ended = ended
        self._headers = {'X-Auth-Token': target.token, 'Content-Type': 'application/json'}
        self.seen: collections.Counter[tuple[str, int | str]] = collections.Counter()
        self.slowest = 0.0

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int | str, bytes]:
        """Send one request, on a connection of its own.

        :returns: the status, or what kind of error there was, and the body
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
    """Lists, of servers and of flavors in turn."""

    def work(self, number: int) -> None:
        self.ask('GET', '/servers/detail' if number % 2 else '/flavors')


class Writer(Client):
    """Makes servers and deletes every other one.

    :ivar kept: ids that have to be there; ``gone``: that must not; ``unsure``: how many nobody answered for
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
        """:returns: how many answers there were, by method and status"""
        self.ended.set()
        seen: collections.Counter[tuple[str, int | str]] = collections.Counter()
        for client in (*self.readers, *self.writers):
            client.join(TIMEOUT_SECONDS + PAUSE_SECONDS + TIMEOUT_SECONDS)
            seen += client.seen
        return seen

    @property
    def slowest(self) -> float:
        """Seconds of the answer that took longest."""
        return max(client.slowest for client in (*self.readers, *self.writers))

    @property
    def kept(self) -> set[str]:
        return set().union(*(writer.kept for writer in self.writers))

    @property
    def gone(self) -> set[str]:
        return set().union(*(writer.gone for writer in self.writers))

    def clear(self) -> None:
        """Delete what was made to stay."""
        asking = Client(self.target, self.ended)
        for server_id in self.kept:
            asking.ask('DELETE', f'/servers/{server_id}')

    def ids(self) -> set[str]:
        """The servers that the target lists."""
        asking = Client(self.target, self.ended)
        found: set[str] = set()
        marker = ''
        while True:
            status, content = asking.ask('GET', f'/servers?limit=500{marker}')
            if status != 200:
                raise OSError(f'the list of servers failed: {status}')
            page = [server['id'] for server in json.loads(content)['servers']]
            if not page:
                return found
            found.update(page)
            marker = f'&marker={page[-1]}'
