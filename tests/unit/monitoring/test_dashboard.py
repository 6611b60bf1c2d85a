"""The dashboard asks for nothing that is not exported, and Prometheus understands every question."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import yaml
from ansible_collections.campaign.rollback.plugins.filter.triggers import trigger_alerts
from monitoring_world import everything

ROOT = pathlib.Path(__file__).parents[3]
DASHBOARD = json.loads((ROOT / "roles" / "monitoring" / "files" / "grafana-dashboard.json").read_text(encoding="utf-8"))
NAME = re.compile(r"\b(?:rollback|node|up)_\w+|\bup\b")


def strings(value, key):
    """Every text under this key, however deep."""
    if isinstance(value, dict):
        yield from (own for name, own in value.items() if name == key and isinstance(own, str))
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one, key)


def test_every_metric_is_exported_and_every_exported_one_is_shown(state_dir):
    exported = set(re.findall(r"^# TYPE (\w+)", everything(state_dir), re.MULTILINE))
    asked = set(NAME.findall(" ".join([*strings(DASHBOARD, "expr"), *strings(DASHBOARD, "query")])))
    assert asked == exported


def test_so_does_every_alert(state_dir):
    exported = set(re.findall(r"^# TYPE (\w+)", everything(state_dir), re.MULTILINE))
    asked = set(NAME.findall(" ".join(strings(trigger_alerts([]), "expr"))))
    assert asked - exported == set()


def test_prometheus_understands_every_question(monitoring_tools, tmp_path):
    asked = [text.replace("$instance", ".+").replace("$trigger", "memory") for text in strings(DASHBOARD, "expr")]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    argv = [monitoring_tools / "promtool", "check", "rules", tmp_path / "rules.yml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_panels_do_not_overlap():
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _y in taken) < 24
