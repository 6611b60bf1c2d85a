"""The verdict about an injected fault comes from states and records, not from what a run says of itself."""

from __future__ import annotations

import catalogue
import inject
import pytest

FAULT = catalogue.FAULTS[0]


@pytest.mark.parametrize(
    ("state", "exit_status", "recorded", "verdict"),
    [
        ("B", 0, True, "success"),
        ("A", 2, False, "refused"),
        ("A", 2, True, "taken back"),
        ("", 2, True, "partly"),
        ("A", 0, True, "wrong: exit 0 in state A"),
        ("B", 2, True, "wrong: exit 2 in state B"),
        ("", 0, True, "wrong: exit 0 in state neither A nor B"),
    ],
)
def test_verdict(state, exit_status, recorded, verdict):
    assert inject.judge(FAULT, inject.Observed("x", exit=exit_status), state, recorded) == verdict


def test_the_message_is_the_last_error_that_counts():
    events = [
        {"event": "result", "msg": "first", "ignored": False},
        {"event": "result", "msg": "the\n  verdict", "ignored": False},
        {"event": "result", "msg": "looked for and not there", "ignored": True},
        {"event": "result", "msg": "", "ignored": False},
        {"event": "task", "key": "x"},
    ]
    assert inject.message_of(events) == "the verdict"
    assert inject.message_of([]) == ""
