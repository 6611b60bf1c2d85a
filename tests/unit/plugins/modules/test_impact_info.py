"""impact_info tells what it can of a host, names what it cannot, and touches nothing."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import stat
import subprocess
import threading
import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import impact_host
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

CANARY = "canary-8c2e"
COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f80912a3b4c5"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program into the PATH that prints what it is told, and keeps its arguments."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def install(name, script):
        path = directory / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/{name}.arguments\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


def now(text):
    return datetime.datetime.now(datetime.timezone.utc).strftime(text)


def test_nothing_declared_is_nothing_asked(run_module, untouched):
    for check in (True, False):
        with untouched():
            found = run_module("impact_info", {}, check=check)
        assert found["changed"] is False
        assert found["problems"] == {}
        assert 0 < found["memory"]["used_share"] < 1
        assert set(found) >= {"since", "memory", "processes"}
        assert "traffic" not in found


def test_each_part_that_cannot_be_read_is_named_and_hides_no_other(run_module, program, tmp_path):
    program("systemctl", "echo no bus >&2; exit 1")
    program("redis-cli", "echo Could not connect to Redis")
    access = tmp_path / "access.log"
    access.write_text(now('- - - [%d/%b/%Y:%H:%M:%S +0000] "GET / HTTP/1.1" 200 1 "-" "-"\n'))
    arguments = {
        "access_log": str(access),
        "logs": [str(tmp_path / "laravel.log")],
        "log_patterns": {"memory": "("},
        "serving": ["nginx.service"],
        "code": {"path": str(tmp_path), "repository": str(tmp_path)},
        "queue": {"keys": ["queues:default"]},
        "sessions": {"api": api("http://127.0.0.1:9/health"), "accounts": ["sales"]},
        "database": {"schema": "x", "login_unix_socket": str(tmp_path / "none.sock")},
    }
    found = run_module("impact_info", arguments)
    assert set(found["problems"]) == {"log", "services", "code", "queue", "sessions", "database"}
    assert "Could not connect" in found["problems"]["queue"]
    assert found["traffic"]["requests"] == 1
    assert found["backups"] == {}


def test_the_text_of_a_log_is_never_told(run_module, tmp_path):
    log = tmp_path / "laravel.log"
    log.write_text(now(f"[%Y-%m-%d %H:%M:%S] production.ERROR: {CANARY}\n"))
    found = run_module("impact_info", {"logs": [str(log)], "log_patterns": {"campaigns": "canary"}})
    assert found["log"] == {"errors": 1, "matching": {"campaigns": 1}, "classes": {}, "complete": True}
    assert CANARY not in json.dumps({key: value for key, value in found.items() if key != "invocation"})


def test_nothing_counts_from_before_since(run_module, tmp_path):
    log = tmp_path / "laravel.log"
    log.write_text(now("[%Y-%m-%d %H:%M:%S] production.ERROR: x\n"))
    arguments = {"logs": [str(log)], "since": time.time() + 5}
    assert run_module("impact_info", arguments)["log"]["errors"] == 0


UNITS = """cat <<'END'
Id=nginx.service
LoadState=loaded
ActiveState=active
MainPID=1

Id=worker.service
LoadState=loaded
ActiveState=failed
MainPID=0
END"""


def test_units_and_ends_for_lack_of_memory(run_module, program, tmp_path):
    program("systemctl", UNITS)
    program("journalctl", "echo 'worker.service: Main process exited'; echo again")
    found = run_module("impact_info", {"serving": ["nginx.service"], "working": ["worker.service"]})
    assert found["services"] == {"serving": [], "working": ["worker.service"], "memory_exits": 2}
    asked = (tmp_path / "journalctl.arguments").read_text().splitlines()
    assert asked[-7:] == [
        *("UNIT=nginx.service", "UNIT=worker.service", "EXIT_STATUS=12"),
        *("+", "UNIT=nginx.service", "UNIT=worker.service", "UNIT_RESULT=oom-kill"),
    ]


@pytest.mark.parametrize(
    ("script", "wanted"),
    [("exit 1", None), ("echo 'No journal files were found.' >&2", None), ("echo '-- No entries --'", 0)],
)
def test_without_a_journal_the_number_is_not_known(run_module, program, script, wanted):
    program("systemctl", UNITS)
    program("journalctl", script)
    found = run_module("impact_info", {"serving": ["nginx.service"], "working": ["worker.service"]})
    assert found["services"]["memory_exits"] == wanted


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("3\n1\n2\n7\n5", {"queued": 3, "reserved": 1, "delayed": 2, "set_aside": 5}),
        ("0\n0\n0\n0\n-1", {"queued": 0, "reserved": 0, "delayed": 0, "set_aside": None}),
    ],
)
def test_jobs(answer, wanted):
    keys = ["q:default", "q:default:reserved", "q:default:delayed", "q:default:notify"]
    asked = []

    def run(argv):
        asked.append(argv)
        return 0, answer, ""

    assert impact_host.jobs(run, 4, keys) == wanted
    assert asked[0][:4] == ["redis-cli", "-n", "4", "EVAL"]
    assert asked[0][5:] == ["4", *keys, "rollback:"]


@pytest.mark.parametrize("answer", ["", "ERR unknown command", "1\n2"])
def test_an_answer_that_is_no_number_is_none(answer):
    with pytest.raises(RollbackError, match="Redis does not answer"):
        impact_host.jobs(lambda _argv: (0, answer, ""), 0, ["a", "b"])


@pytest.fixture
def whatsapp():
    """A WhatsApp service that gives the answer that is put into it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(self.server.answer)

        def log_message(self, *_unused):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.status = 200
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def api(url):
    """A service as an inventory declares it."""
    return {"status_url": url, "status_path": "accounts.{account}.state", "connected": ["open"]}


def test_sessions_are_told_in_the_words_of_the_service(run_module, whatsapp):
    accounts = {"sales": {"state": "failed"}, "other": {"state": "open"}}
    whatsapp.answer = json.dumps({"status": "degraded", "accounts": accounts}).encode()
    arguments = {"sessions": {"api": api(f"http://127.0.0.1:{whatsapp.server_port}/health")}}
    arguments["sessions"]["accounts"] = ["sales", "support", "other"]
    assert run_module("impact_info", arguments)["sessions"] == {
        "sales": "failed",
        "support": "unknown to the service, status 200",
        "other": "connected",
    }
    whatsapp.answer = b"<html>"
    assert "does not answer" in run_module("impact_info", arguments)["problems"]["sessions"]
    whatsapp.status = 502
    assert "status 502" in run_module("impact_info", arguments)["problems"]["sessions"]


@pytest.fixture
def release(tmp_path):
    """A live release with a build; returns its directory."""
    live = tmp_path / "releases" / "one"
    (live / "public" / "build").mkdir(parents=True)
    (live / "REVISION").write_text(COMMIT)
    (live / "public" / "build" / "app.js").write_text("1")
    (tmp_path / "current").symlink_to("releases/one")
    return live


def look_at_code(run_module, tmp_path, **more):
    builds = str(tmp_path / "builds")
    code = {"path": str(tmp_path), "repository": str(tmp_path / "none"), "builds": builds, "commit": COMMIT, **more}
    return run_module("impact_info", {"code": code})["code"]


def test_the_live_release(run_module, release, tmp_path):
    found = look_at_code(run_module, tmp_path)
    assert (found["commit"], found["name"], found["build_problem"]) == (COMMIT, "one", "")
    assert (found["target"], found["changed_files"], found["recent"]) == (True, None, [])
    assert look_at_code(run_module, tmp_path, commit="f" * 40)["target"] is False
    assert look_at_code(run_module, tmp_path, commit="")["target"] is None


def test_a_build_is_held_to_what_was_deployed_and_to_what_was_kept(run_module, release, tmp_path):
    digest = look_at_code(run_module, tmp_path)["build_digest"]
    (release / "RELEASE.json").write_text(json.dumps({"build_digest": digest}))
    kept = tmp_path / "builds" / COMMIT
    kept.mkdir(parents=True)
    (kept / "app.js").write_text("1")
    assert look_at_code(run_module, tmp_path)["build_problem"] == ""
    (release / "public" / "build" / "app.js").write_text("2")
    assert "none that was deployed" in look_at_code(run_module, tmp_path)["build_problem"]
    (release / "RELEASE.json").unlink()
    assert "none that was deployed" in look_at_code(run_module, tmp_path)["build_problem"]
    # Built again of the same commit, and kept under its digest too.
    again = tmp_path / "builds" / f"{COMMIT}-0123456789ab"
    again.mkdir()
    (again / "app.js").write_text("2")
    assert look_at_code(run_module, tmp_path)["build_problem"] == ""
    (release / "public" / "build" / "app.js").write_text("3")
    captured = look_at_code(run_module, tmp_path)["build_digest"]
    assert look_at_code(run_module, tmp_path, build_digest=captured)["build_problem"] == ""
    (release / "public" / "build" / "app.js").unlink()
    os.rmdir(release / "public" / "build")
    assert "no build" in look_at_code(run_module, tmp_path)["build_problem"]
    # A host that serves no build has none to be wrong.
    assert look_at_code(run_module, tmp_path, builds="")["build_problem"] == ""


def test_a_working_tree_is_clean_or_not(run_module, tmp_path):
    git = ["git", "-c", "user.email=a@example.test", "-c", "user.name=a", "-C", str(tmp_path)]
    (tmp_path / "REVISION").write_text("x")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "Add it"]):
        subprocess.run([*git, *arguments], check=True)

    def run(argv):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert impact_host._changed_files(run, str(tmp_path)) == 0
    (tmp_path / "REVISION").write_text("y")
    (tmp_path / "new").write_text("z")
    assert impact_host._changed_files(run, str(tmp_path)) == 2
    assert run([*impact_host._repository(str(tmp_path), "/none"), "log", "--format=%s"])[1] == "Add it\n"


@pytest.mark.parametrize(
    ("limit", "current", "wanted"),
    [
        (None, None, ("host", 0.75)),
        ("max", "500", ("host", 0.75)),
        ("2000000", "1000000", ("host", 0.75)),
        ("1000000", "1000000", ("control group", 0.9)),
        ("1000000", "300000", ("host", 0.75)),
    ],
)
def test_memory_is_judged_by_the_tighter_limit(tmp_path, limit, current, wanted):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1600 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\n")
    if limit:
        group = tmp_path / "sys" / "fs" / "cgroup"
        group.mkdir(parents=True)
        for name, text in (("max", limit), ("current", current), ("stat", "anon 1\ninactive_file 100000")):
            (group / f"memory.{name}").write_text(text + "\n")
    found = impact_host.memory(str(tmp_path))
    assert (found["limit"], found["used_share"]) == wanted
