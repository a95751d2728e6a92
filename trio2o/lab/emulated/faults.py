# SPDX-License-Identifier: Apache-2.0
"""Scripted failures of a pod's service.

``pod.nova.faults.add(Slow(0.5, path=r'/servers', times=1))``: each fault selects requests and says
how they fail. ``transport`` (in the process) and ``server`` (on ports) carry it out, so the same
faults work with both.
"""

import dataclasses
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib import parse

from trio2o.lab.emulated import wire


@dataclasses.dataclass(frozen=True)
class Fault:
    """Base of the faults: which requests a fault hits.

    :param path: a regular expression searched in the path; empty hits every path
    :param method: only this method; empty hits every method
    :param times: number of requests that it hits; None is no limit
    :param after: number of matching requests that it lets pass first
    """

    path: str = dataclasses.field(default='', kw_only=True)
    method: str = dataclasses.field(default='', kw_only=True)
    times: int | None = dataclasses.field(default=None, kw_only=True)
    after: int = dataclasses.field(default=0, kw_only=True)

    def hits(self, method: str, path: str) -> bool:
        """Whether the fault selects this request, before ``after`` and ``times`` count."""
        return (not self.method or self.method == method) and bool(re.search(self.path, path))


@dataclasses.dataclass(frozen=True)
class Slow(Fault):
    """The answer is delayed."""

    seconds: float = 1.0


@dataclasses.dataclass(frozen=True)
class Refuse(Fault):
    """The connection is refused. On ports, a fault for some requests only resets the connection instead."""


@dataclasses.dataclass(frozen=True)
class Blackhole(Fault):
    """Packets are lost, so the connection is never established. On ports it is accepted and then ignored."""


@dataclasses.dataclass(frozen=True)
class Drop(Fault):
    """The connection is reset before the request is processed."""


@dataclasses.dataclass(frozen=True)
class DropAfter(Fault):
    """The request is processed, and the connection is reset before the answer."""


@dataclasses.dataclass(frozen=True)
class DropMidBody(Fault):
    """The connection is reset in the middle of the body."""


@dataclasses.dataclass(frozen=True)
class Truncate(Fault):
    """The connection is closed before the body has the bytes that Content-Length announced."""

    missing: int = 10


@dataclasses.dataclass(frozen=True)
class Hang(Fault):
    """The request is processed, but never answered."""


@dataclasses.dataclass(frozen=True)
class Status(Fault):
    """The answer has this status and the request is not processed, as if a proxy had answered."""

    status: int = 503
    body: bytes = b'<html><body>Service Unavailable</body></html>'
    headers: tuple[tuple[str, str], ...] = (('Content-Type', 'text/html'),)


@dataclasses.dataclass(frozen=True)
class StatusAfter(Status):
    """The request is processed, and then the answer has this status, as if a proxy had stopped waiting for it."""

    status: int = 504
    body: bytes = b'<html><body>Gateway Timeout</body></html>'


@dataclasses.dataclass(frozen=True)
class BalancerAnswers(Fault):
    """A balancer, an ingress or another virtual host in front of the service answers, in a form of its own.

    :param form: ``html``, ``text``, ``json`` or ``empty``
    :param is_processed: whether the service has processed the request before
    """

    form: str = 'html'
    status: int = 404
    is_processed: bool = False

    def response(self) -> wire.Response:
        """Make the answer."""
        reason = wire.REASONS[self.status]
        media, body = {
            'html': ('text/html', f'<html><body><h1>{self.status} {reason}</h1></body></html>'),
            'text': ('text/plain', f'default backend - {self.status}'),
            'json': ('application/json', wire.dumps({'error': {'code': self.status, 'message': reason}}).decode()),
            'empty': ('', ''),
        }[self.form]
        return wire.Response(self.status, [('Content-Type', media)] if media else [], body.encode())


@dataclasses.dataclass(frozen=True)
class Refusal(Fault):
    """The service itself refuses the request, in its own format, and does not process it.

    :param retry_after: seconds in the header Retry-After; None: no such header
    """

    status: int = 403
    retry_after: int | None = None


@dataclasses.dataclass(frozen=True)
class Redirect(Status):
    """Something before the service redirects to another URL, as from HTTP to HTTPS. The request is not processed."""

    status: int = 301
    body: bytes = b''
    headers: tuple[tuple[str, str], ...] = (('Location', 'https://elsewhere.test:8774/v2.1/servers'),)


@dataclasses.dataclass(frozen=True)
class EndlessPages(Fault):
    """A list begins again on each page, and each page says that there is another one.

    :param is_made_up: whether the items of each page get new ids, so that no page equals another one
    """

    is_made_up: bool = False

    def request(self, request: wire.Request) -> wire.Request:
        """Leave out where the page is to start."""
        rows = [row for row in request.params if row[0] not in ('marker', 'offset')]
        query = parse.urlencode(rows)
        return wire.Request(request.method, request.path, query, request.headers, request.body, request.base)

    def response(self, response: wire.Response) -> wire.Response:
        """Add links to a next page to an answer with a list."""
        document = wire.loads(response.body) if response.status == 200 else {}
        for name, items in list(document.items()):
            if not isinstance(items, list) or not items:
                continue
            for key in (f'{name}_links', f'{name.removesuffix("s")}_links'):
                document[key] = [{'rel': 'next', 'href': 'http://elsewhere.test/'}]
            for item in items if self.is_made_up else ():
                item['id'] = str(uuid.uuid4())
        headers = [(name, value) for name, value in response.headers if name.lower() != 'content-length']
        return wire.Response(response.status, headers, wire.dumps(document) if document else response.body)


@dataclasses.dataclass(frozen=True)
class Garbage(Fault):
    """The answer is a 200 whose body is not the JSON that its type announces. The request is not processed."""

    body: bytes = b'{"servers": [{"id": \x00\xff'


@dataclasses.dataclass(frozen=True)
class Alter(Fault):
    """The resources in the answer have other values than in the service, such as an id or an owner of others.

    :param values: field of a resource -> the value that the answer has
    :param hidden: fields that the answer lacks, as if the user were not allowed to see them
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    def change(self, response: wire.Response) -> None:
        """Replace the values in an answer in JSON: in its only object, or in each object of its list."""
        document = wire.loads(response.body)
        for value in document.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and 'id' in item:
                    item.update(self.values)
                    for name in self.hidden:
                        item.pop(name, None)
        response.body = wire.dumps(document)


@dataclasses.dataclass(frozen=True)
class Oversize(Fault):
    """The answer is followed by this number of blanks, which JSON allows."""

    size: int = 1 << 20


@dataclasses.dataclass(frozen=True)
class WrongVersion(Fault):
    """The answer to any microversion above this minor is 406, as from an older release."""

    minor: int = 1


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How an answer is delivered: the sum of the faults that hit the request."""

    delay: float = 0.0
    refused: bool = False
    blackholed: bool = False
    dropped: bool = False  # no byte of an answer is sent
    hung: bool = False
    cut_at: int | None = None  # number of bytes of the body that are sent
    reset: bool = False  # after them: RST instead of FIN


PLAIN = Delivery()


class Faults:
    """The faults of one service, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[list] = []  # [fault, hits so far]
        self._watchers: list[Callable[[], None]] = []

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` after every change, so that a server can open or close its port."""
        self._watchers.append(changed)

    def _changed(self) -> None:
        for changed in self._watchers:
            changed()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter([fault for fault, _ in self._faults])

    def add(self, *faults: Fault) -> None:
        """Add faults."""
        with self._lock:
            self._faults.extend([fault, 0] for fault in faults)
        self._changed()

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
        self._changed()

    def remove(self, fault: Fault) -> None:
        """Remove one fault."""
        with self._lock:
            self._faults = [row for row in self._faults if row[0] is not fault]
        self._changed()

    def refuse_all(self) -> bool:
        """Whether a fault refuses every connection."""
        return any(
            isinstance(fault, Refuse)
            and not fault.path
            and not fault.method
            and fault.times is None
            and not fault.after
            for fault, _ in self._faults
        )

    def strike(self, method: str, path: str) -> list[Fault]:
        """Count a request and return the faults that hit it."""
        struck = []
        with self._lock:
            for row in self._faults:
                fault, count = row
                if not fault.hits(method, path):
                    continue
                if fault.times is not None and count >= fault.after + fault.times:
                    continue
                row[1] += 1
                if count >= fault.after:
                    struck.append(fault)
        return struck


def delivery(struck: list[Fault], response: wire.Response | None) -> Delivery:
    """Sum up the faults for the transport."""
    delay = sum(fault.seconds for fault in struck if isinstance(fault, Slow))
    length = len(response.body) if response else 0
    cut_at, reset = None, False
    for fault in struck:
        if isinstance(fault, DropMidBody):
            cut_at, reset = length // 2, True
        elif isinstance(fault, Truncate):
            cut_at = max(0, length - fault.missing)
    return Delivery(
        delay=delay,
        cut_at=cut_at,
        reset=reset,
        refused=any(isinstance(fault, Refuse) for fault in struck),
        blackholed=any(isinstance(fault, Blackhole) for fault in struck),
        dropped=any(isinstance(fault, Drop | DropAfter) for fault in struck),
        hung=any(isinstance(fault, Hang) for fault in struck),
    )
