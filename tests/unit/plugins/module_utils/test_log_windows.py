"""The end of a log is read as it is: nothing before the window, and no numbers where there is no data."""

from __future__ import annotations

import datetime
import json
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import log_windows
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime.datetime(2026, 11, 22, 8, 0, 0, tzinfo=log_windows.UTC).timestamp()
CLOCK = "22/Nov/2026:08:00:00 +0000"
COMBINED = f'192.0.2.7 - - [{CLOCK}] "GET /api/campaigns?page=2 HTTP/1.1" 500 12 "-" "agent"'


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (COMBINED, (NOW, "/api/campaigns", 500, None, None)),
        (COMBINED + ' rt=0.250 urt="0.240"', (NOW, "/api/campaigns", 500, 0.25, True)),
        (COMBINED + ' rt=0.000 urt="-"', (NOW, "/api/campaigns", 500, 0.0, False)),
        (COMBINED + ' rt=0.5 uct="0.0" uht="0.1" urt="0.010, 0.004"', (NOW, "/api/campaigns", 500, 0.5, True)),
        (COMBINED + " 1.500 0.01 : 0.02", (NOW, "/api/campaigns", 500, 1.5, True)),
        # nginx's own format `main` ends with the addresses that a proxy told.
        (COMBINED + ' "203.0.113.9, 10.1.2.3"', (NOW, "/api/campaigns", 500, None, None)),
        (COMBINED + " 1.500 -", (NOW, "/api/campaigns", 500, 1.5, False)),
        (COMBINED.replace("+0000", "+0530"), (NOW - 19800, "/api/campaigns", 500, None, None)),
        (COMBINED.replace("+0000", "-0100"), (NOW + 3600, "/api/campaigns", 500, None, None)),
        (COMBINED.replace("GET /api/campaigns?page=2 HTTP/1.1", "-"), (NOW, "-", 500, None, None)),
        (COMBINED.replace("Nov", "Nox"), None),
        (COMBINED.replace("22/", "31/"), None),
        ("half a li", None),
        ("", None),
        ("{", None),
        ('{"status": 200}', None),
        (
            json.dumps({"time_iso8601": "2026-11-22T09:00:00+01:00", "status": "503", "request_uri": "/a?b"}),
            (NOW, "/a", 503, None, None),
        ),
        (
            json.dumps({"msec": NOW, "status": 200, "request": "GET /a HTTP/1.1", "request_time": "0.1"})[:-1]
            + ', "upstream_response_time": "-"}',
            (NOW, "/a", 200, 0.1, False),
        ),
    ],
)
def test_access_lines(line, wanted):
    found = log_windows.access(line)
    assert (found and (found.at, found.path, found.status, found.seconds, found.upstream)) == wanted


@given(st.text())
def test_no_line_breaks_the_reader(line):
    log_windows.access(line)
    log_windows.access("{" + line)
    log_windows.record(log_windows.UTC)(line)


def request(status=200, seconds=None, upstream=None, path="/"):
    return log_windows.Request(NOW, path, status, seconds, upstream)


def test_what_says_nothing_about_the_application_does_not_count():
    found = log_windows.traffic(
        [
            request(200),
            request(500),
            request(503, upstream=True),
            request(503, upstream=False),
            request(499),
            request(500, path="/api/health/detailed"),
        ],
        ["^/api/health"],
    )
    assert found["requests"] == 3
    assert found["errors"] == 2
    assert found["error_share"] == 0.6667
    assert (found["held_back"], found["given_up"]) == (1, 1)


def test_a_503_without_a_word_on_who_gave_it_is_an_error():
    assert log_windows.traffic([request(503)], [])["errors"] == 1


def test_no_data_is_not_zero():
    found = log_windows.traffic([request(200)], [])
    assert (found["average_s"], found["p95_s"]) == (None, None)
    assert log_windows.traffic([], [])["error_share"] is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_p95_is_the_smallest_time_that_95_of_100_requests_did_not_exceed(times):
    found = log_windows.traffic([request(seconds=time) for time in times], [])["p95_s"]
    rounded = [round(time, 3) for time in times]

    def share(limit):
        return sum(time <= limit for time in rounded) / len(rounded)

    assert found in rounded
    assert share(found) >= 0.95
    assert all(share(time) < 0.95 for time in rounded if time < found)


def access_line(at, status=200):
    moment = datetime.datetime.fromtimestamp(at, log_windows.UTC)
    return f'- - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "GET / HTTP/1.1" {status} 1 "-" "-"\n'


@given(
    st.lists(st.integers(0, 2000), max_size=40),
    st.integers(0, 40),
    st.integers(0, 2000),
    st.integers(0, 2000),
)
def test_a_window_holds_what_was_logged_in_it_whichever_file_it_is_in(ages, split, window, most_bytes):
    """Lines in order of time; told as complete only if nothing in the window was left out."""
    ages = sorted(ages, reverse=True)
    lines = [access_line(NOW - age) for age in ages]
    since = NOW - window
    with tempfile.TemporaryDirectory() as directory:
        newest, older = f"{directory}/access.log", f"{directory}/access.log.1"
        for path, own in ((older, lines[:split]), (newest, lines[split:])):
            with open(path, "w", encoding="utf-8") as stream:
                stream.writelines(own)
        found, complete = log_windows.recent([newest, older], since, most_bytes, log_windows.access)
    wanted = [NOW - age for age in ages if NOW - age >= since][::-1]
    assert [one.at for one in found] == wanted[: len(found)]
    if complete:
        assert len(found) == len(wanted)
    if sum(map(len, lines)) < most_bytes:
        assert complete


def test_lines_that_are_a_little_out_of_order_are_all_found(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(access_line(NOW) + access_line(NOW - 30) + access_line(NOW))
    found, complete = log_windows.recent([str(path)], NOW - 10, 10_000, log_windows.access)
    assert (len(found), complete) == (2, True)


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))), st.integers(0, 300)
)
def test_a_tail_is_whole_lines_and_no_more_bytes_than_allowed(lines, most):
    data = b"".join(line + b"\n" for line in lines)
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        found, whole = log_windows.tail(stream.name, most)
    assert whole == (len(data) <= most)
    kept = data if whole else data[len(data) - most :]
    if not whole and data[len(data) - most - 1 : len(data) - most] != b"\n":
        kept = kept[kept.find(b"\n") + 1 :] if b"\n" in kept else b""
    assert found == kept.decode("utf-8", "replace").splitlines()


RECORDS = """[2026-11-22 08:00:00] app.ERROR: campaign_logs {"exception":"[object] (Illuminate\\\\QueryException(code: 1
[stacktrace]
#0 /srv/campaign/HybridCampaign.php
[previous exception] [object] (PDOException(code: 42S22)
"}
[2026-11-22 08:00:01] production.INFO: campaign error in passing
[2026-11-22T08:00:02.123456+00:00] local.CRITICAL: Allowed memory size of 128 bytes exhausted
[2026-11-22 08:00:03] production.ERROR: Refused. {"exception":"[object] (App\\\\Services\\\\MessageRefused(code: 0): x)
[2026-13-22 08:00:04] production.ERROR: no such month
"""


def test_records_are_counted_once_and_only_by_their_first_line():
    read = log_windows.record(log_windows.UTC)
    records = [record for record in map(read, RECORDS.splitlines()) if record]
    assert [record.at - NOW for record in records] == [0, 1, pytest.approx(2, abs=1), 3]
    found = log_windows.errors(records, {"campaigns": "hybridcampaign|campaign_logs", "memory": "allowed memory"})
    assert found == {
        "errors": 3,
        "matching": {"campaigns": 1, "memory": 1},
        "classes": {"MessageRefused": 1, "QueryException": 1},
    }


def test_times_without_an_offset_are_of_the_applications_zone():
    record = log_windows.record(log_windows.zone_of("Asia/Jakarta"))(RECORDS.splitlines()[0])
    assert record.at == NOW - 7 * 3600
    said = log_windows.record(log_windows.zone_of("Asia/Jakarta"))("[2026-11-22T08:00:00+00:00] app.ERROR: x")
    assert said.at == NOW
    with pytest.raises(RollbackError, match="not known"):
        log_windows.zone_of("Nowhere/Town")


def test_files_of_both_channels_and_of_each_day_of_the_window():
    files = list(log_windows.laravel_files("/l/laravel.log", NOW - 9 * 3600, NOW, log_windows.UTC))
    assert files == [
        ["/l/laravel.log", "/l/laravel.log.1"],
        ["/l/laravel-2026-11-22.log", "/l/laravel-2026-11-21.log"],
    ]
