"""Find the rows that two copies differ in, and bring later rows back."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils.database import read_tables
from ansible_collections.campaign.rollback.plugins.module_utils.database_compare import (
    Request,
    compare,
    new_rows_only,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_recover import kept_schema, recover
from ansible_collections.campaign.rollback.plugins.module_utils.recovery_plan import Request as Recovery
from clients import Clients, Session
from figures import Figures
from place import Place, timed

TABLE = "campaign_logs"
LATER, CAMPAIGNS = 10_000, 100
MARK = "later-"


def differ(place: Place, schema: str) -> dict[str, int]:
    """Change few rows of a copy, most of them young, and one in 120,000 anywhere; returns how many of each kind."""
    with place.server.connect(lock_wait_s=30) as db:
        highest = int(db.value(f"SELECT MAX(id) FROM {schema}.{TABLE}"))
        young = highest - highest // 100
        db.run(f"USE {schema}")
        db.run("SET SESSION sql_log_bin=0")
        deleted = db.run(f"DELETE FROM {TABLE} WHERE id BETWEEN {young} AND {young + 299}")
        changed = db.run(
            f"UPDATE {TABLE} SET status = 'seen' WHERE id BETWEEN {young + 1000} AND {young + 1949}"
            f" OR (id < {young} AND id % 120000 = 1)"
        )
        new = later_rows(db, highest, 5000)
    return {"deleted": deleted, "new": new, "changed": changed}


def later_rows(db, highest: int, rows: int) -> int:
    return db.run(
        f"INSERT INTO {TABLE} (id, campaign_id, contact_id, message_id, status, created_at)"
        f" SELECT {highest} + seq, 1 + seq % {CAMPAIGNS}, seq, CONCAT('{MARK}', seq), 'sent', '2026-11-21'"
        f" FROM seq_1_to_{rows}"
    )


def compared(place: Place, figures: Figures, other: str, known: dict[str, int]) -> None:
    """Compare live and another copy, whose differences are ``known``."""
    rows = f"{place.rows[TABLE] / 1e6:g} M"
    request = Request(place.schema, other, tables=(TABLE,))
    with place.server.connect(read_only=True) as db:
        taken, found = timed(compare, db, request)
    figures.take(f"find deleted, new and changed rows in {rows}, few changed", taken, goal=10)
    wrong = sum(abs(found["tables"][TABLE][kind] - count) for kind, count in known.items())
    figures.take("rows that this got wrong", wrong, "", 0)
    with place.server.connect(read_only=True) as db:
        taken, found = timed(new_rows_only, db, request)
    figures.take("new rows by key", taken, goal=0.1)
    figures.take("rows that this got wrong, by key", abs(found["tables"][TABLE]["new"] - known["new"]), "", 0)


def write_beside(session: Session, count: int) -> None:
    """A row for a campaign that the later rows belong to, and a change of that campaign."""
    session.run(session.row(f"{session.token}-{count}"))
    session.run(f"UPDATE campaigns SET note = '{count}' WHERE id = {1 + session.random.randrange(CAMPAIGNS)}")


def merged(place: Place, figures: Figures, standby: str, rounds: int) -> str:
    """Write later rows, roll back, and bring them back beside a writer; returns where the restored tables are."""
    with place.server.connect(lock_wait_s=30) as db:
        starts = {name: table.auto_increment for name, table in read_tables(db, [place.schema])[place.schema].items()}
        db.run(f"USE {place.schema}")
        parents, children = starts["campaigns"] - 1, starts[TABLE] - 1
        db.run(f"INSERT INTO campaigns (id, name) SELECT {parents} + seq, 'later' FROM seq_1_to_{CAMPAIGNS}")
        later_rows(db, children, LATER - CAMPAIGNS)
        # Half of them belong to campaigns that are later themselves.
        db.run(f"UPDATE {TABLE} SET campaign_id = campaign_id + {parents} WHERE id > {children} AND id % 2")
    _taken, _result, swapped = place.swap(standby)
    for _round in range(rounds):
        journal = place.journal()
        kept = kept_schema(place.schema, journal.run_id)
        request = Recovery(place.schema, swapped.attic, kept, starts=starts)
        with Clients(place, f"beside-{place.next()}", write_beside) as clients, place.server.connect() as db:
            taken, found = timed(recover, db, journal, request)
        brought = sum(table["brought"] for table in found["tables"].values())
        figures.take(f"merge {LATER} later rows", taken, goal=5)
        figures.take("later rows that did not come back", LATER - brought, "", 0)
        figures.take("merge: longest lock, by its own account", found["longest_s"], goal=0.2)
        figures.take("merge: longest wait of a writer beside it", clients.slowest(read=False), goal=0.2)
        figures.take("merge: failed statements of this writer", clients.failed(), "", 0)
        with place.server.connect(lock_wait_s=30) as db:
            db.run(f"USE {place.schema}")
            db.run(f"DELETE FROM {TABLE} WHERE message_id LIKE '{MARK}%'")
            db.run(f"DELETE FROM campaigns WHERE id > {parents} AND name = 'later'")
            db.run(f"DROP DATABASE `{kept}`")
    swapped.undo()
    return swapped.restored
