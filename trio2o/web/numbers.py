# SPDX-License-Identifier: Apache-2.0
"""Whole numbers in texts: query values, ids and headers."""

from __future__ import annotations

#: Most digits of a page size, an offset or a count. No service accepts longer ones.
MAX_DIGITS = 9


def parse_number(text: str, max_digits: int = MAX_DIGITS) -> int | None:
    """Return the whole number that a text of ASCII digits is, or None.

    :param max_digits: a longer text is no number here, as no service accepts it and Python does not read any length
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= max_digits else None
