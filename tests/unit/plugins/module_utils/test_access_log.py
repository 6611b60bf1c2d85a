"""What users were answered since a moment, from logs as nginx writes and rotates them."""

from __future__ import annotations

import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import access_log


def line(path, status, end=' rt=0.010 urt="0.010"', ago=0):
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(time.time() - ago))
    return f'192.0.2.7 - - [{at}] "GET {path} HTTP/1.1" {status} 612 "-" "a browser \\"5xx\\" 500 "{end}\n'


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(line("/before", 500))
    return path


def test_only_what_came_since_counts(log):
    place = access_log.mark(str(log))
    assert access_log.server_errors(place, "") == {"requests": 0, "errors": 0, "as_before": 0, "first": ""}
    with log.open("a") as stream:
        stream.write(
            line("/a", 200) + "no request at all\n" + line("/b?x=1", 502, "") + line("/c", 500) + line("/d", 499)
        )
    assert access_log.server_errors(place, "") == {"requests": 4, "errors": 2, "as_before": 0, "first": "/b 502"}


def test_what_failed_before_tells_nothing_about_what_was_changed(log):
    with log.open("w") as stream:
        stream.write(line("/long-ago", 500, ago=900) + line("/campaigns/17", 500, ago=60) + line("/sound", 200))
    place = access_log.mark(str(log))
    assert place["failing"] == ["/campaigns/0"]
    with log.open("a") as stream:
        stream.write(line("/campaigns/18", 500) + line("/long-ago", 500) + line("/sound", 500))
    assert access_log.server_errors(place, "") == {
        "requests": 3,
        "errors": 2,
        "as_before": 1,
        "first": "/long-ago 500",
    }


def test_a_log_in_json_is_understood_too(log):
    place = access_log.mark(str(log))
    with log.open("a") as stream:
        stream.write('{"msec": "1795335715.000", "request": "GET /j?x=1 HTTP/1.1", "status": "502"}\n')
    assert access_log.server_errors(place, "") == {"requests": 1, "errors": 1, "as_before": 0, "first": "/j 502"}


def test_what_is_held_back_on_purpose_is_no_error(log):
    place = access_log.mark(str(log))
    with log.open("a") as stream:
        stream.write(line("/api/hybrid", 503) + line("/api/hybrid", 500) + line("/other", 503))
    assert access_log.server_errors(place, "^/api/hybrid") == {
        "requests": 3,
        "errors": 2,
        "as_before": 0,
        "first": "/api/hybrid 500",
    }


def test_a_log_that_is_rotated_meanwhile_is_read_on(log):
    place = access_log.mark(str(log))
    with log.open("a") as stream:
        stream.write(line("/rotated", 500))
    log.rename(log.with_name("access.log.1"))
    log.write_text(line("/fresh", 500))
    assert access_log.server_errors(place, "") == {"requests": 2, "errors": 2, "as_before": 0, "first": "/rotated 500"}
    log.with_name("access.log.1").write_text(line("/older", 500))
    log.with_name("access.log.1").rename(log.with_name("access.log.2"))
    assert access_log.server_errors(place, "")["errors"] == 1


def test_a_log_that_begins_later_is_read_whole(tmp_path):
    place = access_log.mark(str(tmp_path / "access.log"))
    assert access_log.server_errors(place, "")["requests"] == 0
    (tmp_path / "access.log").write_text(line("/first", 500))
    assert access_log.server_errors(place, "")["errors"] == 1


def test_the_first_mark_of_a_run_is_the_one_that_counts(log, tmp_path):
    kept = str(tmp_path / "run" / "access-log.json")
    assert access_log.read_mark(kept) is None
    access_log.keep_mark(kept, str(log))
    with log.open("a") as stream:
        stream.write(line("/since", 500))
    access_log.keep_mark(kept, str(log))
    assert access_log.server_errors(access_log.read_mark(kept), "")["errors"] == 1
