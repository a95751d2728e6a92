# SPDX-License-Identifier: Apache-2.0
"""Metrics that a process counts itself, and the application that serves all metrics at ``/metrics``.

Other modules call a function here and do not use prometheus_client. Labels have few values: names of operations come
from the operation table, never from a path. Metrics read from the database are in ``trio2o.metrics.database``.

Processes that serve one port share a directory, ``PROMETHEUS_MULTIPROC_DIR``, and each of them answers with the sums
over all. The commands make the directory if there are several ``workers``; under uWSGI or gunicorn the operator
does. prometheus_client reads the variable when it is imported, so it has to be set before.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess
from prometheus_client.metrics_core import Metric

DIRECTORY = 'PROMETHEUS_MULTIPROC_DIR'

if os.environ.get(DIRECTORY):
    os.makedirs(os.environ[DIRECTORY], exist_ok=True)

# Otherwise each counter has a second series with the time of its first value, which no dashboard or alert uses.
prometheus_client.disable_created_metrics()

#: Buckets in seconds, for what a client waits for.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter(
    'trio2o_http_requests', 'Requests answered, by operation and status', ['service', 'operation', 'status']
)
REQUEST_SECONDS = Histogram(
    'trio2o_http_request_seconds', 'Seconds until a request was answered', ['service', 'operation'], buckets=_SECONDS
)
POD_CALLS = Counter('trio2o_pod_calls', 'Calls to pods, by outcome', ['pod', 'service', 'outcome'])
POD_CALL_SECONDS = Histogram(
    'trio2o_pod_call_seconds', 'Seconds until a pod answered or the call failed', ['pod', 'service'], buckets=_SECONDS
)
BREAKER_OPEN = Gauge(
    'trio2o_breaker_open',
    'Number of processes whose breaker for a pod and service is open',
    ['pod', 'service'],
    multiprocess_mode='livesum',
)
FANOUT_PODS = Histogram(
    'trio2o_fanout_pods', 'Pods called for one request to several pods', buckets=(1, 2, 3, 5, 10, 20, 50, 100, 200)
)
JOB_RUNS = Counter('trio2o_job_runs', 'Runs of jobs, by outcome', ['type', 'outcome'])
JOB_RUN_SECONDS = Histogram(
    'trio2o_job_run_seconds',
    'Seconds that a run of a job took',
    ['type'],
    buckets=(0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
# With a label, as a gauge without one is exported by processes that do not set it, too.
LAST_RUN = Gauge(
    'trio2o_worker_last_run_timestamp_seconds',
    'Unix time at which the loop of a worker ran last; of several workers that of the one that is behind',
    ['loop'],
    multiprocess_mode='livemin',
)


_OWN = (
    REQUESTS,
    REQUEST_SECONDS,
    POD_CALLS,
    POD_CALL_SECONDS,
    BREAKER_OPEN,
    FANOUT_PODS,
    JOB_RUNS,
    JOB_RUN_SECONDS,
    LAST_RUN,
)


class Collector(Protocol):
    """A collector of prometheus_client."""

    def collect(self) -> Iterable[Metric]: ...


# ``labels`` takes as long as the increment itself. There are few combinations of labels, so all results are cached.
@functools.cache
def _requests(service: str, operation: str, status: str) -> tuple[Any, Any]:
    return REQUESTS.labels(service, operation, status), REQUEST_SECONDS.labels(service, operation)


@functools.cache
def _pod_calls(pod: str, service: str, outcome: str) -> tuple[Any, Any]:
    return POD_CALLS.labels(pod, service, outcome), POD_CALL_SECONDS.labels(pod, service)


def request_answered(service: str, operation: str, status: str, seconds: float) -> None:
    """Count an answered request.

    :param operation: name of an operation, or a fixed word for requests without one
    :param status: three digits
    """
    count, latency = _requests(service, operation, status)
    count.inc()
    latency.observe(seconds)


def pod_called(pod: str, service: str, outcome: str, seconds: float) -> None:
    """Count a call to a pod.

    :param outcome: class of the status, such as ``2xx``, or the kind of failure
    """
    count, latency = _pod_calls(pod, service, outcome)
    count.inc()
    latency.observe(seconds)


def breaker_turned(pod: str, service: str, is_open: bool) -> None:
    """Record that the breaker of a pod opened or closed in this process."""
    BREAKER_OPEN.labels(pod, service).set(int(is_open))


def fanned_out(width: int) -> None:
    FANOUT_PODS.observe(width)


def job_ran(type: str, outcome: str, seconds: float) -> None:
    """Count a run of a job.

    :param outcome: state of the job after the run, ``new`` if it will be retried; or ``lost``
    """
    JOB_RUNS.labels(type, outcome).inc()
    JOB_RUN_SECONDS.labels(type).observe(seconds)


def loop_ran(loop: str) -> None:
    """Record that a loop of a worker runs."""
    LAST_RUN.labels(loop).set_to_current_time()


def application(collector: Collector | None = None, is_called: Callable[[str], bool] | None = None) -> Any:
    """Return the WSGI application that answers a scrape.

    :param collector: collector of further metrics
    :param is_called: whether a pod, by name, is called now; breakers of other pods, or of deleted ones, are left out
    """
    registry = CollectorRegistry()
    registry.register(_ProcessMetrics(is_called))
    if collector is not None:
        registry.register(collector)
    return prometheus_client.make_wsgi_app(registry)


class _ProcessMetrics:
    """Collector of the metrics of this process, or of all processes that share its directory."""

    def __init__(self, is_called: Callable[[str], bool] | None) -> None:
        self._is_called = is_called

    def describe(self) -> Iterable[Metric]:
        """The names of the metrics, so that a scrape can select some by name."""
        return [family for metric in _OWN for family in metric.describe()]

    def collect(self) -> Iterable[Metric]:
        for metric in _all_counted():
            if metric.name == 'trio2o_breaker_open' and self._is_called is not None:
                metric.samples = [sample for sample in metric.samples if self._is_called(sample.labels['pod'])]
            yield metric


def _all_counted() -> Iterable[Metric]:
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return prometheus_client.REGISTRY.collect()
    if not os.path.isdir(directory):
        return []
    _remove_gauges_of_dead_processes(directory)
    return multiprocess.MultiProcessCollector(None, directory).collect()


def _remove_gauges_of_dead_processes(directory: str) -> None:
    """Remove the gauges of processes that have died. Their counters stay."""
    for path in glob.glob(os.path.join(directory, 'gauge_live*_*.db')):
        pid = path.rpartition('_')[2].removesuffix('.db')
        if not _is_alive(pid):
            try:
                multiprocess.mark_process_dead(pid, directory)
            except FileNotFoundError:
                pass  # another process was faster


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        pass
    return True


_TRIES = 20
_PAUSE_SECONDS = 0.1


def remove_directory() -> None:
    """Remove the directory of shared metrics if this process made it (``trio2o.cmd.early``)."""
    pid, _colon, directory = os.environ.get('TRIO2O_METRICS_OWNER', '').partition(':')
    tries = _TRIES if directory and pid == str(os.getpid()) else 0
    while tries and os.path.isdir(directory):
        # A worker that has not ended yet may add a file meanwhile.
        shutil.rmtree(directory, ignore_errors=True)
        tries -= 1
        time.sleep(_PAUSE_SECONDS if os.path.isdir(directory) else 0)
