"""check-triggers.yml as an operator runs it, on hosts that are all this one."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time

import pytest
import yaml
from trigger_world import inventory, traffic, write

ROOT = pathlib.Path(__file__).parents[3]


def monitored_inventory(place):
    found = inventory(place)
    found["all"]["children"]["web"]["hosts"]["web1"].update(
        {
            "monitoring_host": "web1",
            "monitoring_textfile": str(place / "textfile" / "rollback.prom"),
            "monitoring_page": str(place / "page"),
        }
    )
    return found


@pytest.mark.parametrize(("share", "status", "verdict", "monitored"), [(0.01, 0, "ok", False), (0.4, 2, "fired", True)])
def test_exit_status_and_last_words(tmp_path, share, status, verdict, monitored):
    now = time.time()
    for name in ("textfile", "page") if monitored else ():
        (tmp_path / name).mkdir()
    write(tmp_path / "access.log", traffic(now - 1000, now, share=share))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(monitored_inventory(tmp_path)))
    argv = ["ansible-playbook", "-i", str(tmp_path / "hosts.yml"), "playbooks/check-triggers.yml"]
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert f'"error_rate A1.1 {verdict} ' in said
    assert ("ansible-playbook playbooks/rollback-partial.yml" in said) == (status == 2)
    known = json.loads((tmp_path / "state" / "triggers.json").read_text())
    assert known["verdicts"]["error_rate"][""]["verdict"] == verdict
    # A monitoring that cannot be told is said, and changes nothing about the check.
    written = tmp_path / "textfile" / "rollback.prom"
    if monitored:
        assert f'rollback_trigger_verdict{{trigger="error_rate",verdict="{verdict}"}} 1\n' in written.read_text()
        page = json.loads((tmp_path / "page" / "data.json").read_text())
        assert (page["environment"], page["rules"][0]["points"][0][2]) == ("try", verdict)
    else:
        assert not written.exists()
        assert said.count("No such file or directory") >= 2
