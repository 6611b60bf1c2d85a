"""path_switch for real: check mode tells what real mode then does, and nothing is touched by it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
ROOT = pathlib.Path(__file__).parents[4]


@pytest.fixture
def arguments(tmp_path, state_dir):
    for name in ("v1", "v2"):
        (tmp_path / "releases" / name).mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/v2")
    return {
        "path": str(tmp_path / "current"),
        "target": "releases/v1",
        "component": "application",
        "run_id": RUN_ID,
        "state_dir": state_dir,
    }


def reverted(arguments):
    return {key: arguments[key] for key in ("component", "run_id", "state_dir")} | {"state": "reverted"}


def test_switch_and_back(arguments, run_module, untouched):
    with untouched():
        predicted = run_module("path_switch", arguments, check=True)
    switched = run_module("path_switch", arguments)
    assert switched == predicted
    link = {"path": arguments["path"], "before": "releases/v2", "after": "releases/v1"}
    assert (switched["changed"], switched["links"]) == (True, [link])
    assert switched["diff"]["after"] == f"{arguments['path']} -> releases/v1\n"
    assert os.readlink(arguments["path"]) == "releases/v1"
    with untouched():
        assert run_module("path_switch", arguments)["changed"] is False
        predicted = run_module("path_switch", reverted(arguments), check=True)
    back = run_module("path_switch", reverted(arguments))
    assert back == predicted
    assert back["links"] == [{**link, "before": "releases/v1", "after": "releases/v2"}]
    assert os.readlink(arguments["path"]) == "releases/v2"
    assert run_module("path_switch", reverted(arguments))["changed"] is False


def undone(arguments, by, reverts):
    """Arguments with which the run ``by`` puts back what the run ``reverts`` did."""
    return {**reverted(arguments), "run_id": by, "reverts": reverts}


def states(arguments):
    """How the changes stand in the journal of each run."""
    journals = [Journal(run_id, arguments["state_dir"]) for run_id in (RUN_ID, UNDO, REDO)]
    return [[step.state for step in journal.steps()] for journal in journals]


@pytest.mark.parametrize("name", ["current", "fresh"], ids=["a link", "a link that was not there"])
def test_an_undo_by_another_run_can_be_undone(arguments, run_module, untouched, tmp_path, name):
    arguments["path"] = str(tmp_path / name)
    before = os.readlink(arguments["path"]) if os.path.lexists(arguments["path"]) else None
    run_module("path_switch", arguments)
    undo, redo = undone(arguments, UNDO, RUN_ID), undone(arguments, REDO, UNDO)
    with untouched():
        predicted = run_module("path_switch", undo, check=True)
    assert run_module("path_switch", undone(arguments, UNDO, None))["changed"] is False, "it changed nothing itself"
    assert run_module("path_switch", undo) == predicted
    assert predicted["links"] == [{"path": arguments["path"], "before": "releases/v1", "after": before}]
    assert (os.readlink(arguments["path"]) if os.path.lexists(arguments["path"]) else None) == before
    (announced,) = Journal(UNDO, arguments["state_dir"]).steps()
    assert announced.verb == "undo"
    way_back = {"path": arguments["path"], "target": "releases/v1", "reverts": {"run": RUN_ID, "seq": 1}}
    assert announced.undo == way_back
    assert states(arguments) == [["undone"], ["done"], []]
    assert run_module("path_switch", undo)["changed"] is False
    with untouched():
        predicted = run_module("path_switch", redo, check=True)
    assert run_module("path_switch", redo) == predicted
    assert os.readlink(arguments["path"]) == "releases/v1"
    assert states(arguments) == [["done"], ["undone"], ["done"]]
    assert run_module("path_switch", undone(arguments, RUN_ID, None))["changed"] is True
    assert (os.readlink(arguments["path"]) if os.path.lexists(arguments["path"]) else None) == before


def test_an_undo_by_another_run_is_on_record_before_it_changes_anything(arguments, run_module, durability):
    run_module("path_switch", arguments)
    durability.clear()
    run_module("path_switch", undone(arguments, UNDO, RUN_ID))
    replaced = next(index for index, event in enumerate(durability) if event[-1] == arguments["path"])
    assert ("fsync", Journal(UNDO, arguments["state_dir"]).path) in durability[:replaced]
    assert durability.index(("fsync", Journal(RUN_ID, arguments["state_dir"]).path)) > replaced


def test_several_switches_are_undone_and_redone_by_other_runs_as_one(arguments, run_module, tmp_path):
    (tmp_path / "releases" / "v3").mkdir()
    for target in ("releases/v1", "releases/v3"):
        run_module("path_switch", {**arguments, "target": target})
    run_module("path_switch", undone(arguments, UNDO, RUN_ID))
    assert os.readlink(arguments["path"]) == "releases/v2"
    run_module("path_switch", undone(arguments, REDO, UNDO))
    assert os.readlink(arguments["path"]) == "releases/v3"
    assert states(arguments) == [["done", "done"], ["undone", "undone"], ["done", "done"]]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "wrong",
    [{"target": "releases/v9"}, {"path": "{root}/releases"}, {"run_id": "latest"}],
    ids=["dangling", "no link", "run id"],
)
def test_what_cannot_be_done_is_refused_in_both_modes(arguments, run_module, untouched, tmp_path, check, wrong):
    wrong = {key: value.replace("{root}", str(tmp_path)) for key, value in wrong.items()}
    with untouched():
        run_module("path_switch", {**arguments, **wrong}, check=check, fails=True)


def test_a_switch_needs_its_target(arguments, run_module):
    del arguments["target"]
    assert "target" in run_module("path_switch", arguments, fails=True)["msg"]


def test_undo_of_several_switches_is_told_and_done_as_one(arguments, run_module, tmp_path):
    (tmp_path / "releases" / "v3").mkdir()
    for target in ("releases/v1", "releases/v3"):
        run_module("path_switch", {**arguments, "target": target})
    back = run_module("path_switch", reverted(arguments))
    assert back["links"] == [{"path": arguments["path"], "before": "releases/v3", "after": "releases/v2"}]
    assert os.readlink(arguments["path"]) == "releases/v2"


def test_packed_and_run_by_ansible(arguments, tmp_path):
    """What Ansible sends to a host holds everything that the module imports."""
    ansible = pathlib.Path(sys.executable).with_name("ansible")
    argv = [str(ansible), "localhost", "-i", "localhost,", "-c", "local", "-m", "campaign.rollback.path_switch"]
    argv += ["-a", json.dumps(arguments), "-e", f"ansible_python_interpreter={sys.executable}", "--one-line"]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.readlink(arguments["path"]) == "releases/v1"
