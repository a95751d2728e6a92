# SPDX-License-Identifier: Apache-2.0
"""What handlers work with: made once when a service starts, carried by every call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from trio2o.concurrency import Executor
from trio2o.db.session import Database
from trio2o.gateway.locate import Locator
from trio2o.jobqueue import JobQueue
from trio2o.pods.client import PodClient
from trio2o.pods.health import Breakers
from trio2o.pods.identity import Identity
from trio2o.pods.registry import Registry
from trio2o.pods.transport import PooledTransport, Transport
from trio2o.scheduler.manager import Scheduler


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
    return Runtime(
        conf=conf,
        db=db,
        identity=Identity(conf, http_adapter),
        registry=registry,
        client=client,
        executor=executor,
        locator=Locator(conf, db, registry, client, executor),
        scheduler=Scheduler(conf, db, registry, breakers),
        jobs=JobQueue(conf, db, notify),
    )
