"""session_folder for real: only a broken session that has a valid copy is replaced."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import session_options, session_state
from ansible_collections.campaign.rollback.plugins.module_utils.files import tree_digest
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.session_process import Holder

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
CANARY = "canary-7f3a"
LINKED = {
    "me": {"id": "1@s"},
    "registrationId": 0,
    "noiseKey": {"private": CANARY},
    "signedIdentityKey": {"private": CANARY, "public": "k"},
    "account": {"details": CANARY},
}


@pytest.fixture
def arguments(tmp_path, state_dir):
    for account in ("sales", "support", "broken"):
        (tmp_path / "sessions" / account).mkdir(parents=True)
        (tmp_path / "sessions" / account / "creds.json").write_text(json.dumps({**LINKED, "platform": account}))
    (tmp_path / "sessions" / "broken" / "creds.json").write_text(CANARY)
    return {
        "path": str(tmp_path / "sessions"),
        "accounts": ["sales", "support", "broken"],
        "copies": str(tmp_path / "copies"),
        "run_id": RUN_ID,
        "state_dir": state_dir,
    }


@pytest.fixture
def run(run_module):
    def run_session_folder(arguments, state="inspected", **options):
        result = run_module("session_folder", {**arguments, "state": state}, **options)
        assert CANARY not in json.dumps(result)
        return result

    return run_session_folder


def test_looking(arguments, run, untouched):
    with untouched():
        found = run(arguments)
    assert found["changed"] is False
    assert {account: session["valid"] for account, session in found["sessions"].items()} == {
        "sales": True,
        "support": True,
        "broken": False,
    }
    assert found["unusable"] == ["broken"]


def test_capture_restore_and_back(arguments, run, untouched, tmp_path):
    with untouched():
        predicted = run(arguments, "captured", check=True)
    captured = run(arguments, "captured")
    assert captured == predicted
    assert (captured["replaced"], captured["unusable"]) == (["sales", "support"], ["broken"])
    with untouched():
        assert run(arguments, "captured")["changed"] is False
        nothing = run(arguments, "restored")
        assert (nothing["changed"], nothing["unusable"]) == (False, ["broken"])
    creds = tmp_path / "sessions" / "sales" / "creds.json"
    creds.write_text("{")
    (tmp_path / "sessions" / "support" / "creds.json").write_text(json.dumps({**LINKED, "newer": True}))
    with untouched():
        predicted = run(arguments, "restored", check=True)
    restored = run(arguments, "restored")
    assert restored == predicted
    assert restored["replaced"] == ["sales"]
    assert json.loads(creds.read_text()) == {**LINKED, "platform": "sales"}
    newer = json.loads((tmp_path / "sessions" / "support" / "creds.json").read_text())
    assert newer["newer"], "a healthy session was replaced by an older copy"
    with untouched():
        assert run(arguments, "restored")["changed"] is False
        predicted = run(arguments, "reverted", check=True)
    back = run(arguments, "reverted")
    assert back == predicted
    assert back["replaced"] == ["sales"]
    assert creds.read_text() == "{"
    with untouched():
        assert run(arguments, "reverted")["changed"] is False


def digest(folder):
    return tree_digest(str(folder)) if folder.exists() else None


def states(state_dir):
    """How the change stands in the journal of each run."""
    return [[step.state for step in Journal(run_id, state_dir).steps()] for run_id in (RUN_ID, UNDO, REDO)]


@pytest.mark.parametrize("missing", [False, True], ids=["a broken folder", "a folder that was not there"])
def test_an_undo_by_another_run_can_be_undone(arguments, run, untouched, tmp_path, state_dir, missing):
    sales = tmp_path / "sessions" / "sales"
    run(arguments, "captured")
    shutil.rmtree(sales)
    if not missing:
        sales.mkdir()
        (sales / "creds.json").write_text("{")
    before = digest(sales)
    run(arguments, "restored")
    (sales / "session.json").write_text('{"written": "since"}')
    used = digest(sales)
    undo = {**arguments, "run_id": UNDO, "reverts": RUN_ID}
    with untouched():
        assert run({**undo, "reverts": None}, "reverted")["changed"] is False, "that run changed nothing itself"
        predicted = run(undo, "reverted", check=True)
    assert run(undo, "reverted") == predicted
    assert predicted["replaced"] == ["sales"]
    assert digest(sales) == before
    (announced,) = Journal(UNDO, state_dir).steps()
    assert (announced.verb, announced.name) == ("undo", "sales")
    assert announced.undo["reverts"] == {"run": RUN_ID, "seq": 1}
    assert announced.undo["kept"].startswith(os.path.join(state_dir, "runs", UNDO))
    assert states(state_dir) == [["undone"], ["done"], []]
    redo = {**arguments, "run_id": REDO, "reverts": UNDO}
    with untouched():
        assert run(undo, "reverted")["changed"] is False
        predicted = run(redo, "reverted", check=True)
    assert run(redo, "reverted") == predicted
    assert digest(sales) == used, "with what the service wrote until it was undone"
    assert states(state_dir) == [["done"], ["undone"], ["done"]]
    assert run(arguments, "reverted")["replaced"] == ["sales"]
    assert digest(sales) == before
    assert sorted(os.listdir(sales.parent)) == (["broken", "support"] if missing else ["broken", "sales", "support"]), (
        "the service would take another folder for an account"
    )


def test_an_undo_by_another_run_is_on_record_before_it_changes_anything(
    arguments, run, tmp_path, state_dir, durability
):
    sales = tmp_path / "sessions" / "sales"
    run(arguments, "captured")
    (sales / "creds.json").write_text("{")
    run(arguments, "restored")
    durability.clear()
    run({**arguments, "run_id": UNDO, "reverts": RUN_ID}, "reverted")
    taken = next(index for index, event in enumerate(durability) if event[0] == "rename" and event[1] == str(sales))
    assert ("fsync", Journal(UNDO, state_dir).path) in durability[:taken]
    assert durability.index(("fsync", Journal(RUN_ID, state_dir).path)) > taken


def test_a_broken_copy_is_not_used(arguments, run, untouched, tmp_path):
    run(arguments, "captured")
    (tmp_path / "copies" / "sales" / RUN_ID / "creds.json").write_text("{")
    shutil.rmtree(tmp_path / "sessions" / "sales")
    with untouched():
        found = run(arguments, "restored")
    assert (found["changed"], found["unusable"]) == (False, ["sales", "broken"])


def test_a_later_capture_adds_a_generation_and_the_oldest_goes(arguments, run, tmp_path):
    creds = tmp_path / "sessions" / "sales" / "creds.json"
    made = []
    for hour in range(4):
        creds.write_text(json.dumps({**LINKED, "hour": hour}))
        made.append(f"2026112{hour}T000000Z")
        later = run({**arguments, "run_id": made[-1], "keep": 2}, "captured")
        assert later["replaced"] == (["sales", "support"] if hour == 0 else ["sales"])
    assert sorted(os.listdir(tmp_path / "copies" / "sales")) == made[2:]
    assert os.listdir(tmp_path / "copies" / "support") == made[:1]
    (tmp_path / "copies" / "sales" / made[3] / "creds.json").write_text("{")
    creds.write_text("{")
    assert run(arguments, "restored")["copies"]["sales"] == made[2]
    assert json.loads(creds.read_text())["hour"] == 2


def test_a_valid_session_that_its_service_calls_broken_is_replaced(arguments, run, untouched, tmp_path):
    run(arguments, "captured")
    newer = tmp_path / "sessions" / "support" / "creds.json"
    newer.write_text(json.dumps({**LINKED, "newer": True}))
    with untouched():
        assert run(arguments, "restored")["changed"] is False
        predicted = run({**arguments, "broken": ["support"]}, "restored", check=True)
    assert run({**arguments, "broken": ["support"]}, "restored") == predicted
    assert predicted["replaced"] == ["support"]
    assert "newer" not in json.loads(newer.read_text())


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("state", ["restored", "reverted"])
def test_nothing_is_done_while_two_processes_run_a_session(
    arguments, run, untouched, tmp_path, monkeypatch, state, check
):
    run(arguments, "captured")
    (tmp_path / "sessions" / "sales" / "creds.json").write_text("{")
    if state == "reverted":
        run(arguments, "restored")
    two = {"sales": [Holder(100, "node"), Holder(200, "node")]}
    monkeypatch.setattr(session_options, "holders", lambda *_arguments: two)
    with untouched():
        assert "process 100 (node), process 200 (node)" in run(arguments, state, check=check, fails=True)["msg"]


def test_a_profile_is_copied_only_while_no_browser_runs(arguments, run, untouched, tmp_path, monkeypatch):
    # What of a profile is valid has tests of its own.
    (tmp_path / "profiles" / "session-sales" / "Default").mkdir(parents=True)
    monkeypatch.setattr(session_state, "validate_localauth", lambda _path: "")
    profiles = {
        **arguments,
        "path": str(tmp_path / "profiles"),
        "kind": "localauth",
        "folder": "session-{account}",
        "accounts": ["sales"],
    }
    monkeypatch.setattr(session_options, "holders", lambda *_arguments: {"sales": [Holder(100, "chrome")]})
    with untouched():
        assert "while its browser runs" in run(profiles, "captured", fails=True)["msg"]
        assert "while its browser runs" in run(profiles, "captured", fails=True, check=True)["msg"]
    monkeypatch.setattr(session_options, "holders", lambda *_arguments: {"sales": []})
    assert run(profiles, "captured")["replaced"] == ["sales"]


@pytest.mark.parametrize(("state", "without"), [("captured", "copies"), ("restored", "run_id"), ("reverted", "run_id")])
def test_what_a_state_needs_is_asked_for(arguments, run, state, without):
    del arguments[without]
    assert without in run(arguments, state, fails=True)["msg"]
