# SPDX-License-Identifier: Apache-2.0
"""The top's own tables: functions that take a `Database` and return records.

Nothing here sees a request, a pod's answer or HTTP. What a function may raise of its own is in
`errors`; everything else comes from oslo.db.
"""
