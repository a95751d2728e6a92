#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the checks of hacking with flake8: ``tools/style_checks.py FILE...``.

``flake8`` also runs the checks of all other plug-ins that are installed, and then drops their results, because tox.ini
selects only those of hacking. That takes two thirds of its time. ruff has the checks of pycodestyle and pyflakes.
"""

from __future__ import annotations

import sys
from typing import Any

from flake8.main import cli
from flake8.plugins import finder

find_plugins = finder.find_plugins


def find_hacking(*arguments: Any, **options: Any) -> list[Any]:
    """Return the plug-ins of hacking, and the formats of reports."""
    found = find_plugins(*arguments, **options)
    return [each for each in found if each.package == 'hacking' or each.entry_point.group != 'flake8.extension']


if __name__ == '__main__':
    finder.find_plugins = find_hacking
    sys.exit(cli.main())
