"""Planning of a swap, without a server."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import Column, ForeignKey, Table, quote
from ansible_collections.campaign.rollback.plugins.module_utils.database_carry import (
    Carry,
    auto_increments,
    carry_sql,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import (
    Expected,
    differences,
    is_expendable,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import merge_sql, parents_first
from ansible_collections.campaign.rollback.plugins.module_utils.database_plan import Plan
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import restored_name
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(alphabet="`ab.;%'\\ -é", min_size=1, max_size=20).filter(lambda name: name.strip() == name)


def column(name, extra="", kind="bigint(20) unsigned", expression=""):
    return name, Column(name, kind, False, None, extra, None, None, expression)


@given(st.lists(NAMES, unique=True, max_size=5), st.lists(NAMES, unique=True, min_size=1, max_size=5))
def test_the_rename_frees_every_name_before_it_is_taken(out, into):
    plan = Plan("live", "shadow", "attic", tuple(out), tuple(into))
    expected = [f"`live`.{quote(name)} TO `attic`.{quote(name)}" for name in out]
    expected += [f"`shadow`.{quote(name)} TO `live`.{quote(name)}" for name in into]
    assert plan.rename() == "RENAME TABLE " + ", ".join(expected)


def test_carry_copies_what_both_sides_have_and_can_be_written():
    live = dict([column("id"), column("status"), column("only_live"), column("made"), column("sent_at")])
    incoming = dict(
        [
            column("id"),
            column("status"),
            column("made", expression="`id` + 1"),
            column("sent_at"),
            column("touched", extra="on update current_timestamp()"),
        ]
    )
    carrying = carry_sql(Carry("logs", ("id",), "live.status = 'sent' -- now"), "a`b", "s", live, incoming)
    tables = "`s`.`logs` AS incoming JOIN `a``b`.`logs` AS live ON incoming.`id` = live.`id`"
    where = "WHERE (\nlive.status = 'sent' -- now\n)"
    assert carrying.find == (
        f"SELECT incoming.`id` FROM {tables} {where}"
        " AND NOT (incoming.`status` <=> live.`status` AND incoming.`sent_at` <=> live.`sent_at`)"
    )
    assert carrying.update_for([["1"], ["2"]]) == (
        f"UPDATE {tables} SET incoming.`status` = live.`status`, incoming.`sent_at` = live.`sent_at`,"
        f" incoming.`touched` = incoming.`touched` {where} AND ((incoming.`id` = 1) OR (incoming.`id` = 2))"
    )


@given(NAMES, NAMES)
def test_carry_quotes_hostile_names(table, name):
    columns = dict([column("id"), column(name)])
    carrying = carry_sql(Carry(table, ("id",), "1", (name,)), "live", "shadow", columns, columns)
    assert f"UPDATE `shadow`.{quote(table)} AS incoming" in carrying.update
    assert f"SET incoming.{quote(name)} = live.{quote(name)} " in carrying.update


@pytest.mark.parametrize(
    ("carry", "reason"),
    [
        (Carry("logs", ("uuid",), "1"), "key column"),
        (Carry("logs", (), "1"), "needs a key"),
        (Carry("logs", ("id",), "1", ("gone",)), "No column"),
    ],
)
def test_carry_that_cannot_work_is_refused(carry, reason):
    columns = dict([column("id"), column("status")])
    with pytest.raises(RollbackError, match=reason):
        carry_sql(carry, "live", "shadow", columns, columns)


@given(st.integers(1, 2**40), st.integers(1, 2**40), st.integers(0, 10_000))
def test_ids_of_neither_side_are_given_out_again(live_next, incoming_next, gap):
    columns = {"t": dict([column("id", "auto_increment")])}
    found = auto_increments({"t": Table("t", live_next, 0)}, {"t": Table("t", incoming_next, 0)}, columns, gap)
    assert found == {"t": max(live_next, incoming_next) + gap}


def test_the_gap_never_exhausts_a_small_column():
    columns = {"t": dict([column("id", "auto_increment", "tinyint(4)")])}
    tables = {"t": Table("t", 100, 0)}
    assert auto_increments(tables, tables, columns, 1000) == {"t": 100}
    assert auto_increments(tables, tables, columns, 20) == {"t": 120}


def test_tables_of_one_side_keep_their_counter():
    assert auto_increments({"old": Table("old", 5, 0)}, {"new": Table("new", 7, 0)}, {}, 1000) == {}


def test_the_undo_schema_is_named_after_the_attic():
    assert restored_name("blazz", "blazz__attic_x1", "20261121T174500Z") == "blazz__attic_undo_x1"
    assert restored_name("blazz", "elsewhere", "20261121T174500Z") == "blazz__attic_undo_20261121t174500z"


def test_only_schemas_made_here_are_expendable():
    assert is_expendable("blazz__shadow_1")
    assert is_expendable("blazz__verify_1")
    assert is_expendable("blazz__standby")
    assert not any(is_expendable(name) for name in ("blazz", "blazz__attic_1", "blazz__standby_1", "shadow_1"))


def test_differences_name_table_and_numbers():
    expected = Expected({"a": {"rows": 2, "digest": "1"}, "b": {"rows": 1}, "c": {}}, ["m1", "m2"])

    def found(migrations, **tables):
        described = {name: {"rows": rows, "digest": digest} for name, (rows, digest) in tables.items()}
        return {"tables": described, "migrations": migrations}

    assert differences(expected, found(["m1", "m2"], a=(2, "1"), b=(1, "x"), c=(9, "x"))) == []
    assert differences(expected, found(["m1", "m3"], a=(3, "2"), c=(9, "x"), later=(0, "x"))) == [
        "later is not in the manifest",
        "a has 3 rows instead of 2",
        "a has another structure",
        "b is missing",
        "migration m3 is not in the manifest",
        "migration m2 is missing",
    ]
    assert differences(Expected(), found(None, a=(3, "2"))) == []


def keys(*pairs):
    return [ForeignKey("fk", ("s", child), ("s", parent)) for child, parent in pairs]


def test_parents_come_first_and_cycles_do_not_hang():
    assert parents_first(["a", "b", "c"], "s", keys(("a", "b"), ("b", "c"), ("c", "c"))) == ["c", "b", "a"]
    assert parents_first(["a", "b", "c"], "s", keys(("a", "b"), ("b", "a"), ("c", "a"))) == ["a", "b", "c"]
    assert parents_first(["a"], "s", [ForeignKey("fk", ("s", "a"), ("other", "b"))]) == ["a"]


def test_a_merge_names_only_what_both_sides_have_and_can_be_written():
    source = dict(column(name) for name in ("id", "na{0}me", "gone", "shout"))
    target = dict([column("id", "auto_increment"), column("na{0}me"), column("added")])
    target.update([column("shout", expression="upper(name)")])
    merge = merge_sql("t", "live", "attic", source, target, 1003)
    assert merge.insert_for([1003, 1005]) == (
        "INSERT INTO `attic`.`t` (`id`, `na{0}me`) SELECT `id`, `na{0}me` FROM `live`.`t`"
        " WHERE `id` IN (1003, 1005) ORDER BY `id`"
    )
    assert "live.`id` >= 1003 AND incoming.`id` IS NULL" in merge.find
    assert merge_sql("t", "live", "attic", source, dict([column("id")]), 1) is None
