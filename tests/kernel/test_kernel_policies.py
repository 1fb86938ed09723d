"""The arithmetic of retries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.kernel.definition import Backoff, Retry
from clew.kernel.policies import is_retried, retry_delay
from clew.kernel.values import ErrorInfo

VALUE_ERROR = ErrorInfo(type="ValueError", message="", classes=("ValueError", "Exception"))
delays = st.floats(0, 1e6)


def steady(**options) -> Retry:
    return Retry(max_attempts=9, jitter=0.0, **options)


def delays_of(policy: Retry, count: int = 4) -> list[float]:
    return [retry_delay(policy, n, VALUE_ERROR, "seed") for n in range(1, count + 1)]


def test_without_a_policy_nothing_is_retried():
    assert not is_retried(Retry(), VALUE_ERROR, 1)


def test_the_last_attempt_is_not_retried():
    assert [is_retried(Retry(max_attempts=3), VALUE_ERROR, n) for n in (1, 2, 3)] == [True, True, False]


def test_an_error_that_says_never_is_never_retried():
    error = ErrorInfo(type="ValueError", message="", retryable=False)
    assert not is_retried(Retry(max_attempts=3), error, 1)


def test_an_error_that_asks_for_it_is_retried_whatever_its_class_while_attempts_are_left():
    error = ErrorInfo(type="Retryable", message="", retryable=True)
    policy = Retry(max_attempts=2, on=("OSError",), not_on=("Retryable",))
    assert [is_retried(policy, error, n) for n in (1, 2)] == [True, False]


@pytest.mark.parametrize(
    ("policy", "retried"),
    [
        (Retry(max_attempts=2, on=("ValueError",)), True),
        (Retry(max_attempts=2, on=("Exception",)), True),
        (Retry(max_attempts=2, on=("OSError",)), False),
        (Retry(max_attempts=2, not_on=("ValueError",)), False),
        (Retry(max_attempts=2, not_on=("Exception",), on=("ValueError",)), False),
        (Retry(max_attempts=2, not_on=("OSError",)), True),
    ],
)
def test_classes_and_their_bases_decide(policy: Retry, retried: bool):
    assert is_retried(policy, VALUE_ERROR, 1) is retried


def test_an_error_without_classes_is_known_by_its_type():
    error = ErrorInfo(type="timeout", message="")
    assert is_retried(Retry(max_attempts=2, on=("timeout",)), error, 1)


def test_a_fixed_delay_stays():
    assert delays_of(steady(backoff=Backoff.FIXED, delay_s=2.0)) == [2.0, 2.0, 2.0, 2.0]


def test_a_linear_delay_grows_by_itself():
    assert delays_of(steady(backoff=Backoff.LINEAR, delay_s=2.0)) == [2.0, 4.0, 6.0, 8.0]


def test_an_exponential_delay_grows_by_its_factor():
    assert delays_of(steady(delay_s=2.0, factor=3.0)) == [2.0, 6.0, 18.0, 54.0]


def test_the_cap_cuts_a_delay_off():
    assert delays_of(steady(delay_s=2.0, factor=3.0, max_delay_s=10.0)) == [2.0, 6.0, 10.0, 10.0]


@given(st.sampled_from(Backoff), delays, st.floats(1, 1e9), st.integers(1, 10_000), delays)
def test_no_delay_overflows(backoff: Backoff, delay_s: float, factor: float, failures: int, cap: float):
    policy = steady(backoff=backoff, delay_s=delay_s, factor=factor, max_delay_s=cap)
    assert 0 <= retry_delay(policy, failures, VALUE_ERROR, "seed") <= cap


def test_a_server_that_asks_for_patience_gets_it_even_beyond_the_cap():
    error = ErrorInfo(type="HTTPStatusError", message="", retry_after_s=60.0)
    assert retry_delay(steady(delay_s=1.0, max_delay_s=10.0), 1, error, "seed") == 60.0
    assert retry_delay(steady(delay_s=90.0), 1, error, "seed") == 90.0


@given(st.floats(0, 1), st.text())
def test_jitter_spreads_by_its_share_at_most(jitter: float, seed: str):
    policy = Retry(backoff=Backoff.FIXED, delay_s=10.0, jitter=jitter)
    delay = retry_delay(policy, 1, VALUE_ERROR, seed)
    assert 10 * (1 - jitter) - 1e-9 <= delay <= 10 * (1 + jitter) + 1e-9


def test_jitter_is_the_same_for_the_same_seed_and_spreads_over_others():
    policy = Retry(backoff=Backoff.FIXED, delay_s=10.0, jitter=0.5)
    spread = {retry_delay(policy, 1, VALUE_ERROR, f"run m[{i}] 1") for i in range(100)}
    assert retry_delay(policy, 1, VALUE_ERROR, "run m[0] 1") in spread
    assert len(spread) == 100
    assert min(spread) < 6 and max(spread) > 14
