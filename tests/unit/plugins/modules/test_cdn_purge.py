"""cdn_purge against a stand-in that answers in the shapes that Cloudflare documents."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.cloudflare import BATCH

TOKEN = "cdn-token-of-a-test"
ZONE = "023e105f4ecef8ad9ca31a8372d0c353"
DONE = (200, {"success": True, "errors": [], "messages": [], "result": {"id": ZONE}})


def refused(status, code, message):
    return status, {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}


@pytest.fixture
def interface():
    """A stand-in: ``answers`` are given in turn, the last one again and again; ``asked`` is what was sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((self.path, self.headers["Authorization"], body))
            status, answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments):
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.asked = [DONE], []
    server.url = f"http://127.0.0.1:{server.server_port}/client/v4"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def arguments(interface, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return {"zone": ZONE, "token": TOKEN, "url": interface.url}


def test_everything_is_purged_in_one_call(arguments, interface, run_module):
    predicted = run_module("cdn_purge", arguments, check=True)
    assert interface.asked == [], "check mode sends nothing"
    assert run_module("cdn_purge", arguments) == predicted
    path = f"/client/v4/zones/{ZONE}/purge_cache"
    assert interface.asked == [(path, f"Bearer {TOKEN}", {"purge_everything": True})]


def test_files_are_purged_in_calls_that_every_plan_accepts(arguments, interface, run_module):
    files = [f"https://app.example.com/{number}" for number in range(BATCH + 1)]
    assert run_module("cdn_purge", {**arguments, "files": files})["calls"] == 2
    assert [body["files"] for _path, _token, body in interface.asked] == [files[:BATCH], files[BATCH:]]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refused(403, 10000, "Authentication error"), "status 403: 10000 Authentication error"),
        (refused(400, 1012, "Request must contain one of files"), "status 400: 1012 Request must contain"),
        # A refusal is one whatever its status says.
        (refused(200, 1107, "Only enterprise zones can purge by this"), "status 200: 1107 Only enterprise"),
        ((404, refused(404, 7003, "Could not route to /zones/x")[1]), "status 404: 7003 Could not route"),
        ((403, "<html>challenge</html>"), "status 403, and no answer of the interface"),
        ((200, "[]"), "status 200, and no answer of the interface"),
        (refused(400, 1, f"no such token {TOKEN}"), "1 no such token <token>"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_without_the_token(arguments, interface, run_module, answer, said):
    interface.answers = [answer]
    failed = run_module("cdn_purge", arguments, fails=True)
    assert said in failed["msg"]
    assert len(interface.asked) == 1, "it would not pass later either"
    failed.pop("invocation")
    assert TOKEN not in json.dumps(failed)


def test_what_may_pass_is_tried_again(arguments, interface, run_module):
    interface.answers = [refused(429, 971, "Please wait and consider throttling"), DONE]
    run_module("cdn_purge", arguments)
    assert len(interface.asked) == 2


def test_tries_end_with_the_time(arguments, interface, run_module):
    interface.answers = [refused(503, 10001, "Service unavailable")]
    failed = run_module("cdn_purge", {**arguments, "timeout_s": 0.1}, fails=True)
    assert "status 503: 10001 Service unavailable" in failed["msg"]


def test_nobody_answers(arguments, run_module):
    failed = run_module("cdn_purge", {**arguments, "url": "http://127.0.0.1:1"}, fails=True)
    assert "no answer: ConnectError" in failed["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_path_is_no_address(arguments, interface, run_module, check):
    failed = run_module("cdn_purge", {**arguments, "files": ["/build/manifest.json"]}, check=check, fails=True)
    assert "A file to purge is a whole address" in failed["msg"]
    assert interface.asked == []
