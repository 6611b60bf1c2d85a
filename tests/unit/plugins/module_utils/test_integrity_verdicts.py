"""Verdicts, relations that names suggest, and what an error log says, without a server."""

from __future__ import annotations

import time

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import server_log
from ansible_collections.campaign.rollback.plugins.module_utils.database import Column
from ansible_collections.campaign.rollback.plugins.module_utils.database_integrity import structure_checks
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import (
    Relation,
    orphans_from,
    plurals,
    undeclared,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.server_log import (
    moment,
    numbers,
    read_file,
    read_journal,
    scan,
)
from ansible_collections.campaign.rollback.plugins.module_utils.verdicts import check, not_checked
from hypothesis import given
from hypothesis import strategies as st

NOISE = "2026-11-22  2:24:18 0 [Note] InnoDB: Buffer pool(s) load completed at 261122  2:24:18"
#: What real servers wrote, and which kind it is.
SAID = [
    ("[ERROR] InnoDB: Database page corruption on disk or a failed read of file './b/t.ibd' page [5]", "page checksum"),
    ("[ERROR] InnoDB: Failed to read page 3 from file './b/t.ibd': Page read is corrupted.", "page checksum"),
    ("[Note] InnoDB: Uncompressed page, stored checksum in field1 1, calculated checksums 2", "page checksum"),
    ("[ERROR] InnoDB: Flagged corruption of `PRIMARY` in table `b`.`t` in CHECK TABLE", "corruption"),
    ("[ERROR] mariadbd: Table './b/t' is marked as crashed and should be repaired", "corruption"),
    ("[ERROR] mariadbd got signal 6 ;", "server crash"),
    ("InnoDB: Failing assertion: page_is_leaf(page)", "server crash"),
    ("[Note] InnoDB: Starting crash recovery from checkpoint LSN=46590", "crash recovery"),
    ("[Note] [MY-013951] [InnoDB] Starting crash recovery.", "crash recovery"),
]


def column(kind="bigint(20) unsigned"):
    return Column("", kind, True, None, "", None, None, "")


def test_structure_checks():
    expected = {
        "tables": {"a": {"digest": "1"}, "b": {"digest": "2"}, "c": {}},
        "absent_tables": ["hybrid", "a"],
        "absent_columns": ["a.gone", "a.id", "none.x"],
    }
    verdicts = [entry["passed"] for entry in structure_checks(expected, {"a": "1", "b": "3"}, {"a": ["id"]})]
    assert verdicts == [True, False, False, True, False, True, False, True]


def test_numbers_are_compared_as_text_and_a_problem_is_no_pass():
    assert check("n", 0, "0")["verdict"] == "passed"
    assert check("n", None, "0")["verdict"] == "failed"
    assert check("n", 0, "0", "could not be asked")["verdict"] == "failed"
    assert not check("n", 0, "0", "could not be asked")["passed"]


@given(st.text())
def test_what_was_not_checked_has_never_passed(detail):
    made = not_checked("n", detail)
    assert (made["verdict"], made["passed"]) == ("not checked", False)


def test_orphan_query_quotes_every_name():
    relation = Relation("", ("s", "a`"), ("b", "x"), ("s", "c"), ("d", "y"))
    assert orphans_from(relation, "`s`.`a```") == (
        "FROM `s`.`a``` c LEFT JOIN `s`.`c` p ON p.`d` = c.`b` AND p.`y` = c.`x`"
        " WHERE c.`b` IS NOT NULL AND c.`x` IS NOT NULL AND p.`d` IS NULL"
    )


@pytest.mark.parametrize(
    ("word", "table"),
    [("campaign", "campaigns"), ("category", "categories"), ("day", "days"), ("box", "boxes"), ("batch", "batches")],
)
def test_a_table_has_the_plural_of_its_word(word, table):
    assert plurals(word)[0] == table
    assert word in plurals(word)


def test_relations_are_found_by_name_unless_something_else_speaks():
    columns = {
        "campaigns": {
            "id": column(),
            "owner_id": column(),
            "user_id": column("int(11)"),
            "note_id": column("char(36)"),
        },
        "users": {"id": column()},
        "notes": {"id": column()},
        "owners": {"key": column()},
        "logs": {
            "campaign_id": column(),
            "subject_id": column(),
            "subject_type": column("varchar(50)"),
            "_id": column(),
            "id": column(),
            "category_id": column("binary(16)"),
        },
        "subjects": {"id": column()},
        "categories": {"id": column("binary(16)")},
    }
    declared = [Relation("fk", ("s", "logs"), ("campaign_id",), ("s", "campaigns"), ("id",))]
    assert list(map(str, undeclared("s", columns, declared))) == [
        "campaigns.user_id refers to users.id",
        "logs.category_id refers to categories.id",
    ]
    assert "logs.campaign_id refers to campaigns.id" in map(str, undeclared("s", columns, []))


@pytest.mark.parametrize(("line", "kind"), SAID)
def test_each_kind_of_bad_news_is_known(line, kind):
    found, _first = scan([NOISE, f"2026-11-22  3:00:00 7 {line}"], 0)
    assert {finding.kind: finding.lines for finding in found if finding.lines} == {kind: (2,)}


def test_a_quiet_log_says_nothing():
    assert all(not finding.lines for finding in scan([NOISE, "", "Version: '10.11.19'  socket: '/s'  port: 0"], 0)[0])


def test_only_lines_since_then_count_and_one_without_a_time_is_as_old_as_the_one_before():
    lines = [
        "2026-11-22  2:00:00 0 [ERROR] InnoDB: corrupt",
        "corrupt too, and as old",
        "2026-11-22 12:00:00 0 [Note] fine",
        "corrupt, and as new",
        "2026-11-22 12:00:01 0 [ERROR] InnoDB: corrupt",
    ]
    since = moment("2026-11-22 12:00:00")
    found, first = scan(lines, since)
    assert {finding.kind: finding.lines for finding in found if finding.lines} == {"corruption": (4, 5)}
    assert first == moment("2026-11-22 02:00:00")


def test_times_of_both_servers_are_understood(monkeypatch):
    utc = moment("2026-11-22T02:08:07.123456Z")
    assert utc == moment("2026-11-22T04:08:07+02:00") == moment("2026-11-21 21:08:07-0500") == 1795313287
    monkeypatch.setenv("TZ", "America/Lima")
    time.tzset()
    try:
        assert moment("2026-11-21 21:08:07 0 [Note]") == moment("2026-11-21  21:08:07") == utc
    finally:
        monkeypatch.undo()
        time.tzset()
    assert moment("Version: 10") is None


def test_a_long_log_is_read_from_its_end(tmp_path):
    path = tmp_path / "error.log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    whole = read_file(str(path))
    assert (whole.whole, whole.start, len(whole.lines), whole.place) == (True, 0, 1001, str(path))
    part = read_file(str(path), window=50)
    assert not part.whole
    assert len(part.lines) <= 6
    text = path.read_text()
    assert text[part.start :].split("\n") == list(part.lines)
    assert f"behind byte {part.start}" in part.place


def test_a_log_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RollbackError, match="error log cannot be read"):
        read_file(str(tmp_path / "none"))


def test_a_journal_is_asked_for_one_unit_and_a_bounded_number_of_lines(monkeypatch):
    def run(command, **options):
        assert command[-3:] == ["--unit=mariadb.service", "--since=@100", "--lines=2"]
        assert options["timeout"] == 5
        return type("Done", (), {"stdout": "one\ntwo\n"})

    monkeypatch.setattr(server_log.subprocess, "run", run)
    log = read_journal("mariadb.service", 100.2, 5, window=2)
    assert (list(log.lines), log.whole) == (["one", "two"], False)
    assert read_journal("mariadb.service", 100.2, 5, window=2).place.startswith("journalctl")

    def missing(*_arguments, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(server_log.subprocess, "run", missing)
    with pytest.raises(RollbackError, match="journal cannot be read"):
        read_journal("mariadb.service", 100.2, 5)


def test_few_numbers_are_shown():
    assert numbers([1, 2]) == "lines 1, 2"
    assert numbers(list(range(12))) == "lines 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


@given(st.lists(st.text(max_size=60), max_size=20), st.floats(0, 2e9))
def test_no_log_breaks_the_reader(lines, since):
    found, _first = scan(lines, since)
    assert [finding.kind for finding in found] == list(server_log.KINDS)
