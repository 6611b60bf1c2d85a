"""env_file for real, with values that must never be seen again."""

from __future__ import annotations

import json
import os

import pytest

RUN_ID = "20261121T174500Z"
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


def journal_text(state_dir):
    with open(os.path.join(state_dir, "runs", RUN_ID, "journal.jsonl"), encoding="utf-8") as stream:
        return stream.read()


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
