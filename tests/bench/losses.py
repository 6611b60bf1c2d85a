"""Damaged backups: whether each is found before it goes live, and whether a sound one is left in peace."""

from __future__ import annotations

import pathlib
import shutil
import tempfile

from ansible_collections.campaign.rollback.plugins.module_utils.database_files import drop_schema
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import load_beside
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from damage import CAUGHT, SHADOW, Damaged, caught, make_backups
from figures import Figures
from servers import running


def damages(figures: Figures) -> None:
    """Every kind of damage, once after and once before its digests were recorded."""
    with (
        tempfile.TemporaryDirectory(prefix="rollback-bench-") as work,
        running("mariadb", "--skip-networking") as server,
    ):
        base = pathlib.Path(work)
        files, expected = make_backups(server, base)
        found = {}
        for what in CAUGHT:
            shutil.copytree(base / "whole", base / "copy")
            getattr(Damaged(base / "copy", base / "older"), what)()
            found[what] = (refused(server, base / "copy", expected, files), bool(alarms(server, base, expected)))
            shutil.rmtree(base / "copy")
    sound = found.pop("nothing")
    for number, when in enumerate(("digests recorded before", "digests recorded after")):
        missed = sum(not signs[number] for signs in found.values())
        figures.take(f"{len(found)} kinds of damage, {when}: not found", missed, "", 0)
    figures.take("false alarms on a sound backup", sum(sound), "", 0)


def alarms(server, base, expected) -> set[str]:
    with server.connect() as db:
        found = caught(server, db, base / "copy", expected)
        drop_schema(db, SHADOW)
    return found


def refused(server, directory, expected, files) -> bool:
    """Whether a load of the damaged backup is refused by its recorded digests."""
    with server.connect() as db:
        try:
            load_beside(db, server.arguments, str(directory), SHADOW, expected, files)
        except RollbackError:
            return True
        drop_schema(db, SHADOW)
    return False
