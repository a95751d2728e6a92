# SPDX-License-Identifier: Apache-2.0
"""The objects that all requests and jobs of a process share, such as its database and its clients of the pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from trio2o.concurrency import Executor
from trio2o.db.database import Database
from trio2o.gateway.images import Images
from trio2o.jobqueue import JobQueue
from trio2o.metrics.database import DatabaseMetrics
from trio2o.pods.breakers import Breakers
from trio2o.pods.client import PodClient
from trio2o.pods.compute_hosts import ComputeHosts
from trio2o.pods.endpoints import PodEndpoints
from trio2o.pods.fanout import PodThreads
from trio2o.pods.host_ids import HostIds
from trio2o.pods.identity import Identity
from trio2o.pods.registry import Registry
from trio2o.pods.transport import PooledTransport, Transport
from trio2o.quota.claims import Quota
from trio2o.quota.settle import Settling
from trio2o.replication.replicator import Replicator
from trio2o.routing.locator import Locator
from trio2o.scheduler.manager import Scheduler
from trio2o.web.microversion import VersionRange
from trio2o.web.service import Service


@dataclass(frozen=True)
class Runtime:
    """Made once when a process starts. Every call and every job refers to it.

    :ivar identity_transport: a ``requests`` adapter that all requests to Keystone go through; None: the network.
        Only tests give one
    :ivar pod_threads: make concurrent calls to several pods
    :ivar background: runs what no request waits for, and looks in pods before a request is refused
    """

    conf: cfg.ConfigOpts
    db: Database
    identity: Identity
    pod_endpoints: PodEndpoints
    registry: Registry
    client: PodClient
    pod_threads: PodThreads
    background: Executor
    locator: Locator
    scheduler: Scheduler
    jobs: JobQueue
    replicator: Replicator
    quota: Quota
    settling: Settling
    database_metrics: DatabaseMetrics
    images: Images
    compute_hosts: ComputeHosts
    host_ids: HostIds
    identity_transport: Any = None

    def shutdown(self, wait_seconds: float = 0.0) -> None:
        """Start no more functions on other threads.

        :param wait_seconds: how long to wait for those that are running
        """
        for threads in (self.pod_threads, self.background):
            threads.shutdown(wait_seconds)

    def versions(self, service: Service) -> VersionRange | None:
        """Return the microversions that a service and all pods support; None for a service without microversions."""
        if service.code_versions is None:
            return None
        return self.registry.versions(service.service_type, service.code_versions)


def build_runtime(
    conf: cfg.ConfigOpts,
    *,
    db: Database | None = None,
    transport: Transport | None = None,
    identity_transport: Any = None,
    notify: Any = None,
) -> Runtime:
    """Make the runtime of a process.

    :param transport: used for calls to pods; None: connection pools
    :param identity_transport: see ``Runtime``
    :param notify: notifies the workers of a new job; None: they find it with their next scan
    """
    db = db or Database(conf)
    registry = Registry(conf, db)
    breakers = Breakers(conf.pods.breaker_failures, conf.pods.breaker_seconds)
    pod_threads = PodThreads(conf.pods.fanout_size)
    background = Executor(conf.pods.background_size)
    identity = Identity(conf, identity_transport)
    client = PodClient(conf, transport or PooledTransport(conf), breakers, identity)
    jobs = JobQueue(conf, db, notify)
    return Runtime(
        conf=conf,
        db=db,
        identity=identity,
        pod_endpoints=PodEndpoints(conf, identity),
        registry=registry,
        client=client,
        pod_threads=pod_threads,
        background=background,
        locator=Locator(conf, db, registry, client, pod_threads, background),
        scheduler=Scheduler(conf, db, registry, breakers),
        jobs=jobs,
        replicator=Replicator(conf, db, registry, client, identity, pod_threads, jobs),
        quota=Quota(conf, db, identity),
        settling=Settling(),
        database_metrics=DatabaseMetrics(conf, db, registry),
        images=Images(),
        compute_hosts=ComputeHosts(db),
        host_ids=HostIds(),
        identity_transport=identity_transport,
    )
