# SPDX-License-Identifier: Apache-2.0
"""trio2o-nova-apigw: the Compute API v2.1 in front of all pods."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trio2o.cmd import early

PROG = 'trio2o-nova-apigw'


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal stops the process.

    :returns: the exit status
    """
    early.init_backend(PROG, argv, 'nova_apigw')
    # Imported only now, as these modules need the backend to be chosen.
    from trio2o.cmd import http

    return http.serve(PROG, 'nova_apigw', argv)


if __name__ == '__main__':
    sys.exit(main())
