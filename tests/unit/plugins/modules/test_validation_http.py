"""validation_http for real against a server in this process."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

CANARY = "canary-7f3a"


@pytest.fixture
def server():
    """Base address of a server that remembers what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            requests.append((self.command, self.path, self.headers.get("Authorization"), self.headers.get("X-Gate")))
            status = {"/gone": 404, "/error": 500, "/away": 302}.get(self.path, 200)
            text = json.dumps({"status": "ok", "secret": CANARY}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if status == 302:
                self.send_header("Location", "/")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_arguments):
            pass

    requests = []
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", requests
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_every_check_is_judged_for_every_address_and_no_answer_is_repeated(run_module, server):
    url, requests = server
    checks = [
        {"name": "home", "path": "/", "baseline": True, "json": {"status": "ok"}},
        {"name": "error", "path": "/error"},
        {"name": "redirect", "path": "/away", "status": 302},
        {"name": "gone", "path": "/gone", "method": "POST", "status": 404, "rollback_only": True},
        {"name": "token", "path": "/token", "token": True},
    ]
    arguments = {
        "urls": {"web1": url, "down": "http://127.0.0.1:1"},
        "checks": checks,
        "headers": {"X-Gate": "passes"},
        "secret_headers": {"Authorization": CANARY},
        "samples": 3,
        "after_rollback": True,
    }
    result = run_module("validation_http", arguments)
    verdicts = {(check["target"], check["name"]): (check["passed"], check["detail"]) for check in result["checks"]}
    assert verdicts["web1", "error"] == (False, "status 500, wanted 200")
    assert [name for (target, name), (passed, _detail) in verdicts.items() if target == "web1" and passed] == [
        "home",
        "redirect",
        "gone",
        "token",
    ]
    assert {detail for (target, _name), (_passed, detail) in verdicts.items() if target == "down"} == {
        "no answer: ConnectError"
    }
    assert result["checks_failed"] == 6
    assert result["baseline"]["/"]["samples"] == 3
    assert CANARY not in json.dumps(result)
    assert {request[2] for request in requests if request[1] == "/token"} == {CANARY}
    assert {request[2] for request in requests if request[1] != "/token"} == {None}
    assert {request[3] for request in requests} == {"passes"}


def test_check_mode_sends_nothing_that_may_change_something(run_module, server):
    url, requests = server
    checks = [
        {"name": "read", "path": "/"},
        {"name": "create", "path": "/create", "method": "POST", "status": 201},
        {"name": "gone", "path": "/gone", "method": "POST", "status": 404},
        {"name": "later", "path": "/later", "rollback_only": True},
    ]
    result = run_module("validation_http", {"urls": {"web1": url}, "checks": checks}, check=True)
    assert [check["name"] for check in result["checks"]] == ["read", "gone"]
    assert sorted(request[1] for request in requests) == ["/", "/gone"]


def test_a_check_that_says_nothing_clear_is_refused(run_module):
    arguments = {"urls": {}, "checks": [{"name": "x", "path": "/", "contians": "y"}]}
    assert "contians" in run_module("validation_http", arguments, fails=True)["msg"]


def test_secret_headers_are_not_among_the_arguments_shown(run_module):
    arguments = {"urls": {}, "checks": [], "secret_headers": {"Authorization": CANARY}}
    assert CANARY not in json.dumps(run_module("validation_http", arguments))


def test_what_is_held_back_is_asked_for_as_users_do(run_module, server):
    url, requests = server
    checks = [{"name": "held", "path": "/", "held": True}, {"name": "home", "path": "/"}]
    found = run_module("validation_http", {"urls": {"web1": url}, "checks": checks, "headers": {"X-Gate": "passes"}})
    assert [(check["name"], check["passed"]) for check in found["checks"]] == [("held", False), ("home", True)]
    assert sorted(str(gate) for _method, _path, _token, gate in requests) == ["None", "passes"]
