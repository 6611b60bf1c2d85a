"""The figures of a drill from what was observed: an outage is a span without service, not a share of failures."""

from __future__ import annotations

import evidence
import pytest
from traffic import Sample


def visits(host, *pairs):
    return [Sample(at, host, "GET /", status, 0.0) for at, status in pairs]


def test_outage_runs_from_the_first_failure_to_the_next_success():
    assert evidence.outage(visits("web1", (0, 200), (1, 503), (2, 503), (4.5, 200))) == 3.5


def test_outage_ends_when_the_answer_is_there():
    samples = [Sample(0, "web1", "GET /", 503, 0.1), Sample(1, "web1", "GET /", 200, 2.0)]
    assert evidence.outage(samples) == 3.0


def test_hosts_are_counted_apart_and_the_worst_one_counts():
    samples = visits("web1", (0, 503), (1, 200)) + visits("web2", (0, 200), (0.5, 0), (3, 200))
    assert evidence.outage(samples) == 2.5


def test_an_outage_that_never_ended_lasts_until_the_last_look():
    assert evidence.outage(visits("web1", (0, 200), (1, 503), (9, 503))) == 8.0


def test_scattered_failures_are_no_long_outage():
    samples = visits("web1", *[(tick / 10, 500 if tick % 5 == 0 else 200) for tick in range(100)])
    assert evidence.outage(samples) == pytest.approx(0.1)


TURNS = visits("web1", (0, 200), (1, 503), (2, 200), (3, 200), (4, 200))


@pytest.mark.parametrize(
    ("other", "seconds"),
    [
        (visits("web2", (0, 200), (2, 503), (3, 200)), 0),
        (visits("web2", (0, 200), (1.5, 503), (3, 200)), 0.5),
        (visits("web2", (0, 200), (1.5, 0), (1.7, 502), (1.9, 504), (3, 200)), 0.5),
        # A faulty release answers, so it is not out.
        (visits("web2", (0, 200), (1.5, 500), (3, 200)), 0),
        # It never came back.
        (visits("web2", (0, 200), (1.25, 503)), 0.75),
    ],
)
def test_nobody_served_while_all_were_out_at_once(other, seconds):
    assert evidence.nobody_served(TURNS + other) == seconds


def test_one_host_is_out_as_long_as_it_is():
    assert evidence.nobody_served(TURNS) == 1
    assert evidence.nobody_served(visits("web1", (0, 503), (1, 503))) == 1
    assert evidence.nobody_served([]) == 0


def test_no_samples_no_outage():
    assert evidence.outage([]) == 0


def play(name, at):
    return {
        "event": "playbook_on_play_start",
        "created": f"2026-11-21T10:00:{at:02d}+00:00",
        "event_data": {"play": name},
    }


def test_phases_are_timed_by_their_first_play():
    events = [
        play("(1/7) OPEN: check", 0),
        play("(1/7) OPEN: find", 2),
        play("(5/7) SWITCH: one", 5),
        play("(5/7) SWITCH: two", 6),
        play("UNDO: not numbered", 7),
        play("(7/7) VERDICT", 9),
    ]
    ended = evidence.seconds_of(events[-1]) + 1
    assert evidence.phases(events, ended) == {"open": 5, "switch": 4, "verdict": 1}


def test_the_file_has_exactly_the_agreed_fields():
    observed = {
        "samples": visits("web1", (1, 200), (2, 503), (3, 200), (99, 500)),
        "events": [
            {
                "event": "runner_on_ok",
                "event_data": {
                    "res": {"bytes": 10, "load_s": 1.5},
                },
            },
            {"event": "runner_on_ok", "event_data": {"res": {"swap_s": 0.01, "incoming": "blazz__standby"}}},
            {
                "event": "runner_on_ok",
                "event_data": {
                    "res": {"longest_s": 0.1, "tables": {"campaigns": {"brought": 3}, "jobs": {"brought": 1}}}
                },
            },
        ],
        "began": 0,
        "ended": 10,
        "verdict": "success",
        "rows_lost": 0,
        "duplicate_sends": 0,
        "checks": [{"name": "a", "passed": True}, {"name": "b", "passed": False}],
        "functions": {"served": ["GET /other"], "broken": ["GET /"]},
        "budget_s": 7200,
    }
    assert evidence.build("full", observed) == {
        "schema": 1,
        "level": "full",
        "verdict": "success",
        "finished": "1970-01-01T00:00:10+00:00",
        "rto_s": 10,
        "outage_s": 1.0,
        "requests": 3,
        "failed_requests": 1,
        "failed_requests_by_function": {"served": 0, "broken": 1},
        "rows_lost": 0,
        "later_rows": 4,
        "duplicate_sends": 0,
        "phases": {},
        "checks": {"passed": 1, "failed": 1},
        "database": {"strategy": "standby", "bytes": 10, "load_s": 1.5, "swap_s": 0.01},
        "budget_s": 7200,
    }
