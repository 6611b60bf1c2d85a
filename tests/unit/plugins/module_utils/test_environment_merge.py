"""The merge of declared keys: what is declared is the restore point's, every other byte is the live one's."""

from __future__ import annotations

import string

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import environment, environment_merge
from ansible_collections.campaign.rollback.plugins.module_utils.environment_merge import conflicts, merge
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.sampled_from(["A", "B", "C", "D", "WHATSAPP_TOKEN"])
PLAIN = st.text(string.ascii_letters + string.digits + "+/= é\x0c", max_size=8).filter(lambda text: "\n" not in text)
QUOTED = st.text(string.ascii_letters + "'=#\n ", max_size=8).map(lambda text: f'"{text}"')
LINES = st.one_of(
    st.tuples(st.sampled_from(["", "export ", "  "]), NAMES, st.one_of(PLAIN, QUOTED)).map(
        lambda part: f"{part[0]}{part[1]}={part[2]}"
    ),
    st.sampled_from(["", "# a comment", "# A=commented out", "no key"]),
)
FILES = st.tuples(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
    lambda part: part[1].join(part[0]) + (part[1] if part[2] else "")
)
KEYS = st.sets(NAMES)


@given(FILES, FILES, KEYS)
def test_declared_keys_are_the_restore_points_and_all_others_the_live_ones(live, wanted, keys):
    before, source, after = (environment.parse(text) for text in (live, wanted, merge(live, wanted, keys)))
    assert {key: value for key, value in after.items() if key in keys} == {
        key: value for key, value in source.items() if key in keys
    }
    assert {key: value for key, value in after.items() if key not in keys} == {
        key: value for key, value in before.items() if key not in keys
    }


@given(FILES, FILES, KEYS)
def test_every_line_that_is_not_declared_stays_byte_by_byte_in_its_order(live, wanted, keys):
    def others(text):
        return [block.text.rstrip("\r\n") for block in environment.blocks(text) if block.key not in keys]

    assert others(merge(live, wanted, keys)) == others(live)


@given(FILES, FILES, KEYS)
def test_a_second_merge_changes_nothing(live, wanted, keys):
    once = merge(live, wanted, keys)
    assert merge(once, wanted, keys) == once


@given(FILES, FILES, KEYS)
def test_without_a_difference_the_file_is_exactly_the_live_one(live, wanted, keys):
    assert merge(live, live, keys) == live
    assert merge(live, wanted, []) == live


@given(FILES)
def test_the_parts_of_a_file_are_the_file(text):
    assert "".join(block.text for block in environment.blocks(text)) == text


@given(FILES, FILES, FILES)
def test_conflicts_are_keys_that_changed_on_both_sides_and_differently(base, live, wanted):
    found = conflicts(base, live, wanted)
    assert found == conflicts(base, wanted, live), "neither side counts more"
    values = [environment.parse(text) for text in (base, live, wanted)]
    for key in {key for known in values for key in known}:
        before, now, then = (known.get(key) for known in values)
        assert (key in found) == (now not in (before, then) and then != before)
    assert conflicts(base, base, wanted) == conflicts(base, live, base) == []


def test_a_removed_key_is_removed_and_an_added_one_comes_to_the_end():
    live = "# kept\nRATE_LIMIT=50\nNEWER=1\nTOKEN=wrong\nlast line without end"
    assert merge(live, "TOKEN=right\nOLD=1\n", ["RATE_LIMIT", "TOKEN", "OLD"]) == (
        "# kept\nNEWER=1\nTOKEN=right\nlast line without end\nOLD=1\n"
    )


def test_a_key_that_is_written_twice_is_taken_over_with_both_places():
    assert merge("A=1\nB=2\nA=3\n", "A=8\nA=9\n", ["A"]) == "A=8\nA=9\nB=2\n"


@pytest.mark.parametrize(
    ("live", "wanted"), [('A=1\nB="open\nC=1\n', "A=2\n"), ("A=1\n", "A='open\nB=1\n")], ids=["live", "copy"]
)
def test_a_file_whose_keys_cannot_be_told_apart_is_refused(live, wanted):
    with pytest.raises(RollbackError, match=r"never closed.*Found: [AB]\. .*Look at: /srv/\.env"):
        merge(live, wanted, ["A"], "/srv/.env")


def test_the_base_is_the_newest_copy(tmp_path):
    for point, text in {"20261114T101500Z": "A=1", "20261121T174500Z": "A=2"}.items():
        (tmp_path / point).mkdir()
        (tmp_path / point / ".env").write_text(text)
    assert environment_merge.base_of(str(tmp_path / "*" / ".env"), "A=0") == "A=2"
    assert environment_merge.base_of(str(tmp_path / "*" / "other"), "A=0") == "A=0"
    assert environment_merge.base_of("", "A=0") == "A=0"
