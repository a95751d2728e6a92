# SPDX-License-Identifier: Apache-2.0
"""The objects that every part of a replicator works with."""

from __future__ import annotations

from dataclasses import dataclass

from trio2o.jobqueue import JobQueue
from trio2o.pods.fanout import PodThreads
from trio2o.pods.registry import Registry
from trio2o.replication.pod_objects import PodAccess
from trio2o.replication.replica_store import ReplicaStore, Timing


@dataclass(frozen=True)
class Dependencies:
    """Made once by a replicator and passed to each of its parts."""

    access: PodAccess
    store: ReplicaStore
    timing: Timing
    registry: Registry
    threads: PodThreads
    jobs: JobQueue
