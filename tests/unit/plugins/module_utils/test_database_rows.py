"""Ranges of keys, rows as text and reasons of refusals, without a server."""

from __future__ import annotations

import pymysql
import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import Column, quote
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import reason
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import Relation
from ansible_collections.campaign.rollback.plugins.module_utils.database_rows import (
    Range,
    as_column,
    literal,
    shape_of,
    steps,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_comparison import shown
from hypothesis import given
from hypothesis import strategies as st


def column(name, kind="bigint(20) unsigned", charset=None, collation=None, nullable=False, extra="", expression=""):
    return name, Column(name, kind, nullable, None, extra, charset, collation, expression)


def shape(columns, keys, other=None, other_keys=None):
    return shape_of("t", dict(columns), dict(other or columns), keys, other_keys or keys)


PRIMARY = {"PRIMARY": ("id",)}


@given(st.integers(-(2**63), 2**63), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(2, 5000))
def test_ranges_of_numbers_cover_everything_and_do_not_overlap(lowest, width, rows, size):
    ranges = steps(lowest, lowest + width, rows, size)
    assert (ranges[0].low, ranges[-1].high) == (None, None)
    borders = [int(found.high[0]) for found in ranges[:-1]]
    assert [found.low and int(found.low[0]) for found in ranges[1:]] == borders
    assert borders == sorted(set(borders))
    # A bound on their number: about as many as there are full ranges of rows.
    assert len(ranges) <= 2 * rows // size + 2


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)
def test_a_range_of_a_composite_key_is_that_of_its_order(rows, low, high):
    within = Range(tuple(map(str, low)), tuple(map(str, high))).of("x", ("a", "b", "c"))
    condition = (
        within.replace("`", "").replace("x.", "").replace(" = ", " == ").replace("AND", "and").replace("OR", "or")
    )
    for row in rows:
        assert eval(condition, dict(zip("abc", row))) is (low < row <= high)


def test_a_range_without_limits_is_everything():
    assert Range().of("x", ("a",)) == "TRUE"
    assert Range(("1",)).of("x", ("a",)) == "x.`a` > 1"
    assert Range(None, ("1",)).of("x", ("a",)) == "x.`a` <= 1"


@pytest.mark.parametrize(
    ("kind", "options", "identifies"),
    [
        ("int(11)", {}, True),
        ("char(36)", {"charset": "utf8mb4", "collation": "utf8mb4_bin"}, True),
        ("binary(16)", {}, True),
        ("int(11)", {"nullable": True}, False),
        ("double", {}, False),
        ("enum('a')", {"charset": "utf8mb4", "collation": "utf8mb4_bin"}, False),
        ("bit(1)", {}, False),
    ],
)
def test_what_identifies_a_row(kind, options, identifies):
    found = shape([column("id", kind, **options), column("v")], PRIMARY)
    assert found.key == (("id",) if identifies else ())


def test_a_key_counts_only_if_both_sides_have_it():
    columns = [column("id"), column("code"), column("v")]
    keys = {"PRIMARY": ("id",), "code": ("code",)}
    assert shape(columns, keys, other_keys={"code": ("code",)}).key == ("code",)
    assert shape(columns, keys, other_keys={"PRIMARY": ("id", "code")}).key == ()
    assert shape(columns, keys, other=columns[1:], other_keys=keys).key == ("code",)


def test_keys_that_are_handed_out_in_order():
    assert shape([column("id", extra="auto_increment")], PRIMARY).counter
    assert not shape([column("id")], PRIMARY).counter
    assert not shape([column("id", "char(36)", "ascii", "ascii_bin")], PRIMARY).counter


def test_generated_columns_and_those_of_one_side_are_not_shared():
    left = [column("id"), column("made", expression="id + 1"), column("gone"), column("v")]
    right = [column("id"), column("made"), column("v"), column("added"), column("made2", expression="1")]
    found = shape(left, PRIMARY, other=right)
    assert found.shared == ("id", "v")
    assert (found.only("left"), found.only("right")) == (["gone"], ["added"])


def test_a_text_is_searched_for_as_the_other_side_sorts_it():
    mine = Column("c", "varchar(9)", False, None, "", "latin1", "latin1_bin", "")
    other = Column("c", "varchar(9)", False, None, "", "utf8mb4", "utf8mb4_bin", "")
    number = Column("c", "int", False, None, "", None, None, "")
    assert as_column("a.c", other, mine) == "CONVERT(a.c USING latin1) COLLATE latin1_bin"
    assert as_column("a.c", mine, mine) == "a.c"
    assert as_column("a.c", other, number) == "a.c"


@given(st.text(alphabet="`ab.;%'\\ -é", min_size=1, max_size=20).filter(lambda name: name.strip() == name))
def test_hostile_names_are_quoted(name):
    found = shape([column(name), column("v", "longtext", "utf8mb4", "utf8mb4_bin", True)], {"PRIMARY": (name,)})
    assert f"t.{quote(name)}" in found.text("left", "t")
    assert f"p.{quote(name)} = k.{quote(name)}" == found.probe("k", "p", "left")


def test_bytes_are_no_text():
    assert literal(None, b"\xff'") == "X'ff27'"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ((7,), 7),
        ((1, 2), [1, 2]),
        (("0B7D1C2E-1111-4222-8333-123456789abc",), "0B7D1C2E-1111-4222-8333-123456789abc"),
        (("01ARZ3NDEKTSV4RRFFQ69G5FAV",), "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ((bytes(range(16)),), "000102030405060708090a0b0c0d0e0f"),
        (("somebody@example.org",), "(text)"),
        (("+10000000001", 3), ["(text)", 3]),
        ((b"short",), "(text)"),
    ],
)
def test_only_keys_that_say_nothing_of_anybody_are_told(key, told):
    assert shown(key) == told


RELATIONS = [Relation("logs_campaign", ("b", "logs"), ("campaign_id",), ("b", "campaigns"), ("id",))]


def refused(code, message):
    error = RollbackError("refused")
    error.__cause__ = pymysql.MySQLError(code, message)
    return reason(error, RELATIONS, {"PRIMARY", "message_id"}, {"name"})


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (1062, "Duplicate entry 'secret' for key 'message_id'", "another row has the same value in message_id"),
        (1062, "Duplicate entry 'secret' for key 'logs.message_id'", "another row has the same value in message_id"),
        (1062, "Duplicate entry '7' for key 'PRIMARY'", "another row has the same key"),
        (1062, "Duplicate entry 'x' for key 'secret'", "another row has the same value in a unique key"),
        (1062, "Duplicate entry 'for key 'message_id'", "another row has the same value in message_id"),
        (
            1452,
            "Cannot add ... (`b`.`logs`, CONSTRAINT `logs_campaign` FOREIGN KEY (`campaign_id`) REFERENCES ...)",
            "the row that it refers to in campaigns is missing",
        ),
        (1452, "Cannot add ... CONSTRAINT `secret` FOREIGN KEY", "a row that it refers to is missing"),
        (1406, "Data too long for column 'name' at row 1", "a value does not fit into its column: name"),
        (1366, "Incorrect integer value: 'secret' for column `b`.`logs`.`name` at row 1",
         "a value does not fit into its column: name"),
        (1366, "Incorrect value: 'secret' for column 'secret' at row 1", "a value does not fit into its column"),
        (1364, "Field 'name' doesn't have a default value", "a column that must have a value has none: name"),
        (4025, "CONSTRAINT `secret` failed for `b`.`logs`", "a check of the table refuses it"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_words_without_values(code, message, words):
    assert refused(code, message) == words
