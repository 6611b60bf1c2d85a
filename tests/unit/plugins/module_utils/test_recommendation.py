"""The smallest level that covers the evidence: by cases, and for any evidence and any levels."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.impact_evidence import KINDS, Evidence
from ansible_collections.campaign.rollback.plugins.module_utils.recommendation import (
    NEEDS,
    Level,
    choose,
    parse_rules,
    recommend,
)
from hypothesis import given
from hypothesis import strategies as st

ROLE = pathlib.Path(__file__).parents[4] / "roles" / "impact"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
DECLARED = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__impact_rules"]
RULES = parse_rules(DECLARED)
LEVELS = [Level(level["name"], tuple(level["covers"])) for level in DEFAULTS["impact_levels"]]


def seen(*kinds):
    return [Evidence(kind, "host", "numbers") for kind in kinds]


@pytest.mark.parametrize(
    ("kinds", "migrated", "same_code", "action"),
    [
        ((), True, False, "none"),
        (("requests_failed",), True, False, "partial"),
        (("requests_failed",), False, False, "partial"),
        (("requests_slow",), True, False, "partial"),
        (("memory_short",), True, False, "partial"),
        (("check_failed", "requests_failed"), True, False, "partial"),
        (("function_failed",), True, False, "selective"),
        (("function_failed", "requests_failed"), True, False, "partial"),
        (("function_failed", "front_end_failed"), False, False, "partial"),
        (("front_end_failed",), True, False, "frontend"),
        (("build_wrong",), True, True, "frontend"),
        (("rows_damaged",), True, False, "full"),
        (("rows_damaged",), False, True, "full"),
        (("session_failed",), True, False, "recover-whatsapp"),
        (("session_failed", "rows_damaged"), True, False, "full"),
        # Whatever the server that is down takes with it says nothing of its own.
        (("store_silent", "check_failed", "requests_failed", "requests_slow"), True, False, "none"),
        (("server_down", "check_failed"), True, False, "none"),
        (("host_silent",), True, False, "none"),
        (("worker_down",), True, False, "none"),
        # Nothing that is deployed differs from the restore point.
        (("requests_failed",), False, True, "none"),
        (("requests_failed",), True, True, "partial"),
        (("run_unfinished", "rows_damaged"), True, False, "resume-rollback"),
    ],
)
def test_cases(kinds, migrated, same_code, action):
    assert recommend(seen(*kinds), RULES, LEVELS, migrated, same_code)["action"] == action


def test_what_is_down_on_one_host_explains_nothing_on_another():
    evidence = [Evidence("server_down", "web1", "nginx"), Evidence("check_failed", "web2", "home")]
    assert recommend(evidence, RULES, LEVELS)["action"] == "partial"
    assert recommend([evidence[0], Evidence("check_failed", "web1", "home")], RULES, LEVELS)["action"] == "none"


def test_sessions_are_mended_beside_a_level_that_does_not_cover_them():
    found = recommend(seen("session_failed", "requests_failed"), RULES, LEVELS, True)
    assert (found["action"], found["also"]) == ("partial", ["recover-whatsapp"])
    assert recommend(seen("session_failed", "rows_damaged"), RULES, LEVELS, True)["also"] == []


def test_a_level_that_cannot_be_done_is_passed_over_and_named():
    levels = [Level("partial", ("code", "structure"), ("no room",)), Level("full", NEEDS)]
    found = recommend(seen("requests_failed"), RULES, levels, True)
    assert (found["action"], found["refused"]) == ("full", [{"level": "partial", "why": ["no room"]}])


def test_if_no_level_can_be_done_that_is_said():
    found = recommend(seen("rows_damaged"), RULES, [Level("full", NEEDS, ("there is no restore point",))])
    assert found["action"] == "none"
    assert found["needs"] == ["data"]
    assert found["refused"] == [{"level": "full", "why": ["there is no restore point"]}]


def test_every_word_of_the_evidence_is_told_once():
    found = recommend(seen("store_silent", "check_failed", "memory_short"), RULES, LEVELS, False, True)
    assert found["explained"] == found["unhelped"] == found["noted"] == ["host: numbers"]
    assert found["because"] == []
    assert len(found["advice"]) == 1


def test_every_kind_of_evidence_has_a_rule():
    assert {entry["evidence"] for entry in DECLARED} == set(KINDS)


def test_every_rule_that_asks_for_something_can_be_satisfied():
    for rule in RULES.values():
        asked = {*rule.needs, *rule.migrated_needs} - {"sessions"}
        assert not asked or choose(asked, LEVELS)["action"] != "none", rule


def test_levels_are_ordered_from_the_smallest():
    for smaller, larger in zip(LEVELS[1:], LEVELS[2:]):
        assert set(smaller.covers) < set(larger.covers)


@pytest.mark.parametrize(
    "entry",
    [
        {"evidence": "requests_failed", "needs": ["coed"]},
        {"evidence": "reqests_failed"},
        {"needs": ["code"]},
        {"evidence": "requests_failed", "explains": ["everything"]},
        {"evidence": "requests_failed", "need": ["code"]},
    ],
)
def test_a_misspelled_rule_is_refused(entry):
    with pytest.raises(RollbackError, match="known words"):
        parse_rules([entry])


def test_the_inventory_replaces_a_rule():
    rules = parse_rules([*DECLARED, {"evidence": "memory_short", "advice": "restart it"}])
    found = recommend(seen("memory_short"), rules, LEVELS, True)
    assert (found["action"], found["advice"]) == ("none", ["restart it"])


KIND_LISTS = st.lists(st.sampled_from(KINDS), max_size=8)
LEVEL_LISTS = st.lists(
    st.builds(
        Level,
        st.sampled_from(["a", "b", "c", "d"]),
        st.lists(st.sampled_from(NEEDS), unique=True).map(tuple),
        st.sampled_from([(), ("no",)]),
    ),
    max_size=5,
)


@given(KIND_LISTS, LEVEL_LISTS, st.booleans(), st.booleans())
def test_what_is_recommended_covers_the_evidence_and_nothing_smaller_does(kinds, levels, migrated, same_code):
    found = recommend(seen(*kinds), RULES, levels, migrated, same_code)
    lasting = set(found["needs"]) - {"sessions"}
    usable = [level.name for level in levels if lasting <= set(level.covers) and not level.refused]
    if "run_unfinished" in kinds:
        assert found["action"] == "resume-rollback"
    elif lasting:
        assert found["action"] == (usable[0] if usable else "none")
        assert usable or len(found["refused"]) == sum(lasting <= set(level.covers) for level in levels)
    else:
        assert found["action"] == ("recover-whatsapp" if found["needs"] else "none")
    assert sum(len(found[part]) for part in ("because", "noted", "explained", "unhelped")) == len(kinds)


@given(KIND_LISTS, st.booleans(), st.booleans())
def test_more_evidence_never_asks_for_less(kinds, migrated, same_code):
    """But for what explains others: then what it explains asks for nothing."""
    kinds = [
        kind for kind in kinds if not (RULES[kind].explains or RULES[kind].explains_there) and kind != "run_unfinished"
    ]
    names = ["none", "recover-whatsapp", *(level.name for level in LEVELS)]
    sizes = [
        names.index(recommend(seen(*kinds[:count]), RULES, LEVELS, migrated, same_code)["action"])
        for count in range(len(kinds) + 1)
    ]
    assert sizes == sorted(sizes)
