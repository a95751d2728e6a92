# SPDX-License-Identifier: Apache-2.0
"""A whole emulated cloud on loopback ports, served by one thread.

``with CloudServer(Cloud(pods=2)) as server: ...`` changes the catalog and the pods' URLs to the
ports in use. It does not work in a process that eventlet has patched: there, start ``trio2o-lab
emulated up`` as a process of its own.
"""

import asyncio
import socket
import threading
from collections.abc import Mapping
from typing import Any

from trio2o.lab.emulated.http11 import Connection
from trio2o.lab.emulated.service import Service
from trio2o.lab.emulated.topology import Cloud, root_of

LOOPBACK = '127.0.0.1'


class Port:
    """One service on one port; closed while the service refuses everything."""

    def __init__(self, service: Service, host: str, number: int) -> None:
        self.service = service
        self.host = host
        self.number = number
        self.connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, self.number))
        self.number = sock.getsockname()[1]
        self._listener = await loop.create_server(
            lambda: Connection(self.service, self.connections), sock=sock, backlog=1024
        )

    def close(self) -> None:
        """Stop listening, and reset the open connections."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.reset()

    async def adjust(self) -> None:
        """Close the port if the faults refuse every connection, or else open it."""
        is_refusing = self.service.faults.refuse_all()
        if is_refusing and self._listener is not None:
            self.close()
        elif not is_refusing and self._listener is None:
            await self.open()


class CloudServer:
    """Serves a cloud on ports: Keystone at the base, Glance at base + 1, Neutron at base + 2, pod N at base + 100 N.

    :param port_base: 0 chooses free ports. With more than ``_MANY`` pods, pod N is at base + 4 N
    """

    _MANY = 300

    def __init__(self, cloud: Cloud, port_base: int = 0, host: str = LOOPBACK) -> None:
        self.cloud = cloud
        self.host = host
        self.loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        number_of = (lambda offset: port_base + offset) if port_base else (lambda offset: 0)
        self._ports: list[tuple[str, Port]] = [
            (cloud.keystone.url, self._port(cloud.keystone, number_of(0))),
            (cloud.glance.url, self._port(cloud.glance, number_of(1))),
            (cloud.neutron.url, self._port(cloud.neutron, number_of(2))),
        ]
        step = 100 if len(cloud.pods) <= self._MANY else 4
        for index, pod in enumerate(cloud.pods.values(), 1):
            for url, service, offset in (
                (pod.placement_url, pod.placement, 0),
                (pod.cinder_url, pod.cinder, 1),
                (pod.nova_url, pod.nova, 2),
            ):
                self._ports.append((root_of(url), self._port(service, number_of(step * index + offset))))

    def _port(self, service: Service, number: int) -> Port:
        return Port(service, self.host, number)

    def start(self) -> 'CloudServer':
        """Listen on all ports, and serve in a new thread."""
        self._thread = threading.Thread(target=self._run, name='emulated-cloud', daemon=True)
        self._thread.start()
        for _, port in self._ports:
            self._do(port.open())
            port.service.faults.watch(lambda port=port: self._do(port.adjust()))
        self._move({root: f'http://{self.host}:{port.number}' for root, port in self._ports})
        return self

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _do(self, work: Any) -> None:
        if threading.current_thread() is self._thread:
            self.loop.create_task(work)
        elif self.loop.is_running():
            asyncio.run_coroutine_threadsafe(work, self.loop).result(10)
        else:
            work.close()

    def _move(self, moves: Mapping[str, str]) -> None:
        cloud = self.cloud
        cloud.move_endpoints(moves)

        def moved(url: str) -> str:
            root = root_of(url)
            return moves[root] + url[len(root) :]

        cloud.keystone.url = moved(cloud.keystone.url)
        cloud.glance.url = moved(cloud.glance.url)
        cloud.neutron.url = moved(cloud.neutron.url)
        for pod in cloud.pods.values():
            pod.nova_url = moved(pod.nova_url)
            pod.cinder_url = moved(pod.cinder_url)
            pod.placement_url = moved(pod.placement_url)

    def stop(self) -> None:
        """Close all ports and end the thread."""
        if self._thread is None:
            return

        async def close_all() -> None:
            for _, port in self._ports:
                port.close()

        self._do(close_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self._thread = None
        self.loop.close()

    def wait(self) -> None:
        """Wait until the thread ends, or the caller is interrupted."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(1)

    def __enter__(self) -> 'CloudServer':
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
