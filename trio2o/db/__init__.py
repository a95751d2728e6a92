# SPDX-License-Identifier: Apache-2.0
"""Trio2o's own tables: functions that take a `Database` and return records.

No module here knows of requests, answers of pods, or HTTP. Their own exceptions are in `errors`; the others are those
of oslo.db.
"""
