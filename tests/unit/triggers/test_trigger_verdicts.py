"""How one rule is judged: since when, how surely, and what is remembered."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_check import Hold
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_probes import AGENT
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_rules import LEVELS, SHIPPED, parse
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_series import (
    MEASURES,
    Observation,
    counted,
    failed,
    looked,
)
from ansible_collections.campaign.rollback.plugins.module_utils.trigger_verdicts import judge
from hypothesis import given
from hypothesis import strategies as st
from trigger_world import NOW, World, answers, traffic, write


def rule(**given):
    entry = {"name": "own", "source": "memory", "measure": "used_share", "above": 0.9, "for_s": 300, **given}
    return parse([entry], [])[0]


def looks(values, every=30, first=0):
    """Newest first, the newest ``first`` seconds ago; None is no look."""
    ages = ((first + every * number, value) for number, value in enumerate(values) if value is not None)
    return [Observation(NOW - age, NOW - age, 1, sum=value) for age, value in ages]


def verdict(own, seen, **before):
    """The verdict, and for how long it has been wrong."""
    found = judge(own, seen, before, NOW)
    return found.verdict, round(NOW - found.since) if found.since else 0


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.5] * 15, ("ok", 0)),
        ([0.95] * 15, ("fired", 420)),
        ([0.95] * 10 + [0.5] * 5, ("pending", 270)),
        ([0.95] * 11 + [0.5] * 4, ("fired", 300)),
        ([0.5] + [0.95] * 14, ("ok", 0)),
        ([0.95, 0.5] + [0.95] * 13, ("pending", 0)),
        ([0.95] * 3 + [None] * 6 + [0.95] * 20, ("pending", 60)),  # a break
        ([None] * 6 + [0.95] * 20, ("no_data", 0)),  # too old to say something about now
        ([], ("no_data", 0)),
    ],
)
def test_what_lasts(values, wanted):
    assert verdict(rule(over_s=1), looks(values)) == wanted


def test_below():
    own = rule(measure="used_share", above=None, below=0.2, over_s=1, for_s=0)
    assert verdict(own, looks([0.1]))[0] == "fired"
    assert verdict(own, looks([0.2]))[0] == "ok"


def test_a_fired_rule_waits_until_it_is_clear():
    own = rule(clear=0.8, over_s=1)
    known = {"verdict": "fired", "since": NOW - 900, "at": NOW - 30}
    assert verdict(own, looks([0.85] * 15), **known) == ("fired", 900)
    assert verdict(own, looks([0.8] * 15), **known) == ("ok", 0)
    # What is merely pending needs the limit itself.
    assert verdict(own, looks([0.85] * 15), **{**known, "verdict": "pending"}) == ("ok", 0)


def test_what_is_remembered_goes_on_only_without_a_break():
    own, seen = rule(over_s=1, for_s=900), looks([0.95] * 10)
    assert verdict(own, seen, verdict="pending", since=NOW - 800, at=NOW - 30) == ("pending", 800)
    assert verdict(own, seen, verdict="pending", since=NOW - 950, at=NOW - 30) == ("fired", 950)
    assert verdict(own, seen, verdict="pending", since=NOW - 950, at=NOW - 600) == ("pending", 270)
    assert verdict(own, looks([0.95] * 5 + [0.5] * 5), verdict="pending", since=NOW - 950, at=NOW - 200)[1] == 120


@pytest.mark.parametrize(
    ("missing", "before", "wanted"),
    [
        ("no_data", {}, ("no_data", 0)),
        ("ok", {}, ("ok", 0)),
        ("wrong", {}, ("pending", 0)),
        ("wrong", {"verdict": "pending", "since": NOW - 200, "at": NOW - 30}, ("pending", 200)),
        ("wrong", {"verdict": "pending", "since": NOW - 300, "at": NOW - 30}, ("fired", 300)),
    ],
)
def test_missing_data_means_what_the_rule_says(missing, before, wanted):
    assert verdict(rule(missing=missing), [], **before) == wanted


def requests(steps):
    """Newest first: total, bad and unsure of each 10 s."""
    return [Observation(NOW - 10 * one - 10, NOW - 10 * one, *counts) for one, counts in enumerate(steps)]


def share(**given):
    return rule(source="access_log", measure="error_share", above=0.05, for_s=600, min_samples=20, **given)


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([(10, 1, 0)] * 72, "fired"),
        ([(10, 0, 0)] * 72, "ok"),
        ([(1, 1, 0)] * 72, "fired"),  # few a minute: values span what they need
        ([(1, 0, 0)] * 71 + [(1, 1, 0)], "ok"),
        ([(10, 1, 0)] * 30 + [(10, 0, 0)] * 42, "pending"),
        ([(3, 3, 0)] + [(0, 0, 0)] * 71, "inconclusive"),
        ([(0, 0, 0)] * 72, "no_data"),
        ([(10, 0, 10)] * 72, "inconclusive"),
        ([(10, 1, 10)] * 72, "inconclusive"),  # perhaps only one in twenty
        ([(10, 5, 10)] * 72, "fired"),  # whatever the others are
        ([(10, 0, 0)] * 10 + [(10, 5, 0)] * 62, "ok"),
        ([(0, 0, 0)] * 40 + [(10, 5, 0)] * 32, "no_data"),
    ],
)
def test_shares(steps, wanted):
    assert verdict(share(), requests(steps))[0] == wanted


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(0, 3)), min_size=72, max_size=72))
def test_a_rule_never_fires_unless_all_of_its_time_was_wrong(steps):
    steps = [(max(total, bad), bad, unsure) for total, bad, unsure in steps]
    found = judge(share(), requests(steps), {}, NOW)
    if found.verdict == "fired":
        assert NOW - found.since >= 599
        assert all(value.low > 0.05 for value in found.values if value.end > found.since)
        assert sum(one[1] for one in steps[:60]) > 0.04 * sum(map(sum, ((one[0], one[2]) for one in steps[:60])))
    if not any(bad or unsure for _total, bad, unsure in steps):
        assert found.verdict in ("ok", "no_data", "inconclusive")


PROBES = {"name": "own", "source": "probes", "measure": "availability", "below": 0.95, "for_s": 0}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "ok"),
        ({"bad": [("home", "controller"), ("home", "hub")]}, "fired"),
        ({"bad": [("home", "controller")]}, "inconclusive"),  # the other one reaches it
        ({"bad": [("home", "controller")], "silent": ["hub"]}, "inconclusive"),
        (
            {"bad": [("home", "controller")], "vantages": ["controller"]},
            "inconclusive",
        ),  # the other one does not answer
        ({"silent": ["hub"]}, "ok"),
        ({"silent": ["hub", "controller"]}, "inconclusive"),
    ],
)
def test_a_service_fails_only_where_nobody_reaches_it(tmp_path, monkeypatch, given, wanted):
    world = World(tmp_path, monkeypatch, [PROBES], sources={})
    assert world.look(more=answers(**given))["own"]["verdict"] == wanted


def test_groups_of_probes_and_functions(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [{"name": "functions_broken", "for_s": 0}], sources={})
    names = ("home", "whatsapp", "list")
    both = [(name, vantage) for name in names[1:] for vantage in ("controller", "hub")]
    functions = {"pages": ["home"], "messages": ["whatsapp"], "campaigns": ["list"]}
    groups = {"whatsapp": ["whatsapp"], "frontend": ["home"]}
    found = world.look(more=answers(both, names=names), groups=groups, functions=functions)
    verdicts = {name: found[name]["verdict"] for name in ("whatsapp_dead", "frontend_unreachable", "functions_broken")}
    assert verdicts == {"whatsapp_dead": "pending", "frontend_unreachable": "ok", "functions_broken": "fired"}
    assert (found["health_failing"]["verdict"], found["health_failing"]["why"]) == (
        "no_data",
        "nothing is declared for health",
    )
    assert world.found["level"] == "full"


def test_an_outage_fires_after_its_time_and_one_look(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, sources={})
    everything = [(name, vantage) for name in ("home", "health") for vantage in ("controller", "hub")]
    for moment in range(0, 3600, 20):
        found = world.look(NOW + moment, answers(everything if moment > 1205 else ()))["availability"]
        if found["verdict"] == "fired":
            assert 1205 + 300 <= moment <= 1205 + 300 + 20 + 1
            assert 0 < found["since"] - (NOW + 1205) <= 20
            return
    pytest.fail("nothing fired")


def test_the_worst_host_counts_and_is_named(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, [{"name": "memory", "for_s": 0}], sources={})
    found = world.look(
        more=[looked("memory", "used_share", 0.5 + 0.45 * (host == "web2"), host=host) for host in ("web1", "web2")]
    )
    assert (found["memory"]["verdict"], found["memory"]["where"]) == ("fired", "web2")
    assert found["memory"]["value"] == 0.95


def test_what_could_not_be_read_is_never_well(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, sources={})
    found = world.look(
        more=[looked("memory", "used_share", 0.5, host="web1"), failed("memory", "it does not answer", "web2")]
    )
    assert (found["memory"]["verdict"], found["memory"]["why"]) == ("inconclusive", "web2: it does not answer")
    found = world.look(more=[failed("memory", "it does not answer", "web2")], now=NOW + 1000)
    assert found["memory"]["verdict"] == "no_data"


def test_old_looks_do_not_fire_again_after_a_rollback(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, sources={})
    for moment in range(0, 420, 30):
        found = world.look(NOW + moment, [looked("memory", "used_share", 0.95, host="web1")])["memory"]
    assert found["verdict"] == "fired"
    settled = NOW + 400
    found = world.look(NOW + 420, [looked("memory", "used_share", 0.5, host="web1")], Hold(settled, "cool-down"))
    assert found["memory"]["verdict"] == "ok"
    # And what goes on being wrong begins anew, and fires only after the cool-down.
    for moment in range(450, 2000, 30):
        hold = Hold(settled, "cool-down" if moment < 1000 else "")
        found = world.look(NOW + moment, [looked("memory", "used_share", 0.95, host="web1")], hold)["memory"]
        assert (found["verdict"] == "fired") == (moment >= 1000), moment
        # A value spans a minute, so that the good look has to be behind it.
        assert found["since"] == (NOW + 450 if moment >= 510 else 0)
    assert found["verdict"] == "fired"


def test_what_goes_on_through_a_rollback_begins_anew(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, sources={})
    settled = NOW + 400
    for moment in range(0, 1200, 30):
        hold = Hold(settled if moment > 400 else 0)
        found = world.look(NOW + moment, [looked("memory", "used_share", 0.95, host="web1")], hold)["memory"]
        begun = 420 if moment > 400 else 0
        assert (found["since"], found["verdict"] == "fired") == (NOW + begun, moment - begun >= 300), moment


def test_lines_from_before_a_rollback_do_not_fire_after_it(tmp_path, monkeypatch):
    write(tmp_path / "access.log", traffic(NOW - 1500, NOW - 120, share=0.3) + traffic(NOW - 120, NOW))
    write(tmp_path / "laravel.log", [])
    world = World(tmp_path, monkeypatch, [{"name": "error_rate", "for_s": 60, "over_s": 600}])
    assert world.look()["error_rate"]["verdict"] == "fired"
    world.memory = {}
    found = world.look(hold=Hold(NOW - 120))["error_rate"]
    assert (found["verdict"], found["values"][0]["from"]) == ("ok", NOW - 120)


def test_a_function_whose_tests_are_all_held_back_is_not_judged(tmp_path, monkeypatch):
    held = counted("probes", "answer", 0, 0, name="list", host="web1", vantage="hub", note="told to come again")
    found = World(tmp_path, monkeypatch, sources={}).look(more=[held], functions={"campaigns": ["list"]})
    assert (found["functions_broken"]["verdict"], found["functions_broken"]["value"]) == ("no_data", None)
    assert (found["availability"]["verdict"], found["availability"]["why"]) == ("no_data", "told to come again")


def test_own_probes_are_no_traffic(tmp_path, monkeypatch):
    write(tmp_path / "access.log", traffic(NOW - 700, NOW, share=1, agent=AGENT))
    assert World(tmp_path, monkeypatch).look()["error_rate"]["verdict"] == "no_data"


def restarts(name, number, host="web1"):
    return looked("services", "restarts", number, name=name, host=host)


def test_restarts_are_what_a_counter_grew_by(tmp_path, monkeypatch):
    own = {"name": "own", "source": "services", "measure": "restarts", "above": 3, "over_s": 600}
    world = World(tmp_path, monkeypatch, [own], sources={})
    found = []
    for moment, number in enumerate((7, 8, 9, 0, 1, 1, 4, 4)):  # begun anew in between
        found.append(world.look(NOW + 60 * moment, [restarts("fpm", number)])["own"])
    assert [one["value"] for one in found] == [0, 1, 2, 2, 3, 3, 6, 6]
    assert [one["verdict"] for one in found] == ["ok"] * 6 + ["fired"] * 2


def test_integrity_is_what_the_newest_look_found(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, sources={})

    def look(moment, failed, unsure=0):
        seen = [counted("database", "integrity", 9 - unsure, failed, unsure, host="data1")]
        return world.look(NOW + moment, seen)["database_integrity"]["verdict"]

    assert [look(0, 0), look(30, 2), look(60, 0), look(90, 0, 1)] == ["ok", "fired", "ok", "inconclusive"]


def test_shipped_rules_have_the_numbers_of_the_runbooks():
    rules = {own.name: own for own in parse([])}
    numbers = {name: (own.demand, own.limit, own.for_s, own.above is not None) for name, own in rules.items()}
    assert numbers["error_rate"] == ("A1.1", 0.05, 600, True)
    assert numbers["response_time"][:2] == ("A1.2", 10)
    assert numbers["availability"] == ("A1.3", 0.95, 300, False)
    assert numbers["database_integrity"] == ("A1.4", 0, 0, True)
    assert numbers["memory"][:2] == ("A1.5", 0.9)
    assert sum(own.demand == "B1" for own in rules.values()) == 6
    assert all(own.level in LEVELS and (own.source, own.measure) in MEASURES for own in rules.values())
    assert len(SHIPPED) == len(rules)


def test_an_inventory_lays_its_rules_over_the_shipped_ones():
    declared = [{"name": "memory", "above": "0.95", "only": "web"}, {"name": "error_rate", "enabled": "false"}]
    rules = {own.name: own for own in parse(declared)}
    assert (rules["memory"].above, rules["memory"].for_s, rules["memory"].only) == (0.95, 300, ("web",))
    assert "error_rate" not in rules


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "memory", "abov": 0.5},
        {"name": "memory", "above": "much"},
        {"name": "memory", "below": 0.1},
        {"name": "memory", "clear": 0.95},
        {"name": "memory", "measure": "color"},
        {"name": "memory", "level": "huge"},
        {"name": "memory", "missing": "maybe"},
        {"name": "memory", "query": "up"},
        {"name": "memory", "for_s": -1},
        {"name": "a b", "source": "memory", "measure": "used_share", "above": 1},
        {"name": "own", "source": "prometheus", "measure": "value", "above": 1},
        {"source": "memory"},
    ],
)
def test_a_rule_that_cannot_mean_anything_is_refused(entry):
    with pytest.raises(RollbackError, match="rule") as refused:
        parse([entry])
    assert refused.value.where == "triggers_rules"
