# SPDX-License-Identifier: Apache-2.0
"""trio2o-status upgrade check: whether this release can be started over what is there.

Exit status 0: it can; 1: with a warning; 2: it cannot; 255: the check itself failed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trio2o import concurrency

PROG = 'trio2o-status'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks and print a table, or JSON with ``--json``. :returns: the exit status"""
    concurrency.init('threading')
    from oslo_config import cfg
    from oslo_log import log as oslo_log
    from oslo_upgradecheck import upgradecheck

    from trio2o import conf as trio2o_conf
    from trio2o.cmd.checks import Checks

    conf = cfg.ConfigOpts()
    trio2o_conf.register(conf)
    oslo_log.set_defaults(default_log_levels=['trio2o=WARNING', 'alembic=WARNING', 'keystoneauth=WARNING'])
    try:
        return int(upgradecheck.main(conf, 'trio2o', Checks(conf), argv=list(sys.argv[1:] if argv is None else argv)))
    except cfg.Error as error:
        print(f'{PROG}: {" ".join(str(error).split())}', file=sys.stderr)
        return 255


if __name__ == '__main__':
    sys.exit(main())
