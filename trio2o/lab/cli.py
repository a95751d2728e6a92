# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab``: real or emulated pods for development and tests."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

KINDS = {
    'real': 'trio2o.lab.real.cli',
    'emulated': 'trio2o.lab.emulated.cli',
    'ha': 'trio2o.lab.ha',
    'tempest': 'trio2o.lab.tempest',
}


def build_parser(kind: str | None = None) -> argparse.ArgumentParser:
    """Return the parser with the sub-commands of a kind of lab, if there is one, else of each that is installed."""
    parser = argparse.ArgumentParser(prog='trio2o-lab', description=__doc__)
    subparsers = parser.add_subparsers(dest='kind', required=True)
    # Each of the modules imports many others.
    for name in [KINDS[kind]] if kind in KINDS else KINDS.values():
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
    words = sys.argv[1:] if arguments is None else list(arguments)
    chosen = build_parser(words[0] if words else None).parse_args(words)
    result: int | None = chosen.run(chosen)
    return result or 0


if __name__ == '__main__':
    sys.exit(main())
