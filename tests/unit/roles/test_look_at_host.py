"""The preflight of a host really looks at what its components need; an expression without result would pass it all."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: campaign.rollback.run, tasks_from: look_at_host}
    - ansible.builtin.copy: {content: "{{ run_preflight }}", dest: "{{ answer }}"}
"""


@pytest.mark.parametrize(
    ("told", "builds"),
    [
        ({"frontend_builds": "{root}/builds"}, "builds"),
        ({"application_path": "{root}"}, "shared/builds"),
        ({"application_path": "{root}/app", "application_layout": "checkout"}, "app.rollback/builds"),
    ],
)
def test_what_the_components_of_a_host_need_is_looked_at(tmp_path, told, builds):
    (tmp_path / "play.yml").write_text(PLAY)
    variables = {
        "run_state_dir": str(tmp_path / "state"),
        "run_host_components": ["frontend", "gate"],
        "run_fencing": 0,
        **{name: value.replace("{root}", str(tmp_path)) for name, value in told.items()},
        "gate_directory": str(tmp_path),
        "ansible_python_interpreter": sys.executable,
        "answer": str(tmp_path / "answer.json"),
    }
    (tmp_path / "hold.conf").write_text("")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    argv = [
        "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        str(tmp_path / "play.yml"),
        "-e",
        json.dumps(variables),
    ]
    run = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "answer.json").read_text())
    assert set(found["paths"]) >= {str(tmp_path / "state"), str(tmp_path / builds), str(tmp_path / "hold.conf")}
    assert found["paths"][str(tmp_path / "hold.conf")]["existing"] == str(tmp_path / "hold.conf")
