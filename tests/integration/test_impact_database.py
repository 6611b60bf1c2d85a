"""What an assessment says of a schema on a real server: figures, rows at risk, damage, copies. Reads only."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import impact_database
from ansible_collections.campaign.rollback.plugins.module_utils.database import schema_info
from ansible_collections.campaign.rollback.plugins.module_utils.database_standby import proof
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from conftest import checksums

TYPES = "SELECT campaign_type AS type, COUNT(*) AS campaigns FROM campaigns GROUP BY campaign_type"
PLAIN = "SELECT COUNT(*) AS campaigns, AVG(id) AS mean FROM campaigns"
NOTHING = {**dict.fromkeys(("queries", "orphans", "assertions", "policies", "standbys"), ()), "starts": {}}


@pytest.fixture
def look(server, db, fill):
    """Look at the usual schema as the module does; fails if it is not as before."""
    fill()

    def ask(**more):
        before = checksums(db, "blazz")
        given = {**NOTHING, "policies": [], "schema": "blazz", "seconds": 15, "statement_s": 1, **more}
        with server.connect(read_only=True, statement_s=given["statement_s"]) as own:
            found = impact_database.look(own, given)
        assert checksums(db, "blazz") == before
        return found

    return ask


def test_figures_are_those_of_the_first_statement_that_fits(look, db):
    queries = [
        {"name": "types", "sql": [TYPES, PLAIN]},
        {"name": "slow", "sql": ["SELECT SLEEP(30) AS s FROM campaigns"]},
        {"name": "writes", "sql": ["DELETE FROM campaigns"]},
        {"name": "unknown", "sql": [TYPES]},
    ]
    found = {figure["name"]: figure for figure in look(queries=queries)["figures"]}
    assert found["types"]["rows"] == [{"campaigns": 2, "mean": 1.5}]
    assert (found["slow"]["rows"], found["slow"]["problem"]) == ([], "it took too long")
    assert found["writes"]["rows"] == []
    assert "campaign_type" in found["unknown"]["problem"]
    db.run("ALTER TABLE blazz.campaigns ADD campaign_type VARCHAR(20) DEFAULT 'standard'")
    assert look(queries=queries[:1])["figures"][0]["rows"] == [{"type": "standard", "campaigns": 2}]


def test_rows_that_were_added_since_are_at_risk(look, db):
    recorded = {name: table["auto_increment"] for name, table in schema_info(db, "blazz")["tables"].items()}
    del recorded["campaign_logs"]
    db.run("CREATE TABLE blazz.hybrid_options (id INT PRIMARY KEY)")
    db.run("INSERT INTO blazz.hybrid_options VALUES (1), (2), (3)")
    db.run("CREATE TABLE blazz.settings (name VARCHAR(20) PRIMARY KEY)")
    db.run("INSERT INTO blazz.campaigns (name) VALUES ('third'), ('fourth')")
    db.run("INSERT INTO blazz.sessions VALUES ('a', 'b')")
    found = look(starts={**recorded, "settings": None})["rows_at_risk"]
    # The rows of tables that are newer count whole, those of sessions and migrations not at all.
    assert found == {
        "tables": {"campaign_logs": 40, "campaigns": 2, "hybrid_options": 3},
        "total": 45,
        "not_counted": ["settings"],
    }
    assert look()["rows_at_risk"] is None


def test_damage_is_found_and_asked_within_a_time(look, db):
    assert look()["damage"]["failed"] == []
    db.run("SET SESSION foreign_key_checks=0")
    db.run("INSERT INTO blazz.campaign_logs (campaign_id, message_id) VALUES (99, 'x'), (98, 'y')")
    found = look(assertions=[{"name": "no draft", "query": "SELECT COUNT(*) FROM campaigns", "expect": "3"}])["damage"]
    assert [(one["found"], one["expected"]) for one in found["failed"]] == [("2", "0"), ("2", "3")]


def test_copies_that_are_kept(look, db, fill):
    assert (look()["standby"], look()["attics"]) == ({}, {})
    fill("blazz__standby")
    fill("blazz__attic_20261121T174500Z")
    recorded = {"id": "20261121T174500Z", "standby": proof(db, "blazz__standby")}
    found = look()
    assert set(found["attics"]) == {"blazz__attic_20261121T174500Z"}
    # Of no restore point that is known.
    assert (found["standby"]["point"], found["standby"]["untouched"]) == ("", False)
    until = db.value("SELECT NOW() + INTERVAL 2 SECOND")
    while db.value("SELECT NOW()") < until:
        continue  # the server tells times in whole seconds
    recorded["standby"] = proof(db, "blazz__standby")
    assert impact_database.standby(db, "blazz", [recorded])["untouched"] is True
    db.run("INSERT INTO blazz__standby.sessions VALUES ('a', 'b')")
    found = impact_database.standby(db, "blazz", [recorded])
    assert (found["point"], found["untouched"]) == ("20261121T174500Z", False)


def test_a_schema_that_is_not_there(look):
    with pytest.raises(RollbackError, match="does not exist"):
        look(schema="nowhere")
