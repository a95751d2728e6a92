# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collector, told about a process that serves.

A parsed list of servers is some ten thousand objects, enough to make the collector look at everything the process
has, several times: five sixths of the time to parse it, when a hundred thousand objects of imported modules are
looked at each time. So what is there when serving begins is set apart.
"""

from __future__ import annotations

import gc

#: Objects made, and not freed, between two looks at the young ones.
YOUNG = 50_000


def settle() -> None:
    """Say that what is here now is here to stay. To be called once, when a process is about to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
