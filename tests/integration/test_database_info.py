"""database_info against a real server."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database import schema_info, table_digests
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def test_info_describes_a_schema(server, db, fill, module):
    fill()
    db.run("CREATE DATABASE other")
    db.run(
        "CREATE TABLE other.x (id INT PRIMARY KEY, c BIGINT UNSIGNED, CONSTRAINT fk FOREIGN KEY (c) REFERENCES"
        " blazz.campaigns (id))"
    )
    db.run("CREATE VIEW blazz.v AS SELECT id FROM blazz.campaigns")
    db.run("CREATE TRIGGER blazz.t BEFORE INSERT ON blazz.campaigns FOR EACH ROW SET NEW.name = NEW.name")
    db.run("CREATE PROCEDURE blazz.p() SELECT 1")
    db.run("CREATE EVENT blazz.e ON SCHEDULE EVERY 1 DAY DO SELECT 1")
    found = module("database_info", schema="blazz")
    assert found["engine"] == server.engine
    assert {name: table["rows"] for name, table in found["tables"].items()} == {
        "campaign_logs": 40,
        "campaigns": 2,
        "migrations": 1,
        "sessions": 0,
    }
    assert found["tables"]["campaigns"]["auto_increment"] == 3
    assert found["tables"]["sessions"]["auto_increment"] is None
    assert found["migrations"] == ["2021_01_01_create_campaigns"]
    assert found["objects"] == {"triggers": ["t"], "views": ["v"], "routines": ["p"], "events": ["e"], "sequences": []}
    assert found["foreign_keys"] == [{"name": "fk", "table": "other.x", "references": "blazz.campaigns"}]
    assert found["free_bytes"] > 0
    assert not found["changed"]


def test_a_missing_schema_is_reported_not_invented(db, module):
    found = module("database_info", schema="nowhere", rows=False)
    assert (found["exists"], found["tables"], found["migrations"]) == (False, {}, None)


def test_digests_tell_structures_apart_and_copies_not(db, fill):
    fill()
    fill("copy")
    before = table_digests(db, "blazz")
    assert before == table_digests(db, "copy")
    seen = [before["campaign_logs"]]
    for change in ("ADD KEY (status)", "MODIFY status VARCHAR(21)", "DROP FOREIGN KEY campaign_logs_ibfk_1"):
        db.run(f"ALTER TABLE blazz.campaign_logs {change}")
        seen.append(table_digests(db, "blazz")["campaign_logs"])
    assert len(set(seen)) == 4
    assert table_digests(db, "blazz")["campaigns"] == before["campaigns"]


def test_a_long_transaction_is_listed_without_its_text(server, db, fill):
    fill()
    with server.connect() as other:
        other.run("START TRANSACTION")
        other.run("UPDATE blazz.campaigns SET name = 'secret text'")
        listed = schema_info(db, "blazz", rows=False, long_transaction_s=0)["long_transactions"]
        assert [entry["id"] for entry in listed] == [other.value("SELECT CONNECTION_ID()")]
        assert "secret" not in str(listed)


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path):
    from ansible_collections.campaign.rollback.plugins.module_utils.database import Database

    with pytest.raises(RollbackError, match="No connection to the database"):
        Database(socket=str(tmp_path / "none"))
