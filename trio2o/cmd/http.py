# SPDX-License-Identifier: Apache-2.0
"""The code that the commands of the three HTTP services share."""

from __future__ import annotations

from collections.abc import Sequence

from trio2o import rpc
from trio2o.cmd import run
from trio2o.runtime import build_runtime


def serve(prog: str, name: str, argv: Sequence[str] | None) -> int:
    """Serve one service until a signal stops the process.

    :param name: configuration group of the service
    :returns: the exit status
    """

    def start() -> int:
        conf = run.configure(prog, argv)
        listeners = run.listen(conf, name)

        def make_components() -> list[run.Component]:
            runtime = build_runtime(conf, notify=rpc.Notifier(conf).notify)
            return [listener.component(conf, runtime) for listener in listeners]

        return run.run(conf, make_components, conf[name].workers)

    return run.guarded(prog, start)
