"""What is wrong with one component hides nothing of the next, and whoever asks decides what it means."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]
PLAY = """
- hosts: web1
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: campaign.rollback.run, tasks_from: verify_components}
      vars: {run_refuse: false}
    - ansible.builtin.copy: {content: "{{ run_verify_failed }}", dest: "{{ answer }}"}
    - ansible.builtin.include_role: {name: campaign.rollback.run, tasks_from: verify_components}
"""


def test_every_component_is_asked_and_only_what_is_wrong_is_kept(tmp_path):
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "copy").write_text("KEY=old\n")
    (tmp_path / ".env").write_text("KEY=new\n")
    variables = {
        "run_component_list": ["application", "login_sessions", "env_restore"],
        "run_host_components": ["application", "env_restore"],
        "run_id": "20261121T174500Z",
        "run_target": {},
        "application_path": str(tmp_path / "none"),
        "env_restore_files": [str(tmp_path / ".env")],
        "env_restore_target": {"web1": {}},
        "env_restore_backups": {str(tmp_path / ".env"): str(tmp_path / "copy")},
        "ansible_python_interpreter": sys.executable,
        "answer": str(tmp_path / "answer.json"),
    }
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    argv = [
        "ansible-playbook",
        "-i",
        "web1,localhost,",
        "-c",
        "local",
        str(tmp_path / "play.yml"),
        "-e",
        json.dumps(variables),
    ]
    run = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "answer.json").read_text())
    assert sorted(found) == ["application", "env_restore"], run.stdout + run.stderr
    assert "The live environment is not the captured one" in found["env_restore"]
    assert run.returncode == 2
    assert found["application"] in " ".join(run.stdout.split("Verify components | Refuse")[-1].split())
