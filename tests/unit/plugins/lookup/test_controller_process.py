"""The lookup names the process that runs the playbook, not the worker that happens to ask."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

from ansible_collections.campaign.rollback.plugins.lookup.controller_process import LookupModule
from ansible_collections.campaign.rollback.plugins.module_utils import controller

ROOT = pathlib.Path(__file__).parents[4]
NAME = "campaign.rollback.controller_process"


def test_without_a_term_it_is_ones_own_identity():
    assert LookupModule().run([]) == [controller.identity()]


def test_each_term_is_answered_in_its_place():
    me = controller.identity()
    before_me = {**me, "started": str(int(me["started"]) - 1)}
    assert LookupModule().run([me, before_me, {}]) == [False, True, False]


def test_asked_by_a_playbook(tmp_path):
    """Ansible finds it, runs it in a worker, and a lease that knows no process is nobody's who has ended."""
    me = controller.identity()
    facts = {
        "own": "{{ lookup('" + NAME + "') }}",
        "answers": [
            "{{ lookup('" + NAME + "', process | default({})) }}",
            "{{ lookup('" + NAME + "', me) }}",
            "{{ lookup('" + NAME + "', before_me) }}",
        ],
    }
    ansible = pathlib.Path(sys.executable).with_name("ansible")
    argv = [str(ansible), "localhost", "-i", "localhost,", "-c", "local", "-m", "ansible.builtin.set_fact"]
    argv += ["-a", json.dumps(facts), "-e", json.dumps({"me": me, "before_me": {**me, "started": "1"}})]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, cwd=ROOT, env=environment, **pipes) as process:
        expected = {**controller.place(), "pid": process.pid, "started": controller.started(process.pid)}
        output, error = process.communicate(timeout=120)
    assert process.returncode == 0, output + error
    found = json.loads(output.partition("=>")[2])["ansible_facts"]
    assert found["answers"] == [False, False, True]
    assert found["own"] == expected
