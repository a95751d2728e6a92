# SPDX-License-Identifier: Apache-2.0
"""trio2o-xjob: the worker that runs jobs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trio2o.cmd import early

PROG = 'trio2o-xjob'


def main(argv: Sequence[str] | None = None) -> int:
    """Run jobs until told to stop. :returns: the exit status"""
    early.init_backend(PROG, argv)
    # Only now: what this imports must find the backend chosen.
    from trio2o import rpc
    from trio2o.cmd import run
    from trio2o.runtime import build_runtime
    from trio2o.xjob.service import XJobService

    def serve() -> int:
        conf = run.configure(PROG, argv)

        def make_parts() -> list[run.Part]:
            return [XJobService(conf, build_runtime(conf, notify=rpc.Notifier(conf).notify))]

        return run.run(conf, make_parts, conf.xjob.workers)

    return run.guarded(PROG, serve)


if __name__ == '__main__':
    sys.exit(main())
