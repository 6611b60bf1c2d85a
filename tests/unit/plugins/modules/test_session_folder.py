"""session_folder for real: only a broken session that has a valid copy is replaced."""

from __future__ import annotations

import json
import shutil

import pytest

RUN_ID = "20261121T174500Z"
CANARY = "canary-7f3a"
LINKED = {"me": {"id": "1@s"}, "registrationId": 7, "noiseKey": {"private": CANARY}, "signedIdentityKey": {"k": CANARY}}


@pytest.fixture
def arguments(tmp_path, state_dir):
    for account in ("sales", "support", "broken"):
        (tmp_path / "sessions" / account).mkdir(parents=True)
        (tmp_path / "sessions" / account / "creds.json").write_text(json.dumps({**LINKED, "account": account}))
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
    assert json.loads(creds.read_text()) == {**LINKED, "account": "sales"}
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


def test_a_broken_copy_is_not_used(arguments, run, untouched, tmp_path):
    run(arguments, "captured")
    (tmp_path / "copies" / "sales" / "creds.json").write_text("{")
    shutil.rmtree(tmp_path / "sessions" / "sales")
    with untouched():
        found = run(arguments, "restored")
    assert (found["changed"], found["unusable"]) == (False, ["sales", "broken"])


@pytest.mark.parametrize(("state", "without"), [("captured", "copies"), ("restored", "run_id"), ("reverted", "run_id")])
def test_what_a_state_needs_is_asked_for(arguments, run, state, without):
    del arguments[without]
    assert without in run(arguments, state, fails=True)["msg"]
