"""Level 1 on the real thing. The tests run in order: what cannot be done is refused, then it is done and taken back."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import subprocess
import threading

import httpx
import pytest
from test_check_mode import checked
from test_refusals import ROOT, STATE, on, refused

NETWORK = os.environ.get("DRILL_NETWORK", "172.30.77")
WEB = {"web1": f"http://{NETWORK}.11", "web2": f"http://{NETWORK}.12"}
BUILDS = "/srv/campaign/shared/builds"
HYBRID = "/api/campaigns/hybrid"
LEVEL = "rollback-frontend"
TOKEN = "cdn-token-of-the-scenario"


@pytest.fixture(scope="module")
def point():
    return on("data1", f"ls {STATE}/restore_points").split()[-1]


def play(playbook, *arguments):
    """Exit status and output of a playbook, on one line."""
    argv = ["ansible-playbook", "-i", "inventories/drill", f"playbooks/{playbook}.yml"]
    for argument in arguments:
        argv += ["-e", argument]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr)


def entry(url):
    """The script that the live manifest names, and whether users get it."""
    with httpx.Client(base_url=url, trust_env=False) as client:
        (chunk,) = [chunk for chunk in client.get("/build/manifest.json").json().values() if chunk.get("isEntry")]
        return chunk["file"], client.get(f"/build/{chunk['file']}").status_code


def live():
    """What every web host serves."""
    return {host: entry(url) for host, url in WEB.items()}


def held():
    """How every web host answers for hybrid campaigns: status, and whether it says when to come again."""
    answers = [httpx.post(url + HYBRID, trust_env=False) for url in WEB.values()]
    return {(answer.status_code, "retry-after" in answer.headers) for answer in answers}


def undo():
    """Take the newest run back."""
    run = on("data1", f"ls {STATE}/runs").split()[-1]
    status, text = play("undo-rollback", f"rollback_confirm=drill:{run}")
    assert status == 0, text


@contextlib.contextmanager
def without_builds(damage):
    """Every copy of v1's build, kept or in its release, hit by a command on one host, and whole again afterwards."""
    places = on("web2", f"ls -d {BUILDS}/* /srv/campaign/releases/*/public/build").split()
    live_build = on("web2", "readlink -f /srv/campaign/current/public/build").strip()
    places = [place for place in places if place != live_build]
    for place in places:
        on("web2", f"cp -a {place} /root/{place.replace('/', '_')} && {damage.format(place)}")
    try:
        yield
    finally:
        for place in places:
            on("web2", f"rm -rf {place}; mv /root/{place.replace('/', '_')} {place}")


@pytest.fixture(scope="module")
def broken():
    """What is served before anything is done: a manifest whose script is gone."""
    found = live()
    assert {status for _name, status in found.values()} == {404}
    return found


def test_no_kept_build_and_no_command_to_make_one(point, broken):
    with without_builds("rm -r {}"):
        text = refused(f"rollback_confirm=drill:{point}", "frontend_build_command=", playbook=LEVEL)
    assert "frontend on web2: no build of" in text
    assert "is kept and frontend_build_command is empty" in text


def test_a_kept_build_with_a_wrong_digest(point):
    with without_builds("sh -c 'echo damaged >>$0/manifest.json' {}"):
        text = refused(f"rollback_confirm=drill:{point}", "frontend_build_command=", playbook=LEVEL)
    assert f"{BUILDS}/" in text
    assert "has the digest" in text


def test_paths_that_nothing_declares(point):
    text = refused(f"rollback_confirm=drill:{point}", "rollback_hold_paths=hybird", playbook=LEVEL)
    assert "A path to hold back is not declared. Found: hybird" in text


def test_without_confirmation_there_is_only_the_plan(point):
    text = refused(playbook=LEVEL)
    assert "kept build" in text
    assert f"rollback_confirm=drill:{point}" in text


def test_check_mode_shows_the_change_and_makes_none():
    status, text = checked(LEVEL, "rollback_hold_paths=hybrid")
    assert status == 0, text
    for shown in ("every precondition holds", "+held back"):
        assert shown in text


def test_a_purge_that_fails_takes_the_rollback_back(point, broken):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            error = {"code": 10000, "message": "Authentication error"}
            text = json.dumps({"success": False, "errors": [error], "messages": [], "result": None}).encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"frontend_cdn_url=http://127.0.0.1:{server.server_port}"
    status, text = play(
        LEVEL, f"rollback_confirm=drill:{point}", "frontend_cdn_zone=z", f"frontend_cdn_token={TOKEN}", url
    )
    server.shutdown()
    assert status != 0
    assert "FAILED and taken back" in text
    assert "10000 Authentication error" in text
    assert TOKEN not in text
    assert live() == broken


def test_the_build_of_v1_is_live_again_and_hybrid_is_held_back(point, broken):
    status, text = play(LEVEL, f"rollback_confirm=drill:{point}", "rollback_hold_paths=hybrid")
    assert status == 0, text
    assert "held back: hybrid" in text
    assert {status for _name, status in live().values()} == {200}
    assert not set(live().values()) & set(broken.values())
    assert held() == {(503, True)}
    assert {httpx.get(url + "/api/health", trust_env=False).json()["version"] for url in WEB.values()} == {"v2"}
    undo()
    assert live() == broken
    assert held() == {(401, False)}


def test_a_build_that_is_gone_is_made_again(point, broken):
    with without_builds("rm -r {}"):
        status, text = play(LEVEL, f"rollback_confirm=drill:{point}")
        assert status == 0, text
        assert "build again" in text
        assert {status for _name, status in live().values()} == {200}
        undo()
        assert live() == broken
