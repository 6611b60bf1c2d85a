"""Quoting, messages and relations that need no server."""

from __future__ import annotations

import re

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    ForeignKey,
    crossing,
    public_message,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(alphabet=st.sampled_from("`ab .;%'\"\\-\n*/é")) | st.text())
def test_a_quoted_name_is_one_identifier_or_refused(name):
    try:
        quoted = quote(name)
    except RollbackError:
        return
    assert re.fullmatch(r"`(?:[^`]|``)+`", quoted, re.DOTALL)
    assert quoted[1:-1].replace("``", "`") == name


@pytest.mark.parametrize("name", ["", "a\0b", "trailing ", "x" * 65, "\N{GRINNING FACE}"])
def test_impossible_names_are_refused(name):
    with pytest.raises(RollbackError, match="Not a possible name"):
        quote(name)


def test_messages_keep_names_but_no_values():
    assert public_message(1146, "Table 'blazz.x' doesn't exist") == "(1146) Table 'blazz.x' doesn't exist"
    shown = public_message(1062, "Duplicate entry 'it's +10000000001' for key 'contacts_phone'")
    assert "1000" not in shown
    assert "Duplicate entry" in shown


def test_only_constraints_with_one_end_outside_cross():
    inside = ForeignKey("inside", ("live", "logs"), ("live", "campaigns"))
    leaves = ForeignKey("leaves", ("live", "logs"), ("live", "kept"))
    enters = ForeignKey("enters", ("other", "x"), ("live", "logs"))
    elsewhere = ForeignKey("elsewhere", ("other", "x"), ("other", "y"))
    found = crossing([inside, leaves, enters, elsewhere], {("live", "logs"), ("live", "campaigns")})
    assert found == [leaves, enters]
