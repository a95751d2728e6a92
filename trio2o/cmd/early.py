# SPDX-License-Identifier: Apache-2.0
"""Steps before all other imports: choose the concurrency backend, and make the directory of shared metrics.

This module reads the command line and two options and imports as little as possible, as eventlet has to patch before
ssl, urllib3 and others are imported. ``trio2o.conf`` reads and checks all options later.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
import tempfile
from collections.abc import Sequence

from oslo_config import cfg

from trio2o import concurrency, gc_tuning

OPTION = 'concurrency_backend'
ENVIRONMENT = f'OS_DEFAULT__{OPTION.upper()}'

#: prometheus_client reads the first one when it is imported; see ``trio2o.metrics``.
METRICS_DIRECTORY = 'PROMETHEUS_MULTIPROC_DIR'
METRICS_OWNER = 'TRIO2O_METRICS_OWNER'


def init_backend(prog: str, argv: Sequence[str] | None = None, group: str = '') -> None:
    """Choose the configured backend for this process.

    :param group: group with the option ``workers``; '' for a command with one process
    """
    gc_tuning.collect_less()
    args = sys.argv[1:] if argv is None else argv
    name = backend_name(prog, args)
    if group and option(prog, args, group, 'workers') not in (None, '1'):
        _share_metrics()
    concurrency.init(name if name in concurrency.BACKENDS else concurrency.DEFAULT_BACKEND)


def _share_metrics() -> None:
    """Make a directory for the metrics of all processes, unless the operator named one."""
    if not os.environ.get(METRICS_DIRECTORY):
        directory = os.environ[METRICS_DIRECTORY] = tempfile.mkdtemp(prefix='trio2o-metrics-')
        os.environ[METRICS_OWNER] = f'{os.getpid()}:{directory}'


def backend_name(prog: str, argv: Sequence[str]) -> str:
    """Return the configured backend. As in oslo.config, the last file takes precedence."""
    return option(prog, argv, 'DEFAULT', OPTION) or concurrency.DEFAULT_BACKEND


def option(prog: str, argv: Sequence[str], group: str, name: str) -> str | None:
    """Return the text of one option; None if it is not set."""
    value = os.environ.get(f'OS_{group.upper()}__{name.upper()}')
    if value:
        return value
    for path in _files(prog, argv):
        value = _read(path, group, name) or value
    return value


def _files(prog: str, argv: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--config-file', action='append', default=[])
    parser.add_argument('--config-dir', action='append', default=[])
    args, _rest = parser.parse_known_args(list(argv))
    files = args.config_file or cfg.find_config_files('trio2o', prog)
    directories = args.config_dir or cfg.find_config_dirs('trio2o', prog)
    return files + [name for path in directories for name in sorted(glob.glob(os.path.join(path, '*.conf')))]


def _read(path: str, group: str, name: str) -> str | None:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(os.path.expanduser(path), sections).parse()
    except (OSError, cfg.Error, cfg.ParseError, UnicodeDecodeError):
        return None  # trio2o.conf reports the error
    values = sections.get(group, {}).get(name)
    return values[-1].strip() if values else None
