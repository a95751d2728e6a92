# SPDX-License-Identifier: Apache-2.0
"""Start services as children of processes that have loaded their modules.

Most of what a service needs to start is loading modules, and tests start pods dozens of times. If a lab has the folder
``loaded``, the first start of a service of each kind and interpreter starts a loader, which forks a child for each
service: a process of its own with a session, a log and an environment of its own. Commands of a service run in such
children, too. Loaders end when the folder is gone.
Labs whose ``loaded`` is a link to one folder share its loaders.

This module runs in the services' processes, so it imports nothing of them before a function is called.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import hashlib
import importlib
import json
import os
import pathlib
import runpy
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

# The functions as they are before eventlet replaces them, for the loader.
from os import fork, write
from select import select
from typing import Any

from trio2o.lab.real.errors import ServiceFailed

#: Kind of service -> modules that its launcher would load.
MODULES = {
    'keystone': ('keystone.server.wsgi', 'keystone.server.backends', 'pymysql'),
    'glance': ('glance.common.wsgi_app', 'glance.api.v2.router', 'glance.api.middleware.context', 'pymysql'),
    'placement': ('placement.deploy', 'placement.handler', 'placement.conf', 'pymysql'),
    'cinder': (
        'cinder.cmd.backup',
        'cinder.cmd.volume',
        'cinder.wsgi.wsgi',
        'cinder.api.v3.router',
        'cinder.api.middleware.auth',
        'cinder.backup.manager',
        'cinder.scheduler.manager',
        'cinder.volume.manager',
        'pymysql',
    ),
    'nova': (
        'nova.api.openstack.compute',
        'nova.api.openstack.wsgi_app',
        'nova.compute.manager',
        'nova.conductor.manager',
        'nova.scheduler.manager',
        'nova.service',
        'nova.virt.fake',
        'os_vif',
        'pymysql',
    ),
    'neutron': (
        'neutron.server',
        'neutron.api.v2.router',
        'neutron.plugins.ml2.plugin',
        'neutron.services.l3_router.l3_router_plugin',
        'pymysql',
    ),
}
#: Seconds between two looks at whether the folder is still there.
LOOK_SECONDS = 1.0
_NUMBER = struct.Struct('i')


def start(folder: pathlib.Path, kind: str, module: str, python: str, **request: Any) -> int:
    """Start a service as a child of its loader.

    :param folder: ``loaded`` in the folder of the lab, or a link to a folder that several labs share
    :param module: the module to run
    :param request: its ``environment``, the folder ``state`` to run in and its ``log`` file
    :returns: the process id
    :raises ServiceFailed: the loader did not start
    """
    with _asked(folder, kind, python, {'module': module, 'arguments': [], **request}) as (pid, _answers):
        return pid


def run(folder: pathlib.Path, kind: str, module: str, python: str, *arguments: str, **request: Any) -> int:
    """Run a command as a child of the loader of a service, and wait for its end.

    The parameters are those of ``start``. :returns: the exit status
    """
    with _asked(folder, kind, python, {'module': module, 'arguments': arguments, **request}) as (_pid, answers):
        status = _receive(answers)
        return 1 if status is None else status


@contextlib.contextmanager
def _asked(
    folder: pathlib.Path, kind: str, python: str, request: dict[str, Any]
) -> Iterator[tuple[int, socket.socket]]:
    """Send a request to a loader. :returns: the process id of the child, and the socket that its status comes from"""
    path = folder.resolve() / hashlib.sha256(f'{python} {kind}'.encode()).hexdigest()[:16]
    answers, theirs = socket.socketpair()
    with answers:
        with (
            open(path.with_suffix('.lock'), 'w') as lock,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as loader,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            with theirs:
                try:
                    loader.connect(str(path))
                except OSError:
                    path.unlink(missing_ok=True)
                    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as requests:
                        requests.bind(str(path))
                        _start_loader(kind, python, requests.fileno(), request)
                    loader.connect(str(path))
                socket.send_fds(loader, [json.dumps(request).encode()], [theirs.fileno()])
            pid = _receive(answers)
        if pid is None:
            raise ServiceFailed(f'the loader of {kind} did not start it: see {request["log"]}')
        yield pid, answers


def _receive(answers: socket.socket) -> int | None:
    answer = answers.recv(_NUMBER.size)
    return int(_NUMBER.unpack(answer)[0]) if answer else None


def _start_loader(kind: str, python: str, number: int, request: dict[str, Any]) -> None:
    # A service whose file with its process id is lost is found by these variables.
    environment = {name: value for name, value in request['environment'].items() if not name.startswith('LAB_')}
    with open(request['log'], 'ab') as log:
        subprocess.Popen(
            [python, '-W', 'ignore', '-m', __name__, kind, str(number)],
            env=environment,
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


# In the loader


def _serve(kind: str, number: int) -> None:
    """Answer requests until the folder of the socket is gone."""
    # A socket of the standard library, which eventlet does not replace.
    with socket.socket(fileno=number) as requests:
        requests.setblocking(True)
        folder = os.path.dirname(requests.getsockname())
        _load(kind)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while os.path.exists(folder):
            if not select([requests], [], [], LOOK_SECONDS)[0]:
                continue
            message, (answers,), _flags, _address = socket.recv_fds(requests, 1 << 20, 1)
            if not fork():
                requests.close()
                _become(json.loads(message), answers)
            os.close(answers)


def _load(kind: str) -> None:
    """Load what the services of a kind need, as their launcher does."""
    from trio2o.lab.real import launch_cinder, serve

    gc.set_threshold(serve.YOUNG_OBJECTS, 10, 10)
    sys.argv = [kind]
    if kind == 'cinder':
        launch_cinder.patch_threads()
    elif kind == 'nova':
        # Its API does this first, too: what it calls looks whether eventlet was imported before.
        importlib.import_module('nova.monkey_patch').patch(backend='threading')
    if kind in ('cinder', 'nova'):
        # The modules of both use objects as attributes of this package.
        importlib.import_module(f'{kind}.objects').register_all()
    for name in MODULES[kind]:
        importlib.import_module(name)
    # A child then shares the memory of these objects.
    gc.collect()
    gc.freeze()


def _become(request: dict[str, Any], answers: int) -> None:
    """Run a module in a child. Answer with its process id, and with its exit status when it has ended."""
    status = 1
    try:
        os.setsid()
        write(answers, _NUMBER.pack(os.getpid()))
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request['log'], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.chdir(request['state'])
        os.environ.clear()
        os.environ.update(request['environment'])
        if 'eventlet.hubs' in sys.modules:
            # The hub of the loader has files that all children would share.
            sys.modules['eventlet.hubs'].use_hub()
        sys.argv = [request['module'], *request['arguments']]
        runpy.run_module(request['module'], run_name='__main__')
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        with contextlib.suppress(OSError):  # nobody waits for the end of a service
            write(answers, _NUMBER.pack(status))
        os._exit(status)


if __name__ == '__main__':
    _serve(sys.argv[1], int(sys.argv[2]))
