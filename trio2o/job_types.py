# SPDX-License-Identifier: Apache-2.0
"""Names of the job types that come with Trio2o.

They are the entry points of ``trio2o.jobs`` in ``setup.cfg``, and the types that ``openstack trio2o job list`` shows.
"""

from __future__ import annotations

ADOPT_POD = 'adopt_pod'
COLLECT_USAGE = 'collect_usage'
DELETE_SERVER_GROUP_COPIES = 'delete_server_group_copies'
EMPTY_PROJECT = 'empty_project'
PURGE_HISTORY = 'purge_history'
RAISE_POD_LIMITS = 'raise_pod_limits'
READ_CHANGES = 'read_changes'
RECONCILE_ROUTINGS = 'reconcile_routings'
RECORD_WRITE = 'record_write'
RECOUNT_QUOTA = 'recount_quota'
REFRESH_ENDPOINTS = 'refresh_endpoints'
REPAIR_REPLICAS = 'repair_replicas'
RUN_MOVE = 'run_move'
RUN_MOVE_GROUP = 'run_move_group'
SETTLE_CLAIMS = 'settle_claims'
SETTLE_RESCHEDULE = 'settle_reschedule'
SYNC_POD = 'sync_pod'
