"""Arithmetic of retries: whether an error is tried again, and after how long.

Jitter is not random but derived from the visit's address, so that a replay finds the same moment, and two
visits of the same node still spread.
"""

from __future__ import annotations

import sys
from typing import assert_never
from zlib import crc32

from clew.kernel.definition import Backoff, Retry
from clew.kernel.values import ErrorInfo


def is_retried(policy: Retry, error: ErrorInfo, failures: int) -> bool:
    """Whether a visit that has failed `failures` times, last with `error`, is tried again."""
    if failures >= policy.max_attempts or error.retryable is False:
        return False
    if error.retryable:
        return True
    if _matches(policy.not_on, error):
        return False
    return not policy.on or _matches(policy.on, error)


def retry_delay(policy: Retry, failures: int, error: ErrorInfo, seed: str) -> float:
    """Seconds until the next attempt.

    Fixed: ``d``. Linear: ``d * n``. Exponential: ``d * factor ** (n - 1)``, for the n-th failure; capped at
    `max_delay_s`, spread by up to ``jitter`` in both directions, and never less than a server asked for.

    Args:
        policy: the node's policy.
        failures: failures so far, 1 or more.
        error: the last one.
        seed: names the visit and attempt; the same seed spreads in the same way.
    """
    match policy.backoff:
        case Backoff.FIXED:
            delay = policy.delay_s
        case Backoff.LINEAR:
            delay = policy.delay_s * failures
        case Backoff.EXPONENTIAL:
            delay = policy.delay_s * _power(policy.factor, failures - 1)
        case _:
            assert_never(policy.backoff)
    delay = min(delay, policy.max_delay_s)
    share = crc32(seed.encode()) / 0xFFFFFFFF * 2 - 1
    delay *= 1 + policy.jitter * share
    return max(delay, error.retry_after_s or 0.0)


def _power(factor: float, exponent: int) -> float:
    try:
        return factor**exponent
    except OverflowError:
        return sys.float_info.max


def _matches(names: tuple[str, ...], error: ErrorInfo) -> bool:
    classes = error.classes or (error.type,)
    return any(name in classes or name == error.type for name in names)
