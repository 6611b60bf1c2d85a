"""Definitions and foreign keys handed over around a rename, without a server."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import ForeignKey
from ansible_collections.campaign.rollback.plugins.module_utils.database_border import (
    Border,
    borders,
    cross,
    returning,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_events import (
    sleeping,
    state,
    with_state,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_freeze import Freeze, TimeUp
from ansible_collections.campaign.rollback.plugins.module_utils.database_handover import Handover
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import (
    Definition,
    account,
    changes,
    create_sql,
    staged_as,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_plan import Plan
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation, orphans_from
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import given
from hypothesis import strategies as st

PLAN = Plan("live", "shadow", "attic", ("logs", "old"), ("logs", "new"))


def made(kind, name, text="x", **given):
    return Definition(kind, name, f"CREATE {kind} {text}", "root@localhost", "utf8mb4", "utf8mb4_bin", **given)


def names(definitions):
    return [definition.name for definition in definitions]


def test_what_is_the_same_is_left_alone():
    present = [made("VIEW", "a"), made("VIEW", "b"), made("VIEW", "gone"), made("PROCEDURE", "Same")]
    wanted = [made("VIEW", "a", "y"), made("VIEW", "b"), made("VIEW", "new"), made("PROCEDURE", "Same")]
    drop, create, grant = changes(present, wanted)
    assert (names(drop), names(create), grant) == (["gone"], ["a", "new"], [])


def test_grants_that_are_missing_are_given_and_others_do_not_count():
    wanted = made("PROCEDURE", "p", grants=(("Execute", "`a`@`b`"),))
    assert changes([made("PROCEDURE", "P")], [dataclasses.replace(wanted, name="P")])[2] == [
        dataclasses.replace(wanted, name="P")
    ]
    assert changes([wanted], [made("PROCEDURE", "p")]) == ([], [], [])


@given(
    st.lists(st.sampled_from("abcd"), unique=True),
    st.lists(st.sampled_from("abcde"), unique=True),
    st.sets(st.sampled_from("abcd")),
)
def test_triggers_of_a_table_end_up_in_their_order(before, after, altered):
    present = [made("TRIGGER", name, table="t") for name in before]
    wanted = [made("TRIGGER", name, "y" if name in altered else "x", table="t") for name in after]
    drop, create, _grant = changes(present, wanted)
    left = [one for one in present if one not in drop]
    assert not {one.name for one in left} & set(names(create))
    assert left + create == wanted


def test_a_body_is_made_again_with_its_package():
    present = [made("PACKAGE", "p"), made("PACKAGE BODY", "p")]
    wanted = [made("PACKAGE", "p", "y"), made("PACKAGE BODY", "p")]
    assert changes(present, wanted)[1] == wanted
    assert changes(present, present) == ([], [], [])


def test_a_view_that_could_not_be_made_is_not_replaced():
    broken = made("VIEW", "v", "other", sound=False)
    assert changes([made("VIEW", "v")], [broken]) == ([], [], [])
    assert changes([], [broken])[1] == [broken]


@pytest.mark.parametrize(
    ("definer", "quoted"),
    [("root@localhost", "`root`@`localhost`"), ("a@b`@%", "`a@b```@`%`"), ("role@", "`role`")],
)
def test_accounts_are_quoted(definer, quoted):
    assert account(definer) == quoted


def test_mariadb_replaces_in_one_step_and_mysql_gives_grants_again():
    routine = made("PROCEDURE", "p", grants=(("Execute,Grant", "`a`@`b`"), ("Grant", "`c`@`d`")))
    granted = [
        "GRANT EXECUTE ON PROCEDURE `s`.`p` TO `a`@`b` WITH GRANT OPTION",
        "GRANT USAGE ON PROCEDURE `s`.`p` TO `c`@`d` WITH GRANT OPTION",
    ]
    assert create_sql("mariadb", "s", routine) == ["CREATE OR REPLACE PROCEDURE x", *granted]
    assert create_sql("mysql", "s", routine) == ["DROP PROCEDURE IF EXISTS `s`.`p`", "CREATE PROCEDURE x", *granted]
    assert create_sql("mysql", "s", made("VIEW", "v", "CREATE ")) == ["CREATE OR REPLACE VIEW CREATE "]


def test_a_staged_view_names_the_live_schema():
    view = made("VIEW", "v", "select `shadow`.`t`.`shadow` from `shadow`.`t` join `shadow2`.`t`")
    assert staged_as(view, "shadow", "live", None).sql == (
        "CREATE VIEW select `live`.`t`.`shadow` from `live`.`t` join `shadow2`.`t`"
    )


EVENT = "`e` ON SCHEDULE EVERY 1 DAY ON COMPLETION {} {} COMMENT ' ON COMPLETION PRESERVE ENABLE' DO x"


@pytest.mark.parametrize("kept", ["PRESERVE", "NOT PRESERVE"])
@pytest.mark.parametrize(
    ("staged", "live", "becomes"),
    [
        ("DISABLE ON SLAVE", None, "ENABLE"),
        ("DISABLE ON SLAVE", "DISABLE", "ENABLE"),
        ("DISABLE ON SLAVE", "DISABLE ON SLAVE", "DISABLE ON SLAVE"),
        ("DISABLE ON REPLICA", "ENABLE", "ENABLE"),
        ("DISABLE", "ENABLE", "DISABLE"),
        ("ENABLE", "DISABLE", "ENABLE"),
    ],
)
def test_events_wake_up_in_the_state_they_had(kept, staged, live, becomes):
    here = made("EVENT", "e", EVENT.format(kept, live)) if live else None
    found = staged_as(made("EVENT", "e", EVENT.format(kept, staged)), "shadow", "live", here)
    assert found.sql == "CREATE EVENT " + EVENT.format(kept, becomes)
    assert (state(found.sql), with_state(found.sql, "ENABLE")) == (becomes, with_state(found.sql, "ENABLE"))


def test_the_clause_that_puts_an_event_to_sleep_is_the_servers():
    assert sleeping("mariadb", (10, 11, 19)) == sleeping("mysql", (8, 0, 36)) == "DISABLE ON SLAVE"
    assert sleeping("mysql", (8, 4)) == sleeping("mysql", (9, 1)) == "DISABLE ON REPLICA"


def key(child, parent, name="fk"):
    return Relation(name, child, ("c",), parent, ("id",), "RESTRICT", "CASCADE")


@pytest.mark.parametrize(
    ("child", "parent", "after"),
    [
        (("live", "kept"), ("live", "logs"), (("live", "kept"), ("live", "logs"))),
        (("other", "x"), ("live", "old"), (("other", "x"), ("live", "old"))),
        (("live", "logs"), ("live", "kept"), None),
        (("live", "logs"), ("other", "x"), None),
        (("shadow", "new"), ("shadow", "kept"), (("live", "new"), ("live", "kept"))),
        (("shadow", "new"), ("live", "logs"), (("live", "new"), ("live", "logs"))),
        (("shadow", "kept"), ("shadow", "new"), None),
    ],
)
def test_a_key_across_the_border_is_pointed_at_what_is_live(child, parent, after):
    given_key = key(child, parent)
    assert borders([given_key.short], PLAN) == [given_key.short]
    found, reasons = cross([given_key], PLAN)
    assert reasons == []
    assert found == [Border(given_key, key(*after) if after else None)]
    assert returning(found, PLAN) == ([given_key] if child == ("live", "logs") else [])


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (("live", "logs"), ("live", "old")),
        (("shadow", "new"), ("shadow", "logs")),
        (("shadow", "new"), ("live", "kept")),
        (("shadow", "new"), ("other", "x")),
        (("live", "kept"), ("live", "kept2")),
        (("other", "x"), ("other", "y")),
    ],
)
def test_a_key_that_the_rename_leaves_right_is_no_concern(child, parent):
    assert borders([ForeignKey("fk", child, parent)], PLAN) == []


def test_nobody_else_may_refer_to_the_staged_copy():
    assert cross([key(("other", "x"), ("shadow", "new"))], PLAN)[1] == [
        "fk (other.x -> shadow.new): refers to the staged copy from outside"
    ]


def test_a_key_is_added_as_it_was():
    odd = Relation("f`k", ("a", "b"), ("x", "y"), ("c", "d"), ("u", "v"), "RESTRICT", "SET NULL")
    sql = "ALTER TABLE `a`.`b` ADD CONSTRAINT `f``k` FOREIGN KEY (`x`, `y`) REFERENCES `c`.`d` (`u`, `v`)"
    sql += " ON DELETE SET NULL"
    assert odd.add_sql("mariadb") == sql
    assert odd.add_sql("mysql") == sql + " ON UPDATE RESTRICT"
    assert orphans_from(odd, "`a`.`b`") == (
        "FROM `a`.`b` c LEFT JOIN `c`.`d` p ON p.`u` = c.`x` AND p.`v` = c.`y`"
        " WHERE c.`x` IS NOT NULL AND c.`y` IS NOT NULL AND p.`u` IS NULL"
    )


def test_a_handover_survives_the_journal(tmp_path):
    import json

    view = made("VIEW", "v", grants=(("Execute", "`a`@`b`"),))
    whole = Handover(
        PLAN, (view,), (made("TRIGGER", "t", table="logs"),), (view,), (Border(None, key(("a", "b"), ("c", "d"))),)
    )
    assert Handover.from_mapping(json.loads(json.dumps(whole.to_mapping()))) == whole
    assert (bool(whole), whole.freezes, bool(Handover(PLAN))) == (True, False, False)


class Recorded:
    """Stands for a connection: keeps statements, refuses some."""

    def __init__(self, engine, refuse=()):
        self.engine, self.refuse, self.statements = engine, list(refuse), []

    def run(self, sql):
        self.statements.append(sql)
        if self.refuse and sql == self.refuse[0]:
            self.refuse.pop()
            cause = Exception(1205, "waited")
            raise RollbackError("refused") from cause

    def limit_waits(self, seconds):
        self.statements.append(seconds)

    def rows(self, sql, arguments):
        self.statements.append("who")
        return [(7,)]


def frozen(db, seconds=2):
    freeze = Freeze(db, "live", seconds, 5, 3)
    freeze.begin(set_read_only=True)
    return freeze


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_a_freeze_bounds_what_can_be_given_up_and_what_cannot(engine, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    db = Recorded(engine)
    freeze = frozen(db)
    freeze.bounded("DROP")
    freeze.insist("CREATE")
    freeze.end()
    bound = {"mariadb": ["SET SESSION max_statement_time=1.000"], "mysql": [1]}[engine]
    again = {"mariadb": bound, "mysql": []}[engine]
    release = {"mariadb": ["SET SESSION max_statement_time=DEFAULT"], "mysql": []}[engine]
    assert db.statements == [
        *bound,
        "SET GLOBAL read_only=1",
        *again,
        "DROP",
        *release,
        2,
        "CREATE",
        "SET GLOBAL read_only=0",
        *release,
        5,
    ]


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_when_time_is_up_a_statement_is_not_even_tried(engine, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    db = Recorded(engine)
    freeze = frozen(db)
    now[0] = 101.01
    with pytest.raises(TimeUp):
        freeze.bounded("DROP")
    assert "DROP" not in db.statements
    freeze.over()
    assert (freeze.exhausted, round(freeze.lasted, 2)) == (True, 1.01)


def test_who_is_in_the_way_at_the_end_of_a_freeze_is_ended(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    db = Recorded("mysql", refuse=["CREATE"])
    freeze = frozen(db)
    now[0] = 101.5
    freeze.insist("CREATE")
    assert db.statements[-4:] == ["CREATE", "who", "KILL CONNECTION 7", "CREATE"]
    assert freeze.ended == [7]
