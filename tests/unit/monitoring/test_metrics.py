"""Metrics say what is on record, nothing where nothing is known, and are as Prometheus wants them."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import exposition, monitoring, runs
from monitoring_world import DRILL, NOW, POINTS, RUN, change, everything, hold, journals, recovered, world

OF_RUN = f'{{run="{RUN}",kind="rollback",level="full",state="success"}}'


def told(text):
    """Samples by name and labels."""
    samples = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    assert len({name for name, _space, _value in samples}) == len(samples)
    return {name: float(value) for name, _space, value in samples}


def of(name, state_dir, drills=()):
    found = told(monitoring.exposition(state_dir, drills, NOW))
    return {labels[len(name) :]: value for labels, value in found.items() if labels.split("{")[0] == name}


def test_promtool_likes_names_units_and_help(monitoring_tools, state_dir):
    text = everything(state_dir)
    done = subprocess.run(
        [monitoring_tools / "promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert len(told(text)) > 80


def test_restore_points_by_age_proof_and_size(state_dir):
    world(state_dir)
    bad, good = (f'{{restore_point="{one}",kind="physical"}}' for one in POINTS)
    assert of("rollback_restore_point_taken_timestamp_seconds", state_dir) == {bad: NOW - 86400, good: NOW - 3600}
    # A backup that could not be restored was never verified.
    assert of("rollback_restore_point_verified_timestamp_seconds", state_dir) == {good: NOW - 3540}
    assert of("rollback_restore_point_known_good", state_dir) == {bad: 1, good: 1}
    assert of("rollback_restore_point_size_bytes", state_dir) == {bad: 7000, good: 7000}


def test_a_manifest_that_cannot_be_read_hides_no_other(state_dir):
    world(state_dir)
    with open(os.path.join(state_dir, "restore_points", POINTS[0], "manifest.json"), "w", encoding="utf-8") as stream:
        stream.write("{")
    assert len(of("rollback_restore_point_known_good", state_dir)) == 1


def test_a_run_by_its_verdict_and_what_it_cost(state_dir):
    world(state_dir)
    assert of("rollback_run_started_timestamp_seconds", state_dir) == {OF_RUN: NOW - 1800}
    assert of("rollback_run_duration_seconds", state_dir) == {OF_RUN: 68}
    # The host whose gate was closed longest, and the rows that were refused or left over.
    assert of("rollback_run_outage_seconds", state_dir) == {OF_RUN: 4.5}
    assert of("rollback_run_lost_rows", state_dir) == {OF_RUN: 3}


@pytest.mark.parametrize(
    ("lines", "outage", "lost"),
    [
        ([], [], []),
        ([change("web1", 1, 1, "begin", component="application", verb="switch", name="x", undo={})], [0], []),
        (hold("web1", 1, 10, 12) + hold("web2", 1, 10, None), [], []),
        (hold("web1", 1, 10, 12) + hold("web1", 2, 20, 21), [2], []),
        (recovered(), [0], [0]),
    ],
    ids=["not collected", "no gate", "still closed", "closed twice", "all brought"],
)
def test_what_is_not_known_is_not_told(state_dir, lines, outage, lost):
    world(state_dir)
    journals(state_dir, lines)
    assert list(of("rollback_run_outage_seconds", state_dir).values()) == outage
    assert list(of("rollback_run_lost_rows", state_dir).values()) == lost


def test_a_run_without_a_verdict_has_no_duration(state_dir):
    runs.write(state_dir, {"id": RUN, "kind": "rollback", "level": "full", "state": "switching"})
    assert of("rollback_run_duration_seconds", state_dir) == {}
    assert len(of("rollback_run_started_timestamp_seconds", state_dir)) == 1


def test_a_drill_by_its_evidence(state_dir):
    names = ("finished_timestamp_seconds", "success", "duration_seconds", "outage_seconds", "lost_rows")
    found = [of(f"rollback_drill_{name}", state_dir, [DRILL])['{level="full"}'] for name in names]
    assert found == [NOW - 3600, 1, 68.7, 5.68, 0]


def test_labels_are_escaped():
    gauge = exposition.Gauge("a", "b", [({"where": 'c:\\d "e"\nf'}, 1), ({}, None)])
    assert exposition.text([gauge]) == '# HELP a b\n# TYPE a gauge\na{where="c:\\\\d \\"e\\"\\nf"} 1\n'


def test_the_file_is_written_whole_for_another_user(run_module, state_dir, tmp_path, durability):
    world(state_dir)
    path = tmp_path / "rollback.prom"
    given = {"path": str(path), "metrics": "rollback_trigger_held 0\n", "drills": [DRILL], "state_dir": state_dir}
    assert run_module("monitoring_textfile", given, check=True)["samples"] > 10
    assert not path.exists()
    durability.clear()
    found = run_module("monitoring_textfile", given)
    assert [event[0] for event in durability] == ["fsync", "rename", "fsync"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_text().startswith("rollback_trigger_held 0\n# HELP rollback_restore_point_taken")
    assert found["samples"] == len(told(path.read_text()))


def test_damaged_evidence_of_a_drill_does_not_hide_the_triggers(run_module, state_dir, tmp_path):
    path = tmp_path / "rollback.prom"
    given = {"path": str(path), "metrics": "rollback_trigger_held 0\n", "state_dir": state_dir}
    assert "KeyError" in run_module("monitoring_textfile", {**given, "drills": [{"level": "full"}]}, fails=True)["msg"]
    assert path.read_text() == "rollback_trigger_held 0\n"


def test_a_directory_that_is_not_there_is_said(run_module, tmp_path):
    given = {"path": str(tmp_path / "none" / "rollback.prom"), "state_dir": str(tmp_path)}
    assert "none" in run_module("monitoring_textfile", given, fails=True)["msg"]
