"""Declared checks are read as they look, and judged so that a wrong answer never passes."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.http_checks import (
    Answer,
    command,
    evidence,
    judge,
    lookup,
    parse,
    summary,
)
from hypothesis import given
from hypothesis import strategies as st

CANARY = "canary-7f3a"


def one(**values):
    return parse([{"name": "check", "path": "/", **values}], {"Authorization": CANARY})[0]


@pytest.mark.parametrize(
    ("declared", "status", "text", "seconds", "reason"),
    [
        ({}, 200, "", 0, ""),
        ({}, 500, "", 0, "status 500, wanted 200"),
        ({"status": 404}, 404, "", 0, ""),
        ({"status": "404"}, 200, "", 0, "status 200, wanted 404"),
        ({"status": [200, "503"]}, 503, "", 0, ""),
        ({"status": [200, 503]}, 404, "", 0, "status 404, wanted 200 or 503"),
        ({"max_s": "1.5"}, 200, "", 1.6, "took 1.60 s, at most 1.5 s allowed"),
        ({}, 200, "", 11, "took 11.00 s, at most 10 s allowed"),
        ({"contains": "Log in"}, 200, "L o g i n", 0, "'Log in' is not in the answer"),
        ({"contains": ["a", "b"]}, 200, "a", 0, "'b' is not in the answer"),
        ({"absent": "hybrid"}, 200, "no h here", 0, ""),
        ({"absent": "hybrid"}, 200, "a hybrid", 0, "'hybrid' is in the answer"),
        ({"json": {"status": "ok"}}, 200, '{"status": "ok"}', 0, ""),
        ({"json": {"status": "ok"}}, 200, '{"status": "bad"}', 0, "status is not 'ok'"),
        ({"json": {"status": "ok"}}, 200, "<html>", 0, "the answer is not JSON"),
        ({"json": {"status": "ok"}}, 200, '"ok"', 0, "status is not 'ok'"),
        ({"json": {"data.1.id": 7}}, 200, '{"data": [{"id": 1}, {"id": 7}]}', 0, ""),
        ({"json": {"data.9.id": 7}}, 200, '{"data": []}', 0, "data.9.id is not 7"),
    ],
)
def test_judging(declared, status, text, seconds, reason):
    assert judge(one(**declared), Answer(status, text, seconds), 0) == reason


@given(st.integers(100, 599), st.text(), st.floats(0, 100))
def test_an_answer_is_never_repeated_and_judging_never_fails(status, text, seconds):
    check = one(contains=["zzz"], json={"a": 1})
    reason = judge(check, Answer(status, CANARY + text, seconds), 0)
    assert reason
    assert CANARY not in reason


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text("ab0", max_size=3), children, max_size=3),
)


@given(JSON, st.lists(st.sampled_from(["a", "b", "0", "1"]), min_size=1, max_size=4))
def test_lookup_follows_the_path_and_never_fails(document, parts):
    found = lookup(document, ".".join(parts))
    for part in parts:
        if isinstance(document, list) and part.isdigit():
            document = document[int(part)] if int(part) < len(document) else None
        else:
            document = document.get(part) if isinstance(document, dict) else None
    assert json.dumps(found) == json.dumps(document)


@pytest.mark.parametrize(
    "declared",
    [
        [{"path": "/"}],
        [{"name": "a", "path": "login"}],
        [{"name": "a", "path": "/", "containz": ["x"]}],
        [{"name": "a", "path": "/", "status": "ok"}],
        [{"name": "a", "path": "/", "json": "x"}],
        [{"name": "a", "path": "/", "max_s": "soon"}],
        [{"name": "a", "path": "/", "tls_days": "many"}],
        [{"name": "a", "path": "/", "answer_headers": ["Age"]}],
        [{"name": "a", "path": "/"}, {"name": "a", "path": "/login"}],
    ],
    ids=[
        "no name",
        "relative path",
        "unknown key",
        "status",
        "json",
        "max_s",
        "tls_days",
        "answer_headers",
        "same name",
    ],
)
def test_a_check_that_says_nothing_clear_is_refused(declared):
    with pytest.raises(RollbackError, match="validation_http_checks"):
        parse(declared, {"Authorization": CANARY})


def test_secret_headers_go_only_with_checks_that_ask_for_them():
    assert one(token=True, headers={"Accept": "a"}).headers == {"Accept": "a", "Authorization": CANARY}
    assert one(headers={"Accept": "a"}).headers == {"Accept": "a"}


@pytest.mark.parametrize(
    ("declared", "reads_only"),
    [
        ({}, True),
        ({"method": "head"}, True),
        ({"method": "post"}, False),
        ({"method": "POST", "status": 201}, False),
        ({"method": "DELETE", "status": [204, 404]}, False),
        ({"method": "POST", "status": 404}, True),
        ({"method": "POST", "status": [401, 419]}, True),
    ],
)
def test_a_request_that_may_change_something_is_known(declared, reads_only):
    assert one(**declared).reads_only is reads_only


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_a_summary_lies_within_what_was_measured(seconds):
    found = summary(seconds)
    assert min(seconds) - 1e-3 <= found["p50"] <= found["p95"] + 1e-3 <= max(seconds) + 2e-3
    assert found["samples"] == len(seconds)


def test_what_is_held_back_has_to_say_when_to_come_again():
    (check,) = parse([{"name": "held", "path": "/", "held": True}], {})
    told = {"retry-after": "30"}
    assert judge(check, Answer(503, headers=told), 0) == ""
    assert "Retry-After" in judge(check, Answer(503), 0)
    assert judge(check, Answer(200, headers=told), 0) == "status 200, wanted 503"


@pytest.mark.parametrize(
    ("declared", "headers", "reason"),
    [
        ({"Content-Type": "json"}, {"content-type": "application/json"}, ""),
        ({"Content-Type": "json"}, {"content-type": "text/html"}, "header content-type does not contain 'json'"),
        ({"Content-Type": "json"}, {}, "header content-type does not contain 'json'"),
        ({"X-Powered-By": None}, {}, ""),
        ({"X-Powered-By": None}, {"x-powered-by": CANARY}, "header x-powered-by is in the answer"),
        ({"Age": 0}, {"age": "0"}, ""),
    ],
)
def test_headers_of_the_answer(declared, headers, reason):
    assert judge(one(answer_headers=declared), Answer(200, headers=headers), 0) == reason


@pytest.mark.parametrize(
    ("days", "expires", "reason"),
    [
        (14, 15 * 86400.0, ""),
        (14, 13.5 * 86400, "the certificate lasts 13.5 days, wanted 14"),
        (14, None, "the answer did not come over TLS"),
        (0, None, ""),
    ],
)
def test_certificates(days, expires, reason):
    assert judge(one(tls_days=days), Answer(200, expires=expires), 0) == reason


def test_a_failure_says_what_it_rests_on_and_how_to_look_further():
    check = one(method="POST", path="/api/x", token=True)
    answer = Answer(500, CANARY, headers={"content-type": "text/html"})
    assert evidence(check, answer, "now") == "POST /api/x at now: 500, 11 characters of text/html"
    assert evidence(check, Answer(0), "now") == "POST /api/x at now"
    assert command(check, "http://web1") == 'curl -si -X POST -H "Authorization: Bearer $TOKEN" http://web1/api/x'
