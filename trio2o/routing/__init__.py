# SPDX-License-Identifier: Apache-2.0
"""Finds the pod of a resource.

``locator`` looks up, records and forgets routings. ``probe`` asks the pods for a resource without a routing,
``misses`` remembers the ids that none of them has.
``pod_lists`` reads the lists of a pod, and ``inventory`` compares them with the routings.
"""
