# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab``: real or emulated pods for development and tests."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

KINDS = ('trio2o.lab.real.cli', 'trio2o.lab.emulated.cli', 'trio2o.lab.ha', 'trio2o.lab.tempest')


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with the sub-commands of every kind of lab that is installed."""
    parser = argparse.ArgumentParser(prog='trio2o-lab', description=__doc__)
    subparsers = parser.add_subparsers(dest='kind', required=True)
    for name in KINDS:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as missing:
            if missing.name != name:
                raise
            continue
        module.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its parser has set the function to call as ``run``."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so that `| head` ends it without a traceback
    chosen = build_parser().parse_args(arguments)
    result: int | None = chosen.run(chosen)
    return result or 0


if __name__ == '__main__':
    sys.exit(main())
