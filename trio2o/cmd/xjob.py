# SPDX-License-Identifier: Apache-2.0
"""trio2o-xjob: the worker that runs jobs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trio2o.cmd import early

PROG = 'trio2o-xjob'


def main(argv: Sequence[str] | None = None) -> int:
    """Run jobs until a signal stops the process.

    :returns: the exit status
    """
    early.init_backend(PROG, argv, 'xjob')
    # Imported only now, as these modules need the backend to be chosen.
    from trio2o import rpc
    from trio2o.cmd import run
    from trio2o.concurrency import WSGIServer
    from trio2o.runtime import build_runtime
    from trio2o.web.middleware.public_paths import Monitoring
    from trio2o.xjob.service import XJobService

    def serve() -> int:
        conf = run.configure(PROG, argv)
        options = conf.xjob
        sock = run.listen_at('xjob', options.metrics_host, options.metrics_port) if options.metrics_port else None

        def make_components() -> list[run.Component]:
            runtime = build_runtime(conf, notify=rpc.Notifier(conf).notify)
            service = XJobService(conf, runtime)
            components: list[run.Component] = [service]
            if sock is not None:
                app = Monitoring(conf, runtime.database_metrics, service)
                components.append(WSGIServer(sock, app, threads=4, keepalive=60, timeout=run.GRACE_SECONDS))
            return components

        return run.run(conf, make_components, conf.xjob.workers)

    return run.guarded(PROG, serve)


if __name__ == '__main__':
    sys.exit(main())
