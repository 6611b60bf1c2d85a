"""What counts in the logs of a host since a moment, and what is told of it."""

from __future__ import annotations

import datetime
import gzip

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import host_logs

NOW = 1794924000.0
CANARY = "canary-7f3a"


def access(seconds_ago, path="/api/campaigns", status=200, rest=' rt=0.020 urt="0.019"'):
    """One line of an access log."""
    at = datetime.datetime.fromtimestamp(NOW - seconds_ago, datetime.timezone.utc).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'192.0.2.7 - - [{at}] "GET {path}?q={CANARY} HTTP/1.1" {status} 10 "-" "agent"{rest}\n'


def logged(
    seconds_ago, level="ERROR", text=f'it broke {CANARY} {{"exception":"[object] (App\\\\Exceptions\\\\Odd(code: 0)'
):
    at = datetime.datetime.fromtimestamp(NOW - seconds_ago, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return f"[{at}] production.{level}: {text}\n[stacktrace]\n#0 {{main}}\n"


@pytest.fixture
def logs(tmp_path):
    """Logs of a host whose files are made from what is given."""

    def make(lines=(), records=None, **given):
        path, laravel = tmp_path / "access.log", tmp_path / "laravel.log"
        path.write_text("".join(lines))
        if records is not None:
            laravel.write_text("".join(records))
        return host_logs.Logs(
            **{"since": NOW - 60, "measure_since": NOW - 600, "access": str(path), "laravel": [str(laravel)], **given}
        )

    return make


@pytest.mark.parametrize(
    ("lines", "given", "verdict", "told"),
    [
        ([access(1)], {}, "passed", "0 of 1 requests"),
        ([access(1), access(2, status=500)], {}, "failed", "1 of 2 requests"),
        # Before the switch, so that it says nothing about what is live now.
        ([access(90, status=500), access(1)], {}, "passed", "0 of 1"),
        # Held back by a gate, or on purpose.
        ([access(1, status=503, rest=' rt=0.000 urt="-"')], {}, "passed", "0 of 1"),
        ([access(1, status=503)], {}, "failed", "1 of 1"),
        # This format does not say who answered.
        ([access(1, status=503, rest="")], {}, "not checked", "of 1 with 503 the log does not say"),
        ([access(1, status=503, rest=""), access(2, status=500, rest="")], {}, "failed", "1 of 2"),
        ([access(1, "/api/hybrid", 503, "")], {"held": "^/api/hybrid"}, "passed", "0 of 1"),
        ([access(1, "/api/hybrid", 500, "")], {"held": "^/api/hybrid"}, "failed", "1 of 1"),
        ([access(1, status=404), access(1, status=499)], {}, "passed", "0 of 2"),
        ([access(1, "/build/a.js", 500), access(1)], {"ignored": ["^/build/"]}, "passed", "0 of 1"),
        # Nobody asked, so nobody knows.
        ([access(90)], {}, "not checked", "no request since"),
        ([], {}, "not checked", "no request since"),
    ],
)
def test_answers_since_the_switch(logs, lines, given, verdict, told):
    check = host_logs.requests(logs(lines, **given)).check(0)
    assert (check["verdict"], told in check["detail"]) == (verdict, True), check
    assert CANARY not in str(check)


def test_a_failed_check_says_which_requests_and_how_to_look(logs):
    check = host_logs.requests(logs([access(9 - number, f"/x/{number}", 500) for number in range(8)])).check(0)
    assert check["evidence"].startswith("500 /x/{id} at 2026-")
    assert check["evidence"].endswith("and 3 more")
    assert "access.log" in check["look"]


def test_as_many_as_are_allowed_pass(logs):
    found = host_logs.requests(logs([access(1, status=500)] * 3))
    assert [found.check(limit)["verdict"] for limit in (2, 3)] == ["failed", "passed"]


def test_times_reach_further_back_and_leave_out_what_says_nothing(logs):
    lines = [
        *[access(300, f"/api/campaigns/{number}", rest=f' rt=0.{number:03d} urt="0.1"') for number in range(1, 100)],
        access(700),  # before the window
        access(20, status=500),  # failed
        access(20, "/favicon.ico", rest=' rt=0.001 urt="-"'),  # nginx alone
        access(20, "/untimed", rest=""),
    ]
    found = host_logs.requests(logs(sorted(lines)))
    assert found.routes() == {"/api/campaigns/{id}": {"p50": 0.05, "p95": 0.094, "samples": 99}}


def test_a_log_that_was_rotated_meanwhile_is_read_on(logs, tmp_path):
    given = logs([access(1)])
    (tmp_path / "access.log.1").write_text(access(5, status=500))
    (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(access(8, status=502).encode()))
    assert host_logs.requests(given).check(0)["evidence"].count("/api/campaigns") == 2


@pytest.mark.parametrize(
    ("records", "given", "verdict", "told"),
    [
        ([logged(1, "INFO")], {}, "passed", "0 errors"),
        ([logged(90)], {}, "passed", "0 errors"),
        ([logged(5)], {}, "failed", "1 errors"),
        ([logged(5, "CRITICAL"), logged(4, "EMERGENCY"), logged(3, "WARNING")], {}, "failed", "2 errors"),
        ([logged(5)], {"expected": ["^it broke"]}, "passed", "0 errors"),
        (None, {}, "not checked", "there is no log"),
    ],
)
def test_errors_since_the_switch(logs, records, given, verdict, told):
    check = host_logs.errors(logs([], records, **given), 0)
    assert (check["verdict"], told in check["detail"]) == (verdict, True), check
    assert CANARY not in str(check)


def test_an_error_is_told_by_its_class_alone(logs):
    assert host_logs.errors(logs([], [logged(5)]), 0)["evidence"].startswith("Odd at 2026-")


def test_times_of_the_log_are_the_applications(logs):
    """One hour of offset would hide every error, or bring back old ones."""
    given = logs([], [logged(5 - 3600)], zone="Europe/Berlin")
    assert host_logs.errors(given, 0)["verdict"] == "failed"
