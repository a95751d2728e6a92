# SPDX-License-Identifier: Apache-2.0
"""Settings of Python's garbage collector for a process that serves requests.

A parsed list of servers has some ten thousand objects, enough to start several full collections. With the hundred
thousand objects of imported modules each of them takes so long that collections are five sixths of the parsing time.
So the objects that exist when serving begins are excluded from collections.

Loading the modules themselves takes a tenth longer with Python's thresholds.
"""

from __future__ import annotations

import gc

#: Number of objects allocated, and not freed, between two collections of the youngest generation.
YOUNG = 50_000


def collect_less() -> None:
    """Let a process allocate more objects between collections. To be called before it loads its modules."""
    gc.set_threshold(YOUNG, 10, 10)


def freeze() -> None:
    """Exclude all existing objects from collections. To be called once, before a process begins to serve."""
    gc.collect()
    gc.freeze()
    collect_less()
