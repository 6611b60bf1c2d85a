"""The preflight of a host really looks at what its components need; an expression without result would pass it all."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: campaign.rollback.run, tasks_from: preflight}
    - ansible.builtin.copy: {content: "{{ run_preflight }}", dest: "{{ answer }}"}
"""


def test_what_the_components_of_a_host_need_is_looked_at(tmp_path):
    (tmp_path / "play.yml").write_text(PLAY)
    variables = {
        "run_state_dir": str(tmp_path / "state"),
        "run_host_components": ["application"],
        "application_path": str(tmp_path / "code"),
        "ansible_python_interpreter": sys.executable,
        "answer": str(tmp_path / "answer.json"),
    }
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml")]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    argv = [*command, "-e", json.dumps(variables)]
    run = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "answer.json").read_text())
    assert set(found["paths"]) >= {str(tmp_path / "state"), str(tmp_path / "code" / "releases")}
