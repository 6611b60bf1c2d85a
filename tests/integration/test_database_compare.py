"""database_compare against a real server: every difference, nothing else, and never a value."""

from __future__ import annotations

import json

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import qualified
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import Request, compare, new_rows_only
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.table_comparison import Bounds
from ansible_collections.campaign.rollback.plugins.module_utils.table_policies import Policies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ATTIC = "blazz__attic_1"


@pytest.fixture
def twin(db):
    """Create one table in both schemas; a different definition for the right one may be given."""

    def create(definition, right=None, rows=(), name="things"):
        for schema, columns in (("blazz", definition), (ATTIC, right or definition)):
            db.run(f"CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4")
            db.run(f"CREATE TABLE {schema}.{name} ({columns}) DEFAULT CHARSET utf8mb4")
            for row in rows:
                db.run(f"INSERT INTO {schema}.{name} VALUES ({row})")

    return create


@pytest.fixture
def compared(server):
    """Compare the two schemas; returns the entry of the one table, or all."""

    def run(table="things", look=compare, limit=None, **options):
        options["bounds"] = Bounds(**options.get("bounds", {}))
        with server.connect(read_only=True, statement_s=limit, lock_wait_s=60) as own:
            found = look(own, Request("blazz", ATTIC, **options))
        return found["tables"][table] if table else found

    return run


def numbers(entry):
    return entry["deleted"], entry["new"], entry["changed"]


COLUMNS = """
  id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(40) NULL, b VARCHAR(40) NULL, c CHAR(4) NULL, long_text LONGTEXT NULL,
  raw VARBINARY(20) NULL, fixed BINARY(4) NULL, exact DECIMAL(20,4) NULL, small FLOAT NULL, big DOUBLE NULL,
  at DATETIME(6) NULL, stamp TIMESTAMP NULL, day DATE NULL, t TIME NULL,
  kind ENUM('x','y') NULL, tags SET('x','y') NULL,
  bits BIT(9) NULL, flag BOOLEAN NULL, data JSON NULL, place POINT NULL, made VARCHAR(80) AS (UPPER(a)) VIRTUAL
"""
ROW = {
    "a": "'one'",
    "b": "'two'",
    "c": "'abc'",
    "long_text": "'text'",
    "raw": "X'00FF'",
    "fixed": "X'01020304'",
    "exact": "1.5",
    "small": "0.1",
    "big": "0.1",
    "at": "'2026-01-01 10:00:00.000001'",
    "stamp": "'2026-01-01 10:00:00'",
    "day": "'2026-01-01'",
    "t": "'10:00:00'",
    "kind": "'x'",
    "tags": "'x,y'",
    "bits": "b'101'",
    "flag": "1",
    "data": """'{"k": 1}'""",
    "place": "POINT(1, 2)",
}
#: Changes that a careless comparison does not see, by the columns that differ.
CHANGES = [
    {"a": "''"},
    {"a": "NULL"},
    {"a": "'N'"},
    {"a": "'ONE'"},
    {"a": "'öne'"},
    {"a": "'one '"},
    {"a": "'one#'", "b": "'wo'"},
    {"a": "'onetwo'", "b": "''"},
    {"a": "NULL", "b": "'onetwo'"},
    {"b": "NULL", "c": "'two'"},
    {"c": "NULL"},
    {"long_text": "REPEAT('long', 5000)"},
    {"raw": "X'00FE'"},
    {"raw": "X''"},
    {"raw": "NULL"},
    {"fixed": "X'01020300'"},
    {"exact": "1.5001"},
    {"exact": "NULL"},
    {"small": "0.10000001"},
    {"big": "0.1 + 1e-17"},  # the number next to 0.1
    {"big": "NULL"},
    {"at": "'2026-01-01 10:00:00.000002'"},
    {"stamp": "'2026-01-01 10:00:01'"},
    {"day": "'0000-00-00'"},
    {"t": "'10:00:01'"},
    {"kind": "'y'"},
    {"tags": "'y'"},
    {"bits": "b'111'"},
    {"bits": "NULL"},
    {"flag": "0"},
    {"flag": "NULL"},
    {"data": """'{"k": 2}'"""},
    {"place": "POINT(2, 1)"},
    {"place": "NULL"},
]


def test_every_change_is_found_in_its_columns(db, twin, compared):
    twin(COLUMNS)
    names = ", ".join(ROW)
    for number in range(1, len(CHANGES) + 1):
        for schema in ("blazz", ATTIC):
            db.run(f"INSERT INTO {schema}.things (id, {names}) VALUES ({number}, {', '.join(ROW.values())})")
    assert numbers(compared()) == (0, 0, 0)
    for number, change in enumerate(CHANGES, 1):
        changes = ", ".join(f"{name} = {value}" for name, value in change.items())
        db.run(f"UPDATE {ATTIC}.things SET {changes} WHERE id = {number}")
    for rows in (3, 5000):
        found = compared(bounds={"rows": rows, "samples": 100})
        assert numbers(found) == (0, 0, len(CHANGES))
        assert {sample["id"]: set(sample["columns"]) for sample in found["samples"]} == {
            number: set(change) for number, change in enumerate(CHANGES, 1)
        }


def test_two_texts_with_one_crc32_are_still_told_apart(db, twin, compared):
    twin("id INT PRIMARY KEY, name VARCHAR(20)", rows=["1, 'plumless'", "2, 'same'"])
    assert db.value("SELECT CRC32('plumless') = CRC32('buckeroo')") == 1
    db.run(f"UPDATE {ATTIC}.things SET name = 'buckeroo' WHERE id = 1")
    assert numbers(compared()) == (0, 0, 1)


def test_a_table_without_a_key_is_counted_and_summed(db, twin, compared):
    twin("name VARCHAR(20)", rows=["'b'", "'b'"])
    assert "the same rows" in compared()["note"]
    # Two rows that are replaced by two others, which an exclusive or alone does not see.
    db.run(f"UPDATE {ATTIC}.things SET name = 'a'")
    found = compared()
    assert "which ones cannot be told" in found["note"]
    assert (numbers(found), found["rows"]) == ((None, None, None), {"left": 2, "right": 2})
    assert "no columns identify a row" in found["how"]


KINDS = {
    "id INT AUTO_INCREMENT PRIMARY KEY": lambda n: (str(n),),
    "id BIGINT PRIMARY KEY": lambda n: (str((n - 20) * 10**15),),
    "id VARCHAR(40) COLLATE utf8mb4_unicode_ci PRIMARY KEY": lambda n: (f"'key {n}'",),
    "id BINARY(2) PRIMARY KEY": lambda n: (f"X'{n:04x}'",),
    "id INT, x CHAR(9), d DATE, PRIMARY KEY (id, x, d)": lambda n: (
        str(n % 3),
        f"'{chr(97 + n % 5)}'",
        f"'2026-01-{1 + n % 28:02d}'",
    ),
    "id INT NOT NULL, x INT NOT NULL, UNIQUE u (id, x)": lambda n: (str(n % 4), str(n)),
}
SIDES = st.dictionaries(st.integers(0, 39), st.sampled_from(["p", "q", None]), max_size=30)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=SIDES, right=SIDES, same=st.booleans(), rows=st.integers(2, 7))
def test_exactly_the_differences_whatever_the_key(db, twin, compared, kind, left, right, same, rows):
    """Against the same question asked of two dictionaries, with ranges so small that there are many."""
    if same:
        right = {**left, **dict(list(right.items())[:2])}
    for schema in ("blazz", ATTIC):
        db.run(f"DROP TABLE IF EXISTS {schema}.things")
    twin(f"{kind}, v VARCHAR(9)")
    key = KINDS[kind]
    sides = [{key(n): value for n, value in side.items()} for side in (left, right)]
    for schema, side in zip(("blazz", ATTIC), sides):
        for values, value in side.items():
            db.run(f"INSERT INTO {schema}.things VALUES ({', '.join(values)}, {db.literal(value)})")
    found = compared(bounds={"rows": rows, "ids": 50})
    both = set(sides[0]) & set(sides[1])
    assert numbers(found) == (
        len(set(sides[0]) - both),
        len(set(sides[1]) - both),
        sum(sides[0][values] != sides[1][values] for values in both),
    )
    assert [len(found["ids"][kind]) for kind in ("deleted", "new", "changed")] == list(numbers(found))
    assert found["rows"] == {"left": len(sides[0]), "right": len(sides[1])}


def test_unevenly_spread_keys_are_divided(db, twin, compared):
    twin("id BIGINT PRIMARY KEY, v INT", rows=[*(f"{n}, 1" for n in range(1, 60)), f"{10**17}, 1"])
    db.run("ANALYZE TABLE blazz.things, blazz__attic_1.things")
    db.run(f"UPDATE {ATTIC}.things SET v = 0 WHERE id IN (7, 40)")
    found = compared(bounds={"rows": 4})
    assert (numbers(found), found["ids"]["changed"], found["how"]) == ((0, 0, 2), [7, 40], "checksums")


def test_most_ranges_differ(db, twin, compared):
    twin("id BIGINT PRIMARY KEY, v INT", rows=[f"{n}, {n}" for n in range(1, 60)])
    db.run("ANALYZE TABLE blazz.things, blazz__attic_1.things")
    db.run(f"UPDATE {ATTIC}.things SET v = 0 WHERE id > 12")
    db.run("DELETE FROM blazz.things WHERE id = 3")
    found = compared(bounds={"rows": 4, "ids": 5, "samples": 2})
    assert (numbers(found), found["ids"]["new"]) == ((0, 1, 47), [3])
    assert "most ranges differ" in found["how"]
    assert (len(found["ids"]["changed"]), len(found["samples"])) == (5, 2)


def test_keys_that_sort_differently_on_the_two_sides(db, twin, compared):
    rows = ["'b', 1", "'B2', 1", "'a', 1", "'é', 1", "'f', 1", "'_', 1"]
    twin(
        "id VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY, v INT",
        "id VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY, v INT",
        rows,
    )
    assert numbers(compared(bounds={"rows": 2})) == (0, 0, 0)
    db.run(f"DELETE FROM {ATTIC}.things WHERE id = 'B2'")
    db.run("DELETE FROM blazz.things WHERE id = 'é'")
    db.run("UPDATE blazz.things SET v = 2 WHERE id = 'f'")
    found = compared(bounds={"rows": 2})
    assert (numbers(found), found["rows"]) == ((1, 1, 1), {"left": 5, "right": 5})
    assert "sort their keys differently" in found["how"]


def test_texts_of_another_character_set_and_numbers_of_another_type_are_the_same(db, twin, compared):
    twin(
        "id INT PRIMARY KEY, name VARCHAR(20), n INT, d DECIMAL(10,2), v VARCHAR(9)",
        "id BIGINT UNSIGNED PRIMARY KEY, name VARCHAR(40) CHARACTER SET latin1,"
        " n BIGINT NOT NULL, d DECIMAL(10,4), v INT",
        ["1, 'é', 5, 1.5, '7'", "2, 'a', 5, 1.5, '8'"],
    )
    assert numbers(compared()) == (0, 0, 0)
    db.run(f"UPDATE {ATTIC}.things SET name = 'è', d = 1.5001, v = 9 WHERE id = 1")
    assert compared()["samples"] == [{"id": 1, "columns": ["name", "d", "v"]}]


def test_columns_of_one_side_are_named_and_not_compared(db, twin, compared):
    twin("id INT PRIMARY KEY, gone INT, v INT", "id INT PRIMARY KEY, v INT, added INT, made INT AS (v + 1) VIRTUAL")
    db.run("INSERT INTO blazz.things VALUES (1, 5, 6)")
    db.run(f"INSERT INTO {ATTIC}.things (id, v, added) VALUES (1, 6, 7)")
    found = compared()
    assert (numbers(found), found["columns"]) == ((0, 0, 0), {"left": ["gone"], "right": ["added"]})


def test_values_are_never_told(db, twin, compared):
    secret = "canary-7f3a"
    twin("id VARCHAR(60) PRIMARY KEY, v VARCHAR(60)", rows=[f"'{secret}@example.org', '{secret}'"])
    twin("id CHAR(36) PRIMARY KEY, v INT", rows=["'0b7d1c2e-1111-4222-8333-123456789abc', 1"], name="named")
    db.run(f"UPDATE {ATTIC}.things SET v = '{secret} too'")
    db.run(f"INSERT INTO {ATTIC}.things VALUES ('{secret}', '')")
    db.run(f"UPDATE {ATTIC}.named SET v = 2")
    found = compared(table=None)
    assert numbers(found["tables"]["things"]) == (0, 1, 1)
    assert found["tables"]["things"]["ids"]["new"] == ["(text)"]
    assert found["tables"]["named"]["ids"]["changed"] == ["0b7d1c2e-1111-4222-8333-123456789abc"]
    assert secret not in json.dumps(found)


def test_policies_decide_what_is_looked_at(db, twin, compared):
    for name in ("cache", "migrations", "jobs", "mine", "left_only"):
        twin("id INT AUTO_INCREMENT PRIMARY KEY, v INT", rows=["1, 1"], name=name)
        db.run(f"INSERT INTO {ATTIC}.{name} VALUES (2, 2)")
    db.run(f"DROP TABLE {ATTIC}.left_only")
    policies = Policies.of([{"table": "mi[n]e", "policy": "ignore"}, {"table": "nothing", "policy": "keep"}])
    found = compared(table=None, policies=policies)
    tables = found["tables"]
    assert found["unused"] == ["nothing"]
    assert {name: (entry["policy"], entry["new"]) for name, entry in tables.items()} == {
        "cache": ("ignore", None),
        "mine": ("ignore", None),
        "migrations": ("keep", None),
        "jobs": ("merge", 1),
        "left_only": ("merge", None),
    }
    assert tables["cache"]["rows"] == {"left": None, "right": None}
    assert tables["migrations"]["rows"] == {"left": 1, "right": 2}
    assert (tables["left_only"]["rows"], tables["left_only"]["note"]) == (
        {"left": 1, "right": None},
        "only left has this table",
    )
    assert list(compared(table=None, tables=("jobs",))["tables"]) == ["jobs"]
    with pytest.raises(RollbackError, match=r"Neither schema has this table.*nowhere"):
        compared(table=None, tables=("nowhere",))


def test_what_was_not_looked_at_in_time_is_told(db, twin, compared):
    twin("id INT PRIMARY KEY, v INT", rows=["1, 1"])
    found = compared(table=None, bounds={"seconds": 0})
    assert not found["complete"]
    assert "not finished within 0 s" in found["tables"]["things"]["note"]


def test_a_query_that_takes_too_long_is_told_and_the_next_table_looked_at(server, db, twin, compared):
    twin("id INT PRIMARY KEY, v INT", rows=["1, 1"], name="held")
    twin("id INT PRIMARY KEY, v INT", rows=["1, 1"])
    with server.connect() as other:
        other.run("LOCK TABLES blazz.held WRITE")
        found = compared(table=None, limit=1)
    assert {name: entry["complete"] for name, entry in found["tables"].items()} == {"held": False, "things": True}
    assert "took longer" in found["tables"]["held"]["note"]


def test_new_rows_by_key_alone(db, twin, compared):
    twin("id INT AUTO_INCREMENT PRIMARY KEY, v INT", rows=["1, 1", "5, 5"])
    twin("id CHAR(9) PRIMARY KEY", rows=["'a'"], name="named")
    db.run(f"INSERT INTO {ATTIC}.things VALUES (3, 3), (6, 6), (7, 7)")
    found = compared(table=None, look=new_rows_only)
    # Row 3 came late with a low key: the price of taking no time.
    assert (numbers(found["tables"]["things"]), found["tables"]["things"]["ids"]["new"]) == ((None, 2, None), [6, 7])
    assert "cannot be told by their key" in found["tables"]["named"]["note"]
    # The live side went on with ids far above the gap.
    db.run("INSERT INTO blazz.things VALUES (1000, 0)")
    assert compared(look=new_rows_only)["new"] == 0
    assert compared(look=new_rows_only, starts={"things": 6})["ids"]["new"] == [6, 7]


def test_the_module_reads_only_and_refuses_what_is_not_there(db, twin, module):
    twin("id INT AUTO_INCREMENT PRIMARY KEY, v INT", rows=["1, 1"])
    db.run(f"INSERT INTO {ATTIC}.things VALUES (2, 2)")
    found = module("database_compare", left="blazz", right=ATTIC)
    assert (found["changed"], found["complete"], numbers(found["tables"]["things"])) == (False, True, (0, 1, 0))
    starts = {"things": 2}
    assert (
        module("database_compare", left="blazz", right=ATTIC, new_only=True, starts=starts)["tables"]["things"]["new"]
        == 1
    )
    assert "does not exist" in module("database_compare", left="blazz", right="nowhere")["msg"]
    assert "with itself" in module("database_compare", left="blazz", right="blazz")["msg"]
    wrong = [{"table": "things", "policy": "keep"}, {"table": "things", "policy": "merge"}]
    assert "two policies" in module("database_compare", left="blazz", right=ATTIC, policies=wrong)["msg"]
    assert db.value(f"SELECT COUNT(*) FROM {qualified('blazz', 'things')}") == 1
