# SPDX-License-Identifier: Apache-2.0
"""Create Keystone's first user and its endpoint with its own command: ``python -m ... CONFIG_FILE REGION URL``.

The variable OS_BOOTSTRAP_PASSWORD has the password.
"""

from __future__ import annotations

import sys

from trio2o.lab.real import migrate


def bootstrap(config: str, region: str, url: str) -> None:
    from keystone.cmd import manage

    words = ['--config-file', config, 'bootstrap', '--bootstrap-region-id', region, '--bootstrap-public-url', url]
    migrate.run(manage.main, 'keystone-manage', *words)


if __name__ == '__main__':
    bootstrap(*sys.argv[1:])
