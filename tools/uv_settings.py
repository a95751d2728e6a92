#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the options with which uv does what pip does with its settings: ``pip config list | tools/uv_settings.py``.

uv reads neither pip's files nor its variables. Each line printed is one word of a command line. If pip has a setting
that is not known here, the status is 1, and pip has to install the packages itself.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable

#: Setting of pip -> option of uv that has each of its values.
OPTIONS = {
    'cert': '--cert',
    'constraint': '--constraints',
    'extra-index-url': '--extra-index-url',
    'find-links': '--find-links',
    'index-url': '--index-url',
    'trusted-host': '--allow-insecure-host',
}
#: Settings of pip that do not change which packages are installed, nor where they come from.
UNIMPORTANT = {
    'break-system-packages',
    'cache-dir',
    'compile',
    'default-timeout',
    'disable-pip-version-check',
    'no-cache-dir',
    'no-color',
    'no-input',
    'no-warn-script-location',
    'prefer-binary',
    'progress-bar',
    'quiet',
    'require-virtualenv',
    'retries',
    'root-user-action',
    'timeout',
    'verbose',
}


class UnknownSetting(Exception):
    """uv cannot do what pip does with a setting."""


def settings(lines: Iterable[str]) -> dict[str, str]:
    """Return pip's settings for ``pip install``.

    :param lines: of ``pip config list``, such as ``global.index-url='https://...'``
    """
    found: dict[str, dict[str, str]] = {'global': {}, 'install': {}, ':env:': {}}
    for line in lines:
        key, _, value = line.strip().partition('=')
        section, _, name = key.rpartition('.')
        if section in found:
            found[section][name.replace('_', '-')] = str(ast.literal_eval(value))
    # What is said later replaces what was said before.
    return {**found['global'], **found['install'], **found[':env:']}


def words(wanted: dict[str, str]) -> list[str]:
    """Return the options of uv.

    :raises UnknownSetting: there is none for a setting
    """
    # pip takes the best version of all places.
    chosen = ['--index-strategy', 'unsafe-best-match']
    for name, value in sorted(wanted.items()):
        if name in OPTIONS:
            for one in value.split():
                chosen += [OPTIONS[name], one]
        elif name == 'no-index' and value.lower() in ('1', 'true', 'yes', 'on'):
            chosen.append('--no-index')
        elif name not in UNIMPORTANT:
            raise UnknownSetting(name)
    return chosen


if __name__ == '__main__':
    try:
        print(*words(settings(sys.stdin)), sep='\n')
    except (UnknownSetting, SyntaxError, ValueError) as unknown:
        sys.exit(f'uv has no option for this setting of pip: {unknown}')
