# SPDX-License-Identifier: Apache-2.0
"""What the checks of ``trio2o-status`` share: JSON output, and the exit status of a check that could not be made."""

from __future__ import annotations

from typing import Any

import orjson

from trio2o.db.database import utcnow

#: Exit status if something could not be checked; monitoring plug-ins call it unknown.
UNKNOWN = 3


def print_json(document: dict[str, Any]) -> None:
    checked_at = utcnow().replace(microsecond=0).isoformat()
    print(orjson.dumps({'checked_at': checked_at, **document}, option=orjson.OPT_INDENT_2).decode())
