"""When a task that failed is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable

from wsgibg._options import TaskOptions

__all__ = ["delay_before", "wants_retry"]


def delay_before(
    attempt: int, options: TaskOptions, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """How long a task waits before an attempt.

    The wait doubles with every attempt, varies at random by the jitter, so that tasks that failed
    together do not come back together, and never exceeds the maximum.

    Args:
        attempt: the number of the attempt to come; 2 is the first that is waited for.
        options: the task's.
        uniform: a random number between two others.

    Returns:
        Seconds.

    Example:
        >>> from wsgibg import TaskOptions
        >>> options = TaskOptions(retries=4, backoff=1, jitter=0, max_backoff=5)
        >>> [delay_before(attempt, options) for attempt in (2, 3, 4, 5)]
        [1.0, 2.0, 4.0, 5.0]
    """
    most = options.max_backoff
    wait = min(options.backoff * 2.0 ** min(attempt - 2, 1000), most)
    return min(wait * uniform(1 - options.jitter, 1 + options.jitter), most)


def wants_retry(attempt: int, options: TaskOptions | None, error: BaseException) -> bool:
    """Whether a task that failed is to be tried again.

    Args:
        attempt: the number of the attempt that failed, from 1.
        options: the task's.
        error: what it failed with.
    """
    return (
        options is not None and attempt <= options.retries and isinstance(error, options.retry_on)
    )
