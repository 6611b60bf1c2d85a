"""The rules for Prometheus are as it reads them, and alert where a check would fire."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import yaml
from ansible_collections.campaign.rollback.plugins.filter.triggers import (
    trigger_alerts,
    trigger_lines,
    trigger_series,
    trigger_silent,
)
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_alerts import (
    CHECKED,
    HELD,
    LIMIT,
    VALUE,
    exposition,
)
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_check import Hold, check
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import parse
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import looked
from trigger_world import NOW

ROOT = pathlib.Path(__file__).parents[3]
OWN = [
    {"name": "queue_long", "source": "prometheus", "measure": "value", "query": "redis_list_length", "above": 1000},
    {"name": "memory", "missing": "wrong"},
]


def alerts(declared=()):
    return {one["alert"]: one for one in trigger_alerts(list(declared))["groups"][0]["rules"]}


def test_every_rule_is_an_alert():
    found = alerts(OWN)
    assert len(found) == len(parse(OWN)) + 1
    assert found["RollbackErrorRate"] == {
        "alert": "RollbackErrorRate",
        "expr": f'({VALUE}{{trigger="error_rate"}}) > 0.05 unless on() ({HELD} == 1)',
        "for": "600s",
        "labels": {"trigger": "error_rate", "severity": "critical", "level": "partial", "demand": "A1.1"},
        "annotations": {
            "summary": "more than 5 % of all requests fail for 10 minutes",
            "description": "access_log error_share is {{ $value }}, the limit is 0.05",
        },
    }
    assert found["RollbackAvailability"]["expr"].startswith(f'({VALUE}{{trigger="availability"}}) < 0.95')
    assert found["RollbackQueueLong"]["expr"].startswith("(redis_list_length) > 1000")
    assert "absent(" in found["RollbackMemory"]["expr"]


def found_with(used, hold=None):
    series = [looked("memory", "used_share", used, host="web1")]
    return check(parse([]), series, {}, NOW, hold or Hold())


def test_what_a_check_found_as_metrics():
    text = exposition(found_with(0.97, Hold(0, "cool-down")), NOW)
    assert f'{VALUE}{{trigger="memory"}} 0.97\n' in text
    assert f'{LIMIT}{{trigger="memory"}} 0.9\n' in text
    assert 'rollback_trigger_verdict{trigger="memory",verdict="pending"} 1\n' in text
    assert 'rollback_trigger_verdict{trigger="memory",verdict="ok"} 0\n' in text
    # A rule that can tell nothing has no value.
    assert f'{VALUE}{{trigger="error_rate"}}' not in text
    assert f"{HELD} 1\n" in text
    assert f"{CHECKED} {round(NOW)}\n" in text


def test_the_table_has_every_rule_and_the_reason():
    lines = trigger_lines(found_with(0.97, Hold(0, "somebody deploys")))
    assert next(line for line in lines if line.startswith("memory ")).split()[1:5] == ["A1.5", "pending", "0.97", "0.9"]
    assert sum(line.startswith("error_rate ") for line in lines) == 1
    assert lines[-1] == "Nothing fires: somebody deploys"


def promtool(tools, *arguments):
    done = subprocess.run([tools / "promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_every_rule(monitoring_tools, tmp_path):
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(trigger_alerts(OWN)))
    told = promtool(monitoring_tools, "check", "rules", tmp_path / "rules.yml")
    assert f"SUCCESS: {len(parse(OWN)) + 1} rules found" in told


def test_promtool_proves_the_rules_of_the_collection(monitoring_tools, tmp_path):
    (tmp_path / "rollback.yml").write_text(yaml.safe_dump(trigger_alerts([])))
    shutil.copy(ROOT / "tests" / "prometheus" / "rollback_test.yml", tmp_path)
    assert "SUCCESS" in promtool(monitoring_tools, "test", "rules", tmp_path / "rollback_test.yml")


def test_what_all_hosts_measured_and_who_was_silent():
    measured = {"triggers_measured": {"series": [{"source": "memory"}]}}
    hostvars = {
        "web1": {**measured, "run_host_components": ["gate"]},
        "web2": {"triggers_measured": {"unreachable": True}, "run_host_components": ["gate", "application"]},
        "data1": {"run_host_components": ["database"]},
        "localhost": measured,
    }
    assert len(trigger_series(hostvars, hostvars)) == 2
    sources_of = {"access_log": "gate", "database": "database", "memory": ""}
    assert trigger_silent(["web1", "web2", "data1"], hostvars, sources_of) == {
        "web2": ["access_log", "memory"],
        "data1": ["database", "memory"],
    }
