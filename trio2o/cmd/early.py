# SPDX-License-Identifier: Apache-2.0
"""What has to happen before anything else is imported: choose the concurrency backend.

Only the command line and one option are read here, with as little imported as can be: patching must come
before ssl, urllib3 and the like. Everything is read again, and checked, by ``trio2o.conf``.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Sequence

from oslo_config import cfg

from trio2o import concurrency

OPTION = 'concurrency_backend'
ENVIRONMENT = f'OS_DEFAULT__{OPTION.upper()}'


def init_backend(prog: str, argv: Sequence[str] | None = None) -> None:
    """Make the configured backend the one of this process."""
    name = backend_name(prog, sys.argv[1:] if argv is None else argv)
    concurrency.init(name if name in concurrency.BACKENDS else concurrency.DEFAULT_BACKEND)


def backend_name(prog: str, argv: Sequence[str]) -> str:
    """What the configuration says, found as oslo.config would find it: the last file decides."""
    name = os.environ.get(ENVIRONMENT)
    if name:
        return name
    for path in _files(prog, argv):
        name = _read(path) or name
    return name or concurrency.DEFAULT_BACKEND


def _files(prog: str, argv: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--config-file', action='append', default=[])
    parser.add_argument('--config-dir', action='append', default=[])
    args, _rest = parser.parse_known_args(list(argv))
    files = args.config_file or cfg.find_config_files('trio2o', prog)
    directories = args.config_dir or cfg.find_config_dirs('trio2o', prog)
    return files + [name for path in directories for name in sorted(glob.glob(os.path.join(path, '*.conf')))]


def _read(path: str) -> str | None:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(os.path.expanduser(path), sections).parse()
    except (OSError, cfg.Error, cfg.ParseError, UnicodeDecodeError):
        return None  # told properly when the configuration is read as a whole
    values = sections.get('DEFAULT', {}).get(OPTION)
    return values[-1].strip() if values else None
