# SPDX-License-Identifier: Apache-2.0
"""trio2o-all: the three APIs and the worker in one process.

It needs no other service: without ``transport_url`` messages stay within the process, and without ``[database]
connection`` the database is SQLite under ``state_path``, whose schema is upgraded at start.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trio2o.cmd import early

PROG = 'trio2o-all'


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal stops the process.

    :returns: the exit status
    """
    early.init_backend(PROG, argv)
    # Imported only now, as these modules need the backend to be chosen.
    from trio2o.cmd import run

    return run.guarded(PROG, lambda: _serve(argv))


def _serve(argv: Sequence[str] | None) -> int:
    from trio2o import rpc
    from trio2o.cmd import run
    from trio2o.db import migration
    from trio2o.db.database import Database
    from trio2o.runtime import build_runtime
    from trio2o.xjob.service import XJobService

    conf = run.configure(PROG, argv)
    listeners = run.listen(conf, *run.SERVICES)
    db = Database(conf)
    if db.dialect == 'sqlite':
        migration.upgrade(db)
    db.dispose()

    def make_components() -> list[run.Component]:
        runtime = build_runtime(conf, notify=rpc.Notifier(conf).notify)
        return [*(listener.component(conf, runtime) for listener in listeners), XJobService(conf, runtime)]

    return run.run(conf, make_components)


if __name__ == '__main__':
    sys.exit(main())
