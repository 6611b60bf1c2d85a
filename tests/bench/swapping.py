"""The swap while others read and write."""

from __future__ import annotations

from clients import READ_ONLY, Clients, read, write
from figures import Figures
from place import Place
from staging import tokens

TRIGGERS = (
    "CREATE TRIGGER {0}.lower BEFORE INSERT ON {0}.campaign_logs FOR EACH ROW SET NEW.status = LOWER(NEW.status)",
    "CREATE TRIGGER {0}.note_time BEFORE UPDATE ON {0}.campaigns FOR EACH ROW SET NEW.updated_at = '2026-11-21'",
)


def under_load(place: Place, figures: Figures, standby: str, triggers: bool) -> str:
    """Swap ``standby`` in with 4 writers and 4 readers at work, and back; returns where the restored tables are."""
    name = "swap, 4 writers and 4 readers, with triggers" if triggers else "swap, 4 writers and 4 readers"
    with Clients(place, f"load-{place.next()}", *[write] * 4, *[read] * 4) as clients:
        # Writers that nothing holds back use up the usual gap while the rename waits.
        _taken, result, swapped = place.swap(standby, gap=1_000_000)
        clients.go_on()
    figures.take(f"{name}: rename", result["swap_s"] * 1000, "ms", 50)
    figures.take(f"{name}: failed statements", clients.failed(), "", 0)
    figures.take(f"{name}: retried deadlocks", clients.failed(1213), "")
    if triggers:
        figures.take(f"{name}: writes frozen", result["frozen_s"], goal=2)
        figures.take(f"{name}: longest pause between commits of a writer", clients.longest_pause(), goal=2)
        figures.take(f"{name}: writes refused meanwhile", clients.failed(READ_ONLY), "")
        figures.take(f"{name}: failed reads", clients.failed(read=True), "", 0)
    figures.take(f"{name}: longest read", clients.slowest(read=True), goal=0.5)
    figures.take(f"{name}: acknowledged writes", len(clients.acknowledged()), "")
    found = tokens(place, place.schema, clients.token) | tokens(place, swapped.attic, clients.token)
    figures.take(f"{name}: acknowledged writes lost", len(clients.acknowledged() - found), "", 0)
    swapped.undo()
    found = tokens(place, place.schema, clients.token) | tokens(place, swapped.restored, clients.token)
    figures.take(f"{name}: lost after the undo", len(clients.acknowledged() - found), "", 0)
    return swapped.restored


def create_triggers(place: Place, *schemas: str) -> None:
    with place.server.connect() as db:
        for schema in schemas:
            for statement in TRIGGERS:
                db.run(statement.format(schema))
