"""A soak looks again and again at a server that is here, and ends with the verdict that it deserves."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

ROOT = pathlib.Path(__file__).parents[3]
INVENTORY = """
localhost ansible_connection=local
[rollback_active]
localhost
web1 ansible_connection=local
"""
PLAY = """
- hosts: localhost:rollback_active
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: campaign.rollback.validation, tasks_from: soak}
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy: {content: "{{ validation_soaked }}", dest: "{{ answer }}"}
"""


@pytest.fixture
def server():
    """Address of a server, and the list of statuses that it gives, the last one again and again; what was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            asked.append(self.command)
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer

        def log_message(self, *_arguments):
            pass

    statuses, asked = [200], []
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", statuses, asked
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def soak(tmp_path, url, **given):
    """Status of a soak, how it stood, and what it printed."""
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts").write_text(INVENTORY)
    variables = {
        "validation_urls": {"web1": url},
        "validation_http_checks": [{"name": "home", "path": "/"}, {"name": "send", "path": "/", "method": "POST"}],
        "validation_limits": {"memory_share": 1, "disk_share": 1, "load": 1000},
        "validation_soak_s": 2,
        "validation_soak_interval_s": 1,
        "validation_secret_headers": {},
        "run_component_list": [],
        "run_host_components": [],
        "run_fencing": 0,
        "run_state_host": "web1",
        "ansible_python_interpreter": sys.executable,
        "answer": str(tmp_path / "answer.json"),
        **given,
    }
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    argv = ["ansible-playbook", "-i", str(tmp_path / "hosts"), str(tmp_path / "play.yml"), "-e", json.dumps(variables)]
    run = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    answer = tmp_path / "answer.json"
    return run.returncode, json.loads(answer.read_text()) if answer.exists() else {}, run.stdout + run.stderr


def test_what_stays_sound_is_looked_at_until_the_end_and_nothing_is_sent(tmp_path, server):
    url, _statuses, asked = server
    status, found, text = soak(tmp_path, url)

    assert (status, found["rounds"], found["regress"], found["over"]) == (0, 2, [], False), text
    assert found["seconds"] >= 1
    assert set(asked) == {"GET"}


def test_what_fails_once_is_told_and_what_stays_so_ends_the_soak(tmp_path, server):
    url, statuses, _asked = server
    statuses[:] = [500, 200, 503, 503]
    status, found, text = soak(tmp_path, url, validation_soak_s=6)
    assert status == 2, text
    assert found == {}, "the play ends with the failure"
    assert "Failing: home on web1, 1 of 2 rounds" in text
    assert "The system did not stay sound" in text
    assert "home on web1: status 503, wanted 200" in text
    assert "Round 4" in text
    assert "Round 5" not in text
