# SPDX-License-Identifier: Apache-2.0
"""Server groups: one group for tenants, with a copy in each other pod that has servers of the group.

``copies`` explains how copies work. ``pod_groups`` reads and writes groups in one pod, ``affinity`` keeps a group
with the affinity policy in one pod, ``members`` enforces ``server_group_members``, and ``hint`` has what a create of
servers needs for the group in its scheduler hint. ``handlers`` and ``rows`` serve the API of server groups.
"""
