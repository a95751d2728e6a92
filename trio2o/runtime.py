# SPDX-License-Identifier: Apache-2.0
"""What handlers work with: made once when a service starts, carried by every call; and a service made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from trio2o.concurrency import Executor
from trio2o.db.session import Database
from trio2o.gateway.image_snapshots import ImageSnapshots
from trio2o.jobqueue import JobQueue
from trio2o.metrics.database import Figures
from trio2o.pods.client import PodClient
from trio2o.pods.compute_hosts import ComputeHosts
from trio2o.pods.health import Breakers
from trio2o.pods.identity import Identity
from trio2o.pods.registry import Registry
from trio2o.pods.transport import PooledTransport, Transport
from trio2o.quota.claims import Quota
from trio2o.replication.replicator import Replicator
from trio2o.routing.locator import Locator
from trio2o.scheduler.manager import Scheduler
from trio2o.web.app import build_app
from trio2o.web.microversion import VersionRange
from trio2o.web.service import Service


@dataclass(frozen=True)
class Runtime:
    conf: cfg.ConfigOpts
    db: Database
    identity: Identity
    registry: Registry
    client: PodClient
    executor: Executor
    locator: Locator
    scheduler: Scheduler
    jobs: JobQueue
    replicator: Replicator
    quota: Quota
    figures: Figures
    image_snapshots: ImageSnapshots
    compute_hosts: ComputeHosts

    def versions(self, service: Service) -> VersionRange | None:
        """The microversions a service can promise now, over all pods; None for a service without microversions."""
        if service.code_versions is None:
            return None
        return self.registry.versions(service.service_type, service.code_versions)


def build_runtime(
    conf: cfg.ConfigOpts,
    *,
    db: Database | None = None,
    transport: Transport | None = None,
    http_adapter: Any = None,
    notify: Any = None,
) -> Runtime:
    """Make everything that a service needs beyond HTTP.

    :param transport: stands in for the network towards pods; :param http_adapter: for keystoneauth
    :param notify: tells the workers of a new job; None: they find it by themselves
    """
    db = db or Database(conf)
    registry = Registry(conf, db)
    breakers = Breakers(conf.pods.breaker_failures, conf.pods.breaker_seconds)
    client = PodClient(conf, transport or PooledTransport(conf), breakers)
    executor = Executor(conf.pods.fanout_size)
    identity = Identity(conf, http_adapter)
    jobs = JobQueue(conf, db, notify)
    return Runtime(
        conf=conf,
        db=db,
        identity=identity,
        registry=registry,
        client=client,
        executor=executor,
        locator=Locator(conf, db, registry, client, executor),
        scheduler=Scheduler(conf, db, registry, breakers),
        jobs=jobs,
        replicator=Replicator(conf, db, registry, client, identity, executor, jobs),
        quota=Quota(conf, db, identity),
        figures=Figures(conf, db, registry),
        image_snapshots=ImageSnapshots(),
        compute_hosts=ComputeHosts(db),
    )


def build_service(
    service: Service, conf: cfg.ConfigOpts, runtime: Runtime, http_adapter: Any = None
) -> Callable[..., Any]:
    """Build the application.

    :param http_adapter: a ``requests`` adapter that stands in for the network towards Keystone
    """
    return build_app(service, conf, runtime, lambda: runtime.versions(service), http_adapter)
