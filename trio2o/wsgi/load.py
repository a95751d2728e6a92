# SPDX-License-Identifier: Apache-2.0
"""Services as applications for uWSGI, gunicorn and the like: always on native threads, never patched.

Configuration comes from the files of ``OS_TRIO2O_CONFIG_FILES`` (separated by ``;``) and the directory
``OS_TRIO2O_CONFIG_DIR``, else from the usual places (``/etc/trio2o/trio2o.conf``).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from trio2o import concurrency, gc_tuning

FILES = 'OS_TRIO2O_CONFIG_FILES'
DIRECTORY = 'OS_TRIO2O_CONFIG_DIR'


def load_application(package: str, prog: str) -> Callable[..., Any]:
    """Build the application of the service that a package declares."""
    # First, as importing oslo.messaging would choose for us.
    concurrency.init('threading')
    from oslo_log import log as oslo_log

    from trio2o import conf as trio2o_conf
    from trio2o import rpc, version
    from trio2o.conf import files
    from trio2o.runtime import build_runtime
    from trio2o.web.app import build_app
    from trio2o.web.middleware.access_log import AccessLog

    conf = trio2o_conf.new_config(arguments(os.environ), prog=prog)
    files.check(conf)
    if conf.log_dir:
        # Left to itself oslo.log names the file after the server's program, which all services share.
        conf.set_default('log_file', f'{prog}.log')
    oslo_log.setup(conf, 'trio2o', version.version_string())
    service = importlib.import_module(package).SERVICE
    threads = _server_threads()
    if threads:
        conf.set_default('threads', threads, group=service.name)
    application = AccessLog(build_app(service, build_runtime(conf, notify=rpc.Notifier(conf).notify)))
    gc_tuning.freeze()
    return application


def _server_threads() -> int:
    """Return the number of threads of a uWSGI process; 0 under other servers, which do not tell."""
    try:
        import uwsgi
    except ImportError:
        return 0
    return int(uwsgi.opt.get('threads', 0))


def arguments(environ: Mapping[str, str]) -> list[str]:
    """The command line that names the same files as the environment."""
    files = [name.strip() for name in environ.get(FILES, '').split(';') if name.strip()]
    args = [f'--config-file={name}' for name in files]
    if environ.get(DIRECTORY):
        args.append(f'--config-dir={environ[DIRECTORY]}')
    return args
