"""Rows as text: what is read back as statements is what was written, wherever a block of it ends."""

from __future__ import annotations

import io

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import table_text
from ansible_collections.campaign.rollback.plugins.module_utils.database import Column
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_text import (
    insert_sql,
    load_sql,
    select_sql,
    whole_rows,
)
from hypothesis import given
from hypothesis import strategies as st


def column(name, kind, charset=None, expression=""):
    return Column(name, kind, True, None, "", charset, None, expression)


COLUMNS = [
    column("id", "int(11)"),
    column("a`b", "text", "latin1"),
    column("j", "json"),
    column("g", "int", None, "id + 1"),
]


def quoted(value):
    """What QUOTE makes of a value."""
    if value is None:
        return b"NULL"
    for plain, escaped in ((b"\\", rb"\\"), (b"'", rb"\'"), (b"\0", rb"\0"), (b"\x1a", rb"\Z")):
        value = value.replace(plain, escaped)
    return b"'" + value + b"'"


def test_every_value_is_written_so_that_nothing_of_it_is_lost():
    kinds = {
        "f": "float",
        "b": "bit(3)",
        "d": "datetime(6)",
        "t": "varchar(9)",
        "n": "bigint(20) unsigned",
        "p": "point",
    }
    sql = select_sql("s", "t", [column(name, kind) for name, kind in kinds.items()])
    assert sql == (
        "SELECT QUOTE(`f` * 1e0), `b` + 0, QUOTE(`d`), QUOTE(CAST(`t` AS BINARY)), `n`, QUOTE(CAST(`p` AS BINARY))"
        " FROM `s`.`t`"
    )


def test_computed_columns_are_neither_read_nor_written():
    assert "`g`" not in select_sql("s", "t", COLUMNS) + load_sql("s", "t", COLUMNS, "/x")
    assert load_sql("s", "t", COLUMNS, "/x").endswith("(`id`, `a``b`, @c2) SET `j` = CONVERT(@c2 USING utf8mb4)")


@given(
    st.lists(
        st.tuples(st.integers(), st.none() | st.binary(max_size=9), st.none() | st.binary(max_size=9)), max_size=9
    ),
    st.integers(1, 40),
    st.integers(1, 60),
)
def test_statements_hold_the_values_of_the_text(rows, block, limit):
    literals = [[b"%d" % row[0], quoted(row[1]), quoted(row[2])] for row in rows]
    text = b"".join(b"\t".join(line) + b"\n" for line in literals)
    wanted = [b"(%b,%b,CONVERT(%b USING utf8mb4))" % tuple(line) for line in literals]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_text, "_BLOCK", block)
        made = list(insert_sql("s", "t", COLUMNS, io.BytesIO(text), limit))
    head = b"INSERT INTO `s`.`t` (`id`, `a``b`, `j`) VALUES "
    assert all(sql.startswith(head) for sql in made)
    assert b",".join(sql[len(head) :] for sql in made) == b",".join(wanted)


@given(
    st.lists(st.lists(st.none() | st.text("\n\\'x\t", max_size=9), min_size=1, max_size=3), max_size=9),
    st.integers(1, 40),
)
def test_pieces_end_where_a_row_ends(rows, block):
    lines = [b"\t".join(quoted(None if value is None else value.encode()) for value in row) + b"\n" for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_text, "_BLOCK", block)
        pieces = list(whole_rows(io.BytesIO(b"".join(lines))))
    assert b"".join(pieces) == b"".join(lines)
    ends = {len(b"".join(lines[: count + 1])) for count in range(len(lines))}
    assert {len(b"".join(pieces[: count + 1])) for count in range(len(pieces))} <= ends


def test_pieces_are_about_a_block_even_of_texts_with_many_lines():
    row = b"1\t'" + b"line\n" * 30 + b"'\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_text, "_BLOCK", 10 * len(row))
        pieces = list(whole_rows(io.BytesIO(row * 1000)))
    assert max(map(len, pieces)) <= 11 * len(row)


def test_a_long_text_without_its_end_is_looked_at_once():
    text = b"1\t'" + b"x" * 5000 + b"\\'" * 50
    with pytest.raises(RollbackError, match="not those of this table"):
        list(insert_sql("s", "t", COLUMNS, io.BytesIO(text), 99))


@pytest.mark.parametrize("text", [b"1\t'x'\t'y'", b"1\t'x'\n", b"1\t'x'\t'y'\t2\n", b"1\t'x\t'y'\n"])
def test_a_text_of_another_table_is_refused(text):
    with pytest.raises(RollbackError, match="not those of this table"):
        list(insert_sql("s", "t", COLUMNS, io.BytesIO(text), 99))
