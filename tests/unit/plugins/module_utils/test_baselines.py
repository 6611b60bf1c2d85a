"""Slower is told from noise: by how much, of how many samples, and never from too few."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.baselines import (
    Tolerance,
    compare_resources,
    compare_times,
    route,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import given
from hypothesis import strategies as st


def timed(p50, p95=None, samples=20):
    return {"p50": p50, "p95": p50 if p95 is None else p95, "samples": samples}


@pytest.mark.parametrize(
    ("now", "then", "verdict", "told"),
    [
        (timed(0.05), timed(0.05), "passed", "p50 0.050 s, was 0.050 s"),
        # Twice as much is allowed, and a tenth of a second in any case.
        (timed(0.149), timed(0.05), "passed", ""),
        (timed(0.151), timed(0.05), "failed", "at most 0.150 s allowed"),
        (timed(1.99), timed(1.0), "passed", ""),
        (timed(2.01), timed(1.0), "failed", "p50 2.010 s, was 1.000 s, at most 2.000 s allowed"),
        # p95 of few samples is hardly more than the slowest of them.
        (timed(0.05, 9.0, 99), timed(0.05, 0.06, 500), "passed", ""),
        (timed(0.05, 9.0, 100), timed(0.05, 0.06, 500), "failed", "p95 9.000 s, was 0.060 s"),
        (timed(0.05, 9.0, 500), timed(0.05, 0.06, 99), "passed", ""),
        # Too few say nothing, whatever they say.
        (timed(9.0, samples=19), timed(0.05), "not checked", "19 now, 20 then, 20 needed"),
        (timed(0.05), timed(0.05, samples=19), "not checked", "20 now, 19 then"),
        ({}, timed(0.05), "not checked", "0 now"),
    ],
)
def test_times(now, then, verdict, told):
    (check,) = compare_times({"/": now} if now else {}, {"/": then}, Tolerance(), "time of", "tail")
    assert (check["name"], check["verdict"], check["passed"]) == ("time of /", verdict, verdict == "passed")
    assert told in check["detail"]


def test_only_what_was_measured_then_is_compared():
    assert compare_times({"/new": timed(9)}, {}, Tolerance(), "time of", "") == []


@pytest.mark.parametrize(
    ("now", "then", "verdict"),
    [
        ({"open connections": 30}, {"open connections": 11}, "passed"),
        ({"open connections": 32}, {"open connections": 11}, "failed"),
        ({"open connections": 201}, {"open connections": 100}, "failed"),
        ({"memory of a in bytes": 250 << 20}, {"memory of a in bytes": 1 << 20}, "passed"),
        ({"memory of a in bytes": 600 << 20}, {"memory of a in bytes": 290 << 20}, "failed"),
        ({}, {"open connections": 1}, "not checked"),
    ],
)
def test_resources(now, then, verdict):
    (check,) = compare_resources(now, then, Tolerance(), "ps")
    assert check["verdict"] == verdict


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/", "/"),
        ("/api/campaigns", "/api/campaigns"),
        ("/api/campaigns/17", "/api/campaigns/{id}"),
        ("/api/campaigns/17/logs/3", "/api/campaigns/{id}/logs/{id}"),
        ("/x/0198c0de-7f3a-7000-8000-0123456789ab", "/x/{id}"),
        ("/reset/9f8e7d6c5b4a39281706", "/reset/{id}"),
        ("/api/v2/campaigns", "/api/v2/campaigns"),
    ],
)
def test_requests_of_one_route_have_one_name(path, wanted):
    assert route(path) == wanted


@given(st.text("abz/019-", max_size=40))
def test_a_route_is_the_route_of_itself(path):
    assert route(route(path)) == route(path)


@pytest.mark.parametrize(
    "declared",
    [{"faktor": 2}, {"factor": 0.5}, {"factor": "much"}, {"floor_s": -1}, {"samples": 0}, {"samples": None}],
)
def test_a_tolerance_that_says_nothing_clear_is_refused(declared):
    with pytest.raises(RollbackError, match="validation_tolerance"):
        Tolerance.parse(declared)


def test_a_tolerance_is_read_as_it_looks():
    assert Tolerance.parse({"factor": "3", "samples": "50"}) == Tolerance(3.0, 0.1, 50)
