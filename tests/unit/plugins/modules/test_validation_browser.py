"""validation_browser with a real Chromium, against a server in this process that is good and bad on purpose."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import stat
import threading
import urllib.parse

import pytest
from ansible_collections.campaign.rollback.plugins.modules import validation_browser

CANARY = "canary-7f3a"
BROWSER = pytest.mark.skipif(
    validation_browser.async_playwright is None or not any(map(shutil.which, validation_browser.NAMES)),
    reason="needs Playwright and a Chromium",
)
FORM = """<form method=post><input name=name>
<select name=group><option>Choose<option>Pilot</select><button>Send</button></form>
<p id=preview hidden>to 7 contacts</p>
<script>document.forms[0].addEventListener('input', () => document.getElementById('preview').hidden = false)</script>
"""
PAGES = {
    "/form": FORM,
    "/hybrid": FORM + "<div id=hybrid>Hybrid</div>",
    "/throws": "<p>Fine</p><script>undefinedFunction()</script>",
    "/broken": "<p>Fine</p><script src=/missing.js></script>",
    "/foreign": "<p>Fine</p><script src=ELSEWHERE/missing.js></script>",
    "/login": "<form method=post><input name=password type=password><button>Log in</button></form>",
}

#: Host, path and header of what was asked for.
seen = []


@pytest.fixture
def server():
    """Address of the pages, and what was sent to them."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, status, text):
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self):
            seen.append((self.headers["Host"].partition(":")[0], self.path, self.headers["X-Gate"]))
            page = PAGES.get(self.path, CANARY).replace("ELSEWHERE", f"http://localhost:{self.server.server_port}")
            self.answer(200 if self.path in PAGES else 404, page)

        def do_POST(self):
            sent.append(urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.answer(200, f"<table><tr><td>{sent[-1].get('name', [''])[0]}</table><h1>Campaigns</h1>")

        def log_message(self, *_arguments):
            pass

    sent, seen[:] = [], []
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", sent
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def check(name, *steps, **given):
    return {"name": name, "steps": list(steps), "max_s": 2, **given}


@BROWSER
def test_pages_are_used_as_a_person_would(run_module, server, tmp_path):
    url, sent = server
    send = [
        {"visit": "/form"},
        {"fill": {"input[name=name]": "Check {unique}"}},
        {"select": {"select[name=group]": "Pilot"}},
        {"contains": {"#preview": "to 7 contacts"}},
        {"click": "button"},
        {"contains": {"table": "Check {unique}"}},
    ]
    checks = [
        check(
            "no hybrid option", {"visit": "/form"}, {"element": "form"}, {"no_element": "#hybrid"}, rollback_only=True
        ),
        check("hybrid option", {"visit": "/hybrid"}, {"no_element": "#hybrid"}),
        check("hybrid text", {"visit": "/hybrid"}, {"absent": "Hybrid"}),
        check("never there", {"visit": "/form"}, {"see": "Paradise"}),
        check("no such option", {"visit": "/form"}, {"select": {"select": "Everybody"}}),
        check("script fails", {"visit": "/throws"}, {"see": "Fine"}),
        check("script missing", {"visit": "/broken"}, {"see": "Fine"}),
        check("page missing", {"visit": "/none"}),
        check("created", *send, writes=True),
    ]
    given = {
        "urls": {"web1": url, "web2": url},
        "checks": checks,
        "login": [
            {"visit": "/login"},
            {"fill": {"input": "{secret:password}"}},
            {"click": "button"},
            {"see": "Campaigns"},
        ],
        "secrets": {"password": CANARY},
        "after_rollback": True,
        "writes": True,
        "directory": str(tmp_path / "pictures"),
    }
    result = run_module("validation_browser", given)
    found = {entry["name"]: entry for entry in result["checks"] if entry["target"] == "web1"}
    assert {name: entry["detail"] for name, entry in found.items()} == {
        "no hybrid option": "as wanted",
        "hybrid option": "no_element #hybrid: it is there",
        "hybrid text": "absent Hybrid: it is there",
        "never there": "step 2, see Paradise: not within 2 s",
        "no such option": "step 2, select select: not within 2 s",
        "script fails": "a script failed (ReferenceError)",
        "script missing": "script /missing.js was answered with 404",
        "page missing": "/none was answered with 404",
        "created": "as wanted",
    }
    # What writes is done once, and is another each time.
    assert [entry["name"] for entry in result["checks"] if entry["target"] == "web2"] == list(found)[:-1]
    assert [one["name"][0][:6] for one in sent if "name" in one] == ["Check "]
    assert sum("password" in one for one in sent) == 2
    assert result["checks_failed"] == 14
    assert CANARY not in json.dumps(result)
    picture = found["created"]["evidence"]
    assert stat.S_IMODE(os.stat(picture).st_mode) == 0o600
    with open(picture, "rb") as stream:
        assert stream.read(4) == b"\x89PNG"


@BROWSER
def test_what_others_serve_counts_for_nothing_and_learns_nothing(run_module, server, tmp_path):
    url, _sent = server
    given = {"urls": {"web1": url}, "checks": [check("page", {"visit": "/foreign"}, {"see": "Fine"})]}
    result = run_module("validation_browser", {**given, "headers": {"X-Gate": CANARY}, "directory": str(tmp_path)})
    assert [entry["detail"] for entry in result["checks"]] == ["as wanted"]
    assert [one for one in seen if "favicon" not in one[1]] == [
        ("127.0.0.1", "/foreign", CANARY),
        ("localhost", "/missing.js", None),
    ]


@BROWSER
def test_whoever_cannot_log_in_has_checked_nothing(run_module, server, tmp_path):
    url, _sent = server
    login = [{"visit": "/login"}, {"no_element": "form"}]
    given = {"urls": {"web1": url}, "checks": [check("form", {"visit": "/form"})], "login": login}
    (found,) = run_module("validation_browser", {**given, "directory": str(tmp_path)})["checks"]
    assert (found["verdict"], found["detail"]) == ("failed", "log-in: no_element form: it is there")


@pytest.mark.parametrize(("given", "check_mode"), [({}, False), ({"writes": True}, True)])
def test_nothing_is_written_unless_it_was_asked_for(run_module, tmp_path, given, check_mode):
    url = "http://127.0.0.1:1"
    checks = [check("created", {"visit": "/form"}, writes=True), check("newer", {"visit": "/form"}, rollback_only=True)]
    arguments = {"urls": {"web1": url}, "checks": checks, "directory": str(tmp_path), **given}
    assert run_module("validation_browser", arguments, check=check_mode)["checks"] == []


@pytest.mark.parametrize("missing", ["browser", "Playwright"])
def test_without_a_browser_everything_is_skipped_and_nothing_passed(run_module, tmp_path, monkeypatch, missing):
    if missing == "Playwright":
        monkeypatch.setattr(validation_browser, "async_playwright", None)
    elif validation_browser.async_playwright is None:
        pytest.skip("needs Playwright")
    checks = [check("form", {"visit": "/form"})]
    given = {"urls": {"web1": "http://127.0.0.1:1"}, "checks": checks, "browser": "/nonexistent"}
    result = run_module("validation_browser", {**given, "directory": str(tmp_path / "pictures")})
    (found,) = result["checks"]
    assert (found["verdict"], found["passed"], result["checks_failed"]) == ("skipped", False, 0)
    assert missing.lower() in result["skipped"].lower()
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ([{"name": "x", "steps": [{"jump": "/"}]}], "jump"),
        ([{"name": "x", "steps": [{"visit": "/", "see": "y"}]}], "visit, see"),
        ([{"name": "x", "steps": [{"fill": "input"}]}], "takes a mapping"),
        ([{"name": "x", "steps": [{"visit": {"a": "b"}}]}], "takes a text"),
        ([{"name": "x", "steps": []}], "x"),
        ([{"name": "x", "steps": [{"visit": "/"}], "write": True}], "write"),
        ([{"name": "x", "steps": [{"visit": "/"}], "max_s": "long"}], "long"),
        ([{"name": "x", "steps": [{"visit": "/"}]}] * 2, "same name"),
        ([{"name": "x", "steps": [{"fill": {"input": "{secret:pin}"}}]}], "pin"),
    ],
)
def test_what_says_nothing_clear_is_refused(run_module, tmp_path, checks, told):
    given = {"urls": {}, "checks": checks, "directory": str(tmp_path)}
    assert told in run_module("validation_browser", given, fails=True)["msg"]
