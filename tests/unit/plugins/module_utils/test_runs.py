"""Run records: laid over atomically, and the run to undo is the one whose changes are in place."""

from __future__ import annotations

import os

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import runs
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

FIRST, SECOND = "20261121T100000Z", "20261121T110000Z"


def test_fields_are_laid_over_and_the_identity_stays(tmp_path):
    _before, record = runs.merge(str(tmp_path), FIRST, {"state": "open", "reason": "test"})
    runs.write(str(tmp_path), record)
    before, after = runs.merge(str(tmp_path), FIRST, {"state": "success", "id": "other"})
    assert before == {"id": FIRST, "state": "open", "reason": "test"}
    assert after == {"id": FIRST, "state": "success", "reason": "test"}
    assert os.stat(runs.path_of(str(tmp_path), FIRST)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("run_id", "fields"), [("../x", {}), (FIRST + "\n", {}), (FIRST, {"state": "great"})])
def test_nonsense_is_refused(tmp_path, run_id, fields):
    with pytest.raises(RollbackError):
        runs.merge(str(tmp_path), run_id, fields)


def test_records_come_newest_first_and_only_where_there_are_any(tmp_path):
    for run_id in (FIRST, SECOND):
        runs.write(str(tmp_path), {"id": run_id, "state": "open"})
    os.makedirs(tmp_path / "runs" / "20261121T120000Z")  # a journal without a record, as on other hosts
    os.makedirs(tmp_path / "runs" / "lost+found")
    assert [record["id"] for record in runs.read_all(str(tmp_path))] == [SECOND, FIRST]
    assert runs.read_all(str(tmp_path / "none")) == []


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[]"])
def test_a_record_that_cannot_be_read_is_named(tmp_path, text):
    runs.write(str(tmp_path), {"id": FIRST, "state": "open"})
    with open(runs.path_of(str(tmp_path), FIRST), "wb") as stream:
        stream.write(text)
    with pytest.raises(RollbackError, match=FIRST):
        runs.read_all(str(tmp_path))


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        (["success"], 0),
        (["open", "undone", "switching"], 2),
        (["failed", "success"], 0),
        (["open", "undone"], None),
        ([], None),
    ],
)
def test_latest_is_the_newest_run_that_is_in_place(states, chosen):
    records = [{"id": str(number), "state": state} for number, state in enumerate(states)]
    if chosen is None:
        with pytest.raises(RollbackError, match="No rollback is in place"):
            runs.choose(records, "latest")
    else:
        assert runs.choose(records, "latest")["id"] == str(chosen)


def test_a_run_is_found_by_its_id():
    assert runs.choose([{"id": FIRST}, {"id": SECOND}], SECOND) == {"id": SECOND}
    with pytest.raises(RollbackError, match="no run with this id"):
        runs.choose([{"id": FIRST}], SECOND)


def test_a_run_under_a_newer_one_is_not_undone():
    records = [{"id": "20261121T110000Z", "state": "success"}, {"id": "20261121T100000Z", "state": "success"}]
    with pytest.raises(RollbackError, match="A newer run is in place"):
        runs.choose(records, "20261121T100000Z")
    records[0]["state"] = "undone"
    assert runs.choose(records, "20261121T100000Z")["id"] == "20261121T100000Z"
    records[0] = {"id": "20261121T110000Z", "state": "failed", "switched": False}
    assert runs.choose(records, "latest")["id"] == "20261121T100000Z"
