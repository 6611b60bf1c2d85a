"""env_file for real, with values that must never be seen again."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
CANARY = "canary-7f3a"
LIVE = f"""APP_KEY=base64:{CANARY}-live=
DB_PASSWORD="{CANARY} # quoted"
PRIVATE_KEY="-----BEGIN-----
{CANARY.replace("-", "")}=
-----END-----"
HYBRID={CANARY}
SAME={CANARY}
"""
WANTED = f"""APP_KEY=base64:{CANARY}-wanted=
DB_PASSWORD='{CANARY}\x0c{CANARY}=new'
NEW_KEY={CANARY}
SAME={CANARY}
"""


@pytest.fixture
def arguments(tmp_path, state_dir):
    (tmp_path / ".env").write_text(LIVE)
    (tmp_path / ".env").chmod(0o640)
    (tmp_path / "copy").write_text(WANTED)
    return {"path": str(tmp_path / ".env"), "copy": str(tmp_path / "copy"), "run_id": RUN_ID, "state_dir": state_dir}


@pytest.fixture
def run(run_module, capfd):
    """Run env_file and fail if a value is in its result or on any of its outputs."""

    def run_env_file(arguments, **options):
        result = run_module("env_file", arguments, **options)
        seen = json.dumps(result) + "".join(capfd.readouterr())
        assert CANARY not in seen
        assert CANARY.replace("-", "") not in seen
        return result

    return run_env_file


def journal_text(state_dir, run_id=RUN_ID):
    with open(os.path.join(state_dir, "runs", run_id, "journal.jsonl"), encoding="utf-8") as stream:
        return stream.read()


def states(state_dir):
    """How the change stands in the journal of each run."""
    return [[step.state for step in Journal(run_id, state_dir).steps()] for run_id in (RUN_ID, UNDO, REDO)]


def test_restore_and_back(arguments, run, untouched, tmp_path, state_dir):
    with untouched():
        predicted = run(arguments, check=True)
    restored = run(arguments)
    assert restored == predicted
    assert restored["changed"] is True
    assert restored["difference"] == {
        "added": ["NEW_KEY"],
        "removed": ["HYBRID", "PRIVATE_KEY"],
        "changed": ["APP_KEY", "DB_PASSWORD"],
    }
    assert restored["diff"]["after"] == "APP_KEY=<after>\nDB_PASSWORD=<after>\nNEW_KEY=<after>\nSAME=<unchanged>\n"
    assert restored["summary"]["keys"] == ["APP_KEY", "DB_PASSWORD", "NEW_KEY", "SAME"]
    assert (tmp_path / ".env").read_text() == WANTED
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o640
    assert CANARY not in journal_text(state_dir)
    with untouched():
        assert run(arguments)["changed"] is False
        predicted = run({**arguments, "state": "reverted"}, check=True)
    back = run({**arguments, "state": "reverted"})
    assert back == predicted
    assert back["changed"] is True
    assert (tmp_path / ".env").read_text() == LIVE
    assert run({**arguments, "state": "reverted"})["changed"] is False


def test_an_undo_by_another_run_can_be_undone(arguments, run, untouched, tmp_path, state_dir):
    run(arguments)
    edited = WANTED + f"BY_HAND={CANARY}\n"
    (tmp_path / ".env").write_text(edited)
    undo = {**arguments, "state": "reverted", "run_id": UNDO, "reverts": RUN_ID}
    with untouched():
        assert run({**undo, "reverts": None})["changed"] is False, "that run changed nothing itself"
        predicted = run(undo, check=True)
    assert run(undo) == predicted
    assert predicted["difference"]["removed"] == ["BY_HAND", "NEW_KEY"]
    assert (tmp_path / ".env").read_text() == LIVE
    (announced,) = Journal(UNDO, state_dir).steps()
    assert (announced.verb, announced.undo["reverts"]) == ("undo", {"run": RUN_ID, "seq": 1})
    assert announced.undo["source"].startswith(os.path.join(state_dir, "runs", UNDO))
    assert states(state_dir) == [["undone"], ["done"], []]
    assert run(undo)["changed"] is False
    redo = {**undo, "run_id": REDO, "reverts": UNDO}
    with untouched():
        predicted = run(redo, check=True)
    assert run(redo) == predicted
    assert (tmp_path / ".env").read_text() == edited, "what was live when it was undone"
    assert states(state_dir) == [["done"], ["undone"], ["done"]]
    assert run({**undo, "run_id": RUN_ID, "reverts": None})["changed"] is True
    assert (tmp_path / ".env").read_text() == LIVE
    assert all(CANARY not in journal_text(state_dir, run_id) for run_id in (RUN_ID, UNDO, REDO))


def test_an_undo_by_another_run_is_on_record_before_it_changes_anything(arguments, run, state_dir, durability):
    run(arguments)
    durability.clear()
    run({**arguments, "state": "reverted", "run_id": UNDO, "reverts": RUN_ID})
    replaced = next(index for index, event in enumerate(durability) if event[-1] == arguments["path"])
    kept = next(index for index, event in enumerate(durability) if event[0] == "rename" and "/replaced/" in event[2])
    announced = durability.index(("fsync", Journal(UNDO, state_dir).path))
    assert kept < announced < replaced
    assert durability.index(("fsync", Journal(RUN_ID, state_dir).path)) > replaced


def test_only_declared_keys_are_taken_and_come_back(arguments, run, untouched, tmp_path, state_dir):
    arguments = {**arguments, "keys": ["APP_KEY", "NEW_KEY"]}
    merged = LIVE.replace(f"{CANARY}-live=", f"{CANARY}-wanted=") + f"NEW_KEY={CANARY}\n"
    with untouched():
        predicted = run(arguments, check=True)
    assert predicted["difference"] == {"added": ["NEW_KEY"], "removed": [], "changed": ["APP_KEY"]}
    assert predicted["diff"]["before"].count("<before>") == 1
    dest = tmp_path / "state" / "merged"
    with untouched():
        run({**arguments, "state": "merged", "dest": str(dest)}, check=True)
    assert run({**arguments, "state": "merged", "dest": str(dest)})["changed"] is True
    assert run({**arguments, "state": "merged", "dest": str(dest)})["changed"] is False
    assert (dest.read_text(), dest.stat().st_mode & 0o777) == (merged, 0o600)
    assert (tmp_path / ".env").read_text() == LIVE, "the live file is only merged beside it"
    assert run(arguments) == predicted
    assert (tmp_path / ".env").read_text() == merged
    assert run(arguments)["changed"] is False
    assert CANARY not in journal_text(state_dir)
    run({**arguments, "state": "reverted"})
    assert (tmp_path / ".env").read_text() == LIVE


def test_keys_that_changed_on_both_sides_are_told(arguments, run, tmp_path):
    (tmp_path / "later").write_text(LIVE.replace(f"{CANARY}-live=", f"{CANARY}-deployed=").replace("SAME", "OTHER"))
    later = {**arguments, "keys": ["APP_KEY"], "later": str(tmp_path / "lat*")}
    assert run(later, check=True)["conflicts"] == {"taken": ["APP_KEY"], "kept": []}
    assert run({**later, "keys": ["NEW_KEY"]}, check=True)["conflicts"] == {"taken": [], "kept": ["APP_KEY"]}
    assert run({**later, "later": ""}, check=True)["conflicts"] == {"taken": [], "kept": []}


@pytest.fixture
def worker(monkeypatch):
    """A process that was started with a value of the live file, as systemd's unit worker.service."""
    with subprocess.Popen(["sleep", "60"], env={"PATH": os.defpath, "HYBRID": CANARY}) as process:
        while not pathlib.Path(f"/proc/{process.pid}/cmdline").read_text().startswith("sleep"):
            pass
        answer = f"Id=worker.service\nLoadState=loaded\nActiveState=active\nMainPID={process.pid}\n"
        monkeypatch.setattr(AnsibleModule, "run_command", lambda *_arguments, **_options: (0, answer, ""))
        yield process
        process.kill()


def test_who_holds_what_was_replaced_is_told_before_and_after(arguments, run, worker):
    arguments = {**arguments, "units": ["worker.service"]}
    held = {"process": "worker.service", "pid": worker.pid, "keys": ["HYBRID"], "why": "was started with HYBRID"}
    assert run(arguments, check=True)["held"] == [held]
    assert run(arguments)["held"] == [held]
    assert run(arguments, check=True)["held"] == [held], "it still does when the file is as wanted"
    assert run({**arguments, "run_id": UNDO}, check=True)["held"] == [], "another run replaced nothing"
    assert run({**arguments, "state": "reverted"})["held"] == [], "its own value is live again"


def test_who_reads_once_and_is_older_than_the_file_is_told(arguments, run, worker):
    arguments = {**arguments, "units": ["worker.service"], "keys": ["APP_KEY"]}
    assert run({**arguments, "readers": ["worker.service"]}, check=True)["held"] == [], "nothing changed yet"
    run(arguments)
    later = os.stat(arguments["path"]).st_mtime + 10
    os.utime(arguments["path"], (later, later))
    assert run(arguments, check=True)["held"] == []
    (held,) = run({**arguments, "readers": ["worker.service"]}, check=True)["held"]
    assert held["why"] == "was started before the file changed"


def test_capture_makes_a_private_copy_once(arguments, run, untouched, tmp_path):
    arguments = {**arguments, "copy": str(tmp_path / "point" / "env" / "copy"), "state": "captured"}
    with untouched():
        assert run(arguments, check=True)["changed"] is True
    captured = run(arguments)
    assert captured["changed"] is True
    copy = tmp_path / "point" / "env" / "copy"
    assert copy.read_text() == LIVE
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert run(arguments)["changed"] is False
    restored = run({**arguments, "digest": captured["summary"]["digest"], "state": "restored"})
    assert restored["changed"] is False, "the digest of the capture is that of its copy"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"digest": "0" * 64}, "not the one that was captured"),
        ({"copy": "/nowhere/copy"}, "is missing"),
        ({"path": "/nowhere/.env"}, "is missing"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, run, untouched, check, wrong, message):
    with untouched():
        assert message in run({**arguments, **wrong}, check=check, fails=True)["msg"]


def test_a_run_that_cannot_be_named_replaces_nothing(arguments, run, untouched):
    with untouched():
        assert "run id" in run({**arguments, "run_id": "../x"}, fails=True)["msg"]
