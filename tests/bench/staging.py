"""Backups, and copies of them brought beside the live tables, against what operators have and what the disk can do."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import subprocess

from ansible_collections.campaign.rollback.plugins.module_utils import database_physical
from ansible_collections.campaign.rollback.plugins.module_utils.database import qualified
from ansible_collections.campaign.rollback.plugins.module_utils.database_backup import back_up, opened
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import drop_schema
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected
from ansible_collections.campaign.rollback.plugins.module_utils.database_verify import verify_copy
from ansible_collections.campaign.rollback.plugins.module_utils.dump import tool
from clients import Clients, probe
from figures import Figures
from place import Place, timed

KINDS = ("physical", "logical")
ENDINGS = {"physical": "", "logical": ".sql.zst"}
OUTAGE_S = 0.5


@dataclasses.dataclass(frozen=True)
class Made:
    """A backup, its recorded files, and what is expected of a copy."""

    path: str
    files: list
    expected: Expected


def make(place: Place, kind: str, name: str):
    """Seconds that a backup took, and what the module returns of it."""
    with place.server.connect(read_only=True) as db:
        return timed(back_up, db, place.server.arguments, kind, place.schema, str(place.work / (name + ENDINGS[kind])))


def first_backups(place: Place) -> dict[str, Made]:
    """A backup of each kind of the same rows, with what a test restore of the physical one measured."""
    made = {kind: make(place, kind, kind)[1] for kind in KINDS}
    expected = place.recorded(made["physical"]["path"], made["physical"]["files"])
    return {kind: Made(found["path"], found["files"], expected) for kind, found in made.items()}


def physical_limit(place: Place, figures: Figures, source: str) -> float:
    """Seconds to copy the same bytes with sync: the physical limit of this disk, now."""
    target = place.work / "copied"
    place.settle()

    def copied():
        subprocess.run(["cp", "-r", "--reflink=never", source, target], check=True)
        subprocess.run(["sync", *target.iterdir(), target], check=True)

    taken, _none = timed(copied)
    shutil.rmtree(target)
    return figures.take("copy of the same bytes with sync (physical limit)", taken)


def plain_dump(place: Place) -> float:
    """Seconds of a plain dump of the live schema, which stays as ``plain.sql``."""
    place.settle()
    command = [tool("mariadb", "dump"), *place.server.arguments]
    command += ["--single-transaction", "--routines", "--triggers", "--events", place.schema]
    with open(place.work / "plain.sql", "wb") as stream:
        return timed(subprocess.run, command, check=True, stdout=stream)[0]


def plain_load(place: Place, made: Made) -> float:
    """Seconds of ``mariadb < plain.sql`` over tables that are there."""
    over = loaded(place, made)
    place.settle()
    with open(place.work / "plain.sql", "rb") as stream:
        command = [tool("mariadb", "client"), *place.server.arguments, over]
        taken, _none = timed(subprocess.run, command, check=True, stdin=stream)
    with place.server.connect(lock_wait_s=30) as db:
        drop_schema(db, over)
    return taken


def backups(place: Place, figures: Figures, made: Made) -> None:
    """Backups beside a plain dump."""
    plain = figures.take("plain mariadb-dump", plain_dump(place))
    for kind in KINDS:
        limit = physical_limit(place, figures, made.path)
        place.settle()
        with clocked(database_physical, "_made_durable") as digests:
            taken, result = make(place, kind, "measured")
        if kind == "physical":
            figures.take("backup physical, with prepare", taken - digests[0], limit=limit)
            figures.take(
                "backup physical, with prepare, against plain mariadb-dump", (taken - digests[0]) / plain, "times", 0.4
            )
            figures.take("backup physical: digests, and brought to disk", digests[0], limit=limit)
        else:
            figures.take("backup logical, with digest", taken, limit=limit)
            figures.take("backup logical, with digest, against plain mariadb-dump", taken / plain, "times")
        shutil.rmtree(result["path"], ignore_errors=True)
        for entry in result["files"]:
            (place.work / entry["path"]).unlink(missing_ok=True)


@contextlib.contextmanager
def clocked(module, name: str):
    """Seconds of each call of a function of ``module`` inside the ``with``."""
    original, taken = getattr(module, name), []

    def clock(*arguments):
        seconds, result = timed(original, *arguments)
        taken.append(seconds)
        return result

    setattr(module, name, clock)
    try:
        yield taken
    finally:
        setattr(module, name, original)


def staged(place: Place, figures: Figures, kind: str, made: Made, plain: float, limit: float) -> str:
    """Stage a backup; returns the schema of the copy. ``plain`` and ``limit`` in seconds, to hold it against."""
    shadow = place.name("shadow")
    whole, result = timed(place.load, made.path, shadow, made.expected, made.files)
    load = "import with sync and checkpoint" if kind == "physical" else "load"
    figures.take(f"stage {kind}: {load}", result["load_s"], limit=limit)
    goal = 40 if kind == "physical" else 4
    what = f"stage {kind} against mariadb < dump.sql"
    figures.take(what, plain / result["load_s"], "times faster", goal, at_least=True)
    if kind == "physical":
        figures.take("stage physical against the copy with sync", result["load_s"] / limit, "times", 2)
        figures.take("digests of the backup's files proven", timed(prove, place, made)[0], limit=limit)
        with place.server.connect(lock_wait_s=30) as db:
            taken, found = timed(verify_copy, db, shadow, made.expected.checksums)
        figures.take("verification of the staged copy", taken, goal=6, limit=limit)
        figures.take("verification: false alarms", len(found.wrong), "", 0)
    figures.take(f"stage {kind}, all: digests, load, verification", whole, limit=limit)
    return shadow


def loaded(place: Place, made: Made) -> str:
    """The schema of a copy."""
    shadow = place.name("shadow")
    place.load(made.path, shadow, made.expected, made.files)
    return shadow


def prove(place: Place, made: Made) -> None:
    with place.server.connect(read_only=True) as db, opened(made.path) as backup:
        backup.prove(db, made.files)


def rollback(place: Place, figures: Figures, kind: str, stage) -> str:
    """A rollback by one strategy and its undo, seen by a client; ``stage`` returns the schema to be put live.

    Returns the schema with the restored tables.
    """
    size = f"{place.gb:g} GB"
    place.settle()
    with Clients(place, f"probe-{place.next()}", probe) as clients:
        shadow = stage()
        taken, result, swapped = place.swap(shadow)
        clients.go_on()
    outage = clients.outage()
    figures.take(f"outage seen by a client, {kind}, {size}", outage, goal=OUTAGE_S)
    figures.take(f"failed statements of this client, {kind}, {size}", clients.failed(), "", 0)
    if kind == "standby":
        figures.take(f"standby: whole database part, {size}", taken, goal=0.1)
        figures.take(f"standby: its rename, {size}", result["swap_s"])
    back, undone = swapped.undo()
    if kind == "standby":
        figures.take(f"undo of the swap, all of it, {size}", back, goal=0.05)
        figures.take(f"undo of the swap, its rename, {size}", undone["swap_s"])
    lost = clients.acknowledged() - tokens(place, place.schema, clients.token)
    figures.take("acknowledged writes lost, all rollbacks and undos", len(lost), "", 0)
    return swapped.restored


def tokens(place: Place, schema: str, token: str) -> set[str]:
    """The rows of clients that are in a schema."""
    with place.server.connect() as db:
        table = qualified(schema, "campaign_logs")
        return {row[0] for row in db.rows(f"SELECT message_id FROM {table} WHERE message_id LIKE '{token}-%'")}


def drop(place: Place, schema: str) -> None:
    with place.server.connect(lock_wait_s=30) as db:
        drop_schema(db, schema)


def outages(place: Place, figures: Figures, rounds: int) -> None:
    """Rollbacks by every strategy at another size, once each, and the standby often."""
    made = first_backups(place)
    for kind in KINDS:
        restored = rollback(place, figures, kind, functools.partial(loaded, place, made[kind]))
        if kind == "physical":
            for _round in range(rounds):
                restored = rollback(place, figures, "standby", functools.partial(str, restored))
        drop(place, restored)
