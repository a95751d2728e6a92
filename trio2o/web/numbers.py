# SPDX-License-Identifier: Apache-2.0
"""Whole numbers in texts: query values, ids and headers."""

from __future__ import annotations

#: Most digits of a page size, an offset or a count. No service accepts longer ones.
MAX_DIGITS = 9


def parse_number(text: str, max_digits: int = MAX_DIGITS, *, clamp: int | None = None) -> int | None:
    """Return the whole number that a text of ASCII digits is, or None.

    :param max_digits: a longer text is no number here, as no service accepts it and Python does not read any length
    :param clamp: accept a text of any length, and return this instead of a greater number
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    if clamp is None:
        return int(text) if len(text) <= max_digits else None
    # A longer number than the clamp is greater, and so are its first digits.
    return min(int(text.lstrip('0')[: len(str(clamp)) + 1] or '0'), clamp)
