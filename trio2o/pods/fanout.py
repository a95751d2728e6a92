# SPDX-License-Identifier: Apache-2.0
"""Concurrent calls to several pods within one deadline; each pod's result is an answer or an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent import futures
from functools import partial
from typing import Any, Generic, TypeVar

from trio2o import exception, metrics
from trio2o.concurrency import Deadline, Executor
from trio2o.pods.registry import PodView

T = TypeVar('T')


class PodThreads:
    """Threads that call pods. Each pod has its own, so that pods that do not answer hold up no call to another."""

    def __init__(self, size: int) -> None:
        """:param size: number of calls to one pod that are made concurrently"""
        self._size = size
        self._executors: dict[str, Executor] = {}

    def submit(self, pod: PodView, function: Callable[..., Any], *args: Any) -> futures.Future[Any]:
        """Call a function in a thread of a pod."""
        executor = self._executors.get(pod.id)
        if executor is None:
            # It has no thread yet, so it does not matter if another caller's is used.
            executor = self._executors.setdefault(pod.id, Executor(self._size))
        return executor.submit(function, *args)

    def shutdown(self, wait_seconds: float = 0.0) -> None:
        """Start no more functions.

        :param wait_seconds: how long to wait for the functions that are running
        """
        deadline = Deadline(wait_seconds)
        executors = list(self._executors.values())
        for executor in executors:
            executor.shutdown()
        for executor in executors:
            executor.shutdown(deadline.remaining())


def ask_all(
    threads: PodThreads,
    pods: Iterable[PodView],
    ask: Callable[[PodView], T],
    deadline: Deadline,
    is_enough: Callable[[T | exception.PodError], bool] | None = None,
) -> dict[PodView, T | exception.PodError]:
    """Call ``ask`` for all pods concurrently.

    :param ask: may raise ``PodError``, which becomes the pod's result; any other exception is raised here
    :param is_enough: whether a result makes it unnecessary to wait for the other pods
    :returns: results in the order of ``pods``
    """
    pods = list(pods)
    metrics.fanned_out(len(pods))
    if len(pods) == 1:
        # No thread for one pod: its call has its own timeout.
        return {pods[0]: _guarded(ask, pods[0])}
    return PendingCalls(threads, pods, ask).results(deadline, is_enough)


def ask_each(
    threads: PodThreads, pods: Iterable[PodView], ask: Callable[[PodView], T], deadline: Deadline
) -> dict[PodView, T | Exception]:
    """Call ``ask`` for all pods concurrently, as ``ask_all`` does. Any exception becomes the result of its pod."""
    return ask_all(threads, pods, partial(_guarded_from_all, ask), deadline)


class PendingCalls(Generic[T]):
    """Calls to several pods that are under way. Further calls can begin before anybody waits for these."""

    def __init__(self, threads: PodThreads, pods: Iterable[PodView], ask: Callable[[PodView], T]) -> None:
        """:param ask: as in ``ask_all``"""
        self._pending = {threads.submit(pod, _guarded, ask, pod): pod for pod in pods}

    def results(
        self, deadline: Deadline, is_enough: Callable[[T | exception.PodError], bool] | None = None
    ) -> dict[PodView, T | exception.PodError]:
        """Wait for the calls, and return the results as ``ask_all`` does."""
        done = _wait(self._pending, deadline, is_enough)
        results: dict[PodView, T | exception.PodError] = {}
        for future, pod in self._pending.items():
            if future in done:
                results[pod] = future.result()
            elif future.cancel():
                results[pod] = exception.PodNotReached(pod.name, 'not called within the deadline', is_down=False)
            else:
                results[pod] = exception.PodNoAnswer(pod.name, 'no answer within the deadline', is_down=False)
        return results


def _wait(
    pending: Iterable[futures.Future[T]], deadline: Deadline, is_enough: Callable[[T], bool] | None
) -> set[futures.Future[T]]:
    """Wait until all calls are done, one result is enough, or the deadline is over; return the calls done by then."""
    late, done = set(pending), set()
    when = futures.ALL_COMPLETED if is_enough is None else futures.FIRST_COMPLETED
    while late:
        more, late = futures.wait(late, timeout=deadline.remaining() + 0.25, return_when=when)
        done |= more
        if not more or is_enough is None or any(is_enough(future.result()) for future in more):
            break
    return done


def _guarded(ask: Callable[[PodView], T], pod: PodView) -> T | exception.PodError:
    try:
        return ask(pod)
    except exception.PodError as error:
        return error


def _guarded_from_all(ask: Callable[[PodView], T], pod: PodView) -> T | Exception:
    try:
        return ask(pod)
    except Exception as error:
        return error
