"""What a newer schema asks of older code: code that does not know a column gives it no value."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import Column
from ansible_collections.campaign.rollback.plugins.module_utils.database_migrations import demands

KIND = Column("kind", "varchar(20)", False, "'standard'", "", None, None, "")
ID = Column("id", "bigint", False, None, "auto_increment", None, None, "")
OLD = {"campaigns": {"id": ID}}


@pytest.mark.parametrize(
    ("changes", "demanded"),
    [
        ({}, []),
        ({"default": None}, ["column campaigns.kind must have a value"]),
        ({"default": None, "nullable": True}, []),
        ({"default": None, "expression": "upper(name)"}, []),
        ({"default": None, "extra": "auto_increment"}, []),
    ],
)
def test_a_column_that_the_older_code_does_not_know(changes, demanded):
    live = {"campaigns": {"id": ID, "kind": dataclasses.replace(KIND, **changes)}}
    assert demands(live, OLD) == demanded


def test_what_the_older_code_knows_has_to_be_there():
    assert demands({"campaigns": {}}, {**OLD, "notes": {}}) == [
        "table notes is missing",
        "column campaigns.id is missing",
    ]


def test_a_table_that_it_does_not_know_asks_nothing():
    assert demands({**OLD, "options": {"kind": dataclasses.replace(KIND, default=None)}}, OLD) == []
