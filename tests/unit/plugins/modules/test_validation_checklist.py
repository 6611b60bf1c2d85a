"""The checklist: proven, signed off or open; a sign-off has a name and a time, and outweighs no check."""

from __future__ import annotations

import json
import os
import pathlib

import pytest

RUN_ID = "20261121T174500Z"
ITEMS = [
    {"item": "listing", "text": "Campaign listing displays correctly", "checks": ["campaign list", "home"]},
    {"item": "templates", "text": "Template selection functions properly"},
]


@pytest.fixture
def arguments(state_dir):
    return {"items": ITEMS, "run": RUN_ID, "state_dir": state_dir}


def rows(**results):
    return [{"check": name.replace("_", " "), "result": result} for name, result in results.items()]


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([], "open"),
        (rows(home="passed"), "open"),
        (rows(home="passed", campaign_list="passed"), "passed"),
        (rows(home="passed", campaign_list="not checked"), "open"),
        (rows(home="passed", campaign_list="passed") + rows(home="FAILED"), "FAILED"),
    ],
)
def test_an_item_has_passed_only_if_each_check_did_everywhere(run_module, arguments, results, state):
    found = run_module("validation_checklist", {**arguments, "results": results})
    assert [item["state"] for item in found["checklist"]] == [state, "open"]
    assert found["open"] == (["listing"] if state == "open" else []) + ["templates"]
    assert found["changed"] is False


def test_a_sign_off_is_kept_with_name_and_time(run_module, arguments, state_dir):
    signed = {**arguments, "signed_off": {"templates": " J. Doe "}}
    first = run_module("validation_checklist", signed)
    (item,) = [item for item in first["checklist"] if item["item"] == "templates"]
    assert (first["changed"], item["state"], item["by"]) == (True, "signed off", "J. Doe")
    assert item["at"].startswith("20")
    assert first["diff"] == {"before": "", "after": "templates: J. Doe\n"}
    path = pathlib.Path(state_dir, "runs", RUN_ID, "signed_off.json")
    assert path.stat().st_mode & 0o777 == 0o600
    later = run_module("validation_checklist", arguments)
    assert later["checklist"] == first["checklist"], "it is remembered"
    again = run_module("validation_checklist", signed)
    assert (again["changed"], again["checklist"]) == (False, first["checklist"]), "and keeps its time"
    other = run_module("validation_checklist", {**arguments, "signed_off": {"templates": "A. Other"}})
    assert json.loads(path.read_text())["templates"]["by"] == "A. Other"
    assert other["changed"] is True


def test_no_sign_off_outweighs_a_check(run_module, arguments):
    results = rows(home="FAILED", campaign_list="passed")
    found = run_module("validation_checklist", {**arguments, "results": results, "signed_off": {"listing": "J. Doe"}})
    assert found["checklist"][0]["state"] == "FAILED"


def test_what_nothing_proved_may_be_signed_off(run_module, arguments):
    found = run_module("validation_checklist", {**arguments, "signed_off": {"listing": "J. Doe"}})
    assert (found["checklist"][0]["state"], found["open"]) == ("signed off", ["templates"])


@pytest.mark.parametrize("options", [{"check": True}, {}])
def test_nothing_is_kept_in_check_mode_or_without_a_run(run_module, arguments, state_dir, options):
    given = {**arguments, "signed_off": {"templates": "J. Doe"}, "run": RUN_ID if options else ""}
    found = run_module("validation_checklist", given, **options)
    assert (found["changed"], found["open"]) == (bool(options), ["listing"])
    assert not os.path.exists(state_dir)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signed_off": {"templats": "J. Doe"}}, "There is no such item on the checklist. Found: templats."),
        ({"signed_off": {"templates": " "}}, "A sign-off names a person. Found: templates."),
        ({"signed_off": {"templates": 7}}, "A sign-off names a person. Found: templates."),
        ({"items": [{"item": "a", "text": "b", "check": []}]}, "Found: check."),
        ({"items": [{"item": "a", "text": "b"}, {"item": "a", "text": "c"}]}, "Found: a."),
        ({"items": [{"item": "a"}]}, "A checklist item has a name of its own and a text"),
        ({"run": "../x"}, "A run id looks like"),
    ],
)
def test_what_is_unclear_is_refused(run_module, arguments, untouched, changes, message):
    with untouched():
        result = run_module("validation_checklist", {**arguments, **changes}, fails=True)
    assert message in result["msg"]


def test_signatures_that_cannot_be_read_are_an_error(run_module, arguments, state_dir):
    os.makedirs(os.path.join(state_dir, "runs", RUN_ID))
    for text in ("{", "[]"):
        with open(os.path.join(state_dir, "runs", RUN_ID, "signed_off.json"), "w", encoding="utf-8") as stream:
            stream.write(text)
        assert "signatures of a run" in run_module("validation_checklist", arguments, fails=True)["msg"]
