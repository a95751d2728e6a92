# SPDX-License-Identifier: Apache-2.0
"""Services as applications for uWSGI, gunicorn and the like: always on native threads, never patched.

Configuration comes from the files of ``OS_TRIO2O_CONFIG_FILES`` (separated by ``;``) and the directory
``OS_TRIO2O_CONFIG_DIR``, else from the usual places (``/etc/trio2o/trio2o.conf``).
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable, Mapping
from typing import Any

from trio2o import concurrency, gc_tuning

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]

FILES = 'OS_TRIO2O_CONFIG_FILES'
DIRECTORY = 'OS_TRIO2O_CONFIG_DIR'


def load_application(package: str, prog: str) -> Callable[..., Any]:
    """Build the application of the service that a package declares."""
    gc_tuning.collect_less()
    # First, as importing oslo.messaging would choose for us.
    concurrency.init('threading')
    from oslo_log import log as oslo_log

    from trio2o import conf as trio2o_conf
    from trio2o import rpc, version
    from trio2o.conf import credentials, files, log_records
    from trio2o.runtime import build_runtime
    from trio2o.web.app import build_app
    from trio2o.web.middleware.access_log import AccessLog

    conf = trio2o_conf.new_config(arguments(os.environ), prog=prog)
    files.check(conf)
    credentials.check(conf)
    if conf.log_dir:
        # Left to itself oslo.log names the file after the server's program, which all services share.
        conf.set_default('log_file', f'{prog}.log')
    oslo_log.setup(conf, 'trio2o', version.version_string())
    log_records.tune(conf)
    service = importlib.import_module(package).SERVICE
    server = _uwsgi()
    if server is not None:
        conf.set_default('threads', int(server.opt.get('threads', 1)), group=service.name)
    application: Application = AccessLog(build_app(service, build_runtime(conf, notify=rpc.Notifier(conf).notify)))
    if server is not None:
        limits = conf[service.name].body_timeout, conf.oslo_middleware.max_request_body_size
        application = UwsgiBodies(application, server, *limits)
    gc_tuning.freeze()
    return application


class UwsgiBodies:
    """WSGI application that reads the body of a request under uWSGI, and calls another one then.

    A WSGI application under uWSGI gets nothing of a chunked body from ``wsgi.input``; uWSGI has a function for it.
    """

    #: uWSGI waits for as many bytes as are asked for. With a few at a time, the time is looked at often.
    _PIECE = 64

    def __init__(self, app: Application, server: Any, body_seconds: float, max_body: int) -> None:
        """:param server: the module ``uwsgi``"""
        self._app = app
        self._server = server
        self._seconds = body_seconds
        self._max_body = max_body

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        is_chunked = environ.get('HTTP_TRANSFER_ENCODING', '').lower() == 'chunked'
        length = environ.get('CONTENT_LENGTH') or '0'
        try:
            if is_chunked:
                body = self._read_chunks()
                environ['wsgi.input_terminated'] = True
                if len(body) <= self._max_body:
                    environ['CONTENT_LENGTH'] = str(len(body))
                    del environ['HTTP_TRANSFER_ENCODING']
            elif length.isdigit() and 0 < int(length) <= self._max_body:
                body = self._read(environ['wsgi.input'], int(length))
            else:
                return self._app(environ, start_response)
        except TimeoutError:
            text = b'The body of the request did not arrive in time.\n'
            start_response('408 Request Timeout', [('Content-Type', 'text/plain'), ('Content-Length', str(len(text)))])
            return [text]
        except OSError:
            # The application finds a body that ends early, and answers 400.
            environ['CONTENT_LENGTH'], body = '1', b''
            environ.pop('HTTP_TRANSFER_ENCODING', None)
        environ['wsgi.input'] = io.BytesIO(body)
        return self._app(environ, start_response)

    def _read_chunks(self) -> bytes:
        """Return a chunked body, or enough of it to see that it is too long."""
        deadline = concurrency.Deadline(self._seconds)
        parts, size = [], 0
        while size <= self._max_body and (piece := self._server.chunked_read(max(1, int(deadline.remaining())))):
            parts.append(piece)
            size += len(piece)
            _check(deadline)
        return b''.join(parts)

    def _read(self, stream: Any, length: int) -> bytes:
        deadline = concurrency.Deadline(self._seconds)
        parts, left = [], length
        while left > 0 and (piece := stream.read(min(left, self._PIECE))):
            parts.append(piece)
            left -= len(piece)
            _check(deadline)
        return b''.join(parts)


def _check(deadline: concurrency.Deadline) -> None:
    """:raises TimeoutError: the deadline is over"""
    if deadline.is_over():
        raise TimeoutError('the client is too slow')


def _uwsgi() -> Any:
    """Return uWSGI's module, which there is in its processes only; None under other servers."""
    try:
        return importlib.import_module('uwsgi')
    except ImportError:
        return None


def arguments(environ: Mapping[str, str]) -> list[str]:
    """The command line that names the same files as the environment."""
    files = [name.strip() for name in environ.get(FILES, '').split(';') if name.strip()]
    args = [f'--config-file={name}' for name in files]
    if environ.get(DIRECTORY):
        args.append(f'--config-dir={environ[DIRECTORY]}')
    return args
