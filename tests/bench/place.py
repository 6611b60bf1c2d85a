"""A server with data to roll back, and what every measurement does with it."""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import os
import pathlib
import tempfile
import time

from ansible_collections.campaign.rollback.plugins.module_utils.database import schema_info
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import checkpoint
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside, remove
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Request
from ansible_collections.campaign.rollback.plugins.module_utils.database_swap import restored_name, revert, swap
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from clients import create_account
from data import build
from servers import Server, running

#: A server as it is run in production: every commit reaches the disk, and the binary log as well.
OPTIONS = (
    "--skip-networking --log-bin=binlog --server-id=1 --binlog-format=ROW --sync-binlog=1"
    " --innodb-flush-log-at-trx-commit=1 --innodb-log-file-size=1G --max-allowed-packet=64M"
)


def pool_mb() -> int:
    """Buffer pool: a quarter of the memory, 4 GiB at most."""
    return min(4096, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 // 2**20)


def timed(work, *arguments, **more):
    """Seconds that ``work`` took, and its result."""
    began = time.monotonic()
    result = work(*arguments, **more)
    return time.monotonic() - began, result


@dataclasses.dataclass
class Place:
    """A server, its live ``schema`` with ``rows`` per table, and a directory for backups and journals."""

    server: Server
    work: pathlib.Path
    gb: float
    schema: str = "blazz"
    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    number: int = 0

    def next(self) -> int:
        self.number += 1
        return self.number

    def name(self, kind: str) -> str:
        """A new schema beside the live one."""
        return f"{self.schema}__{kind}_{self.next()}"

    def journal(self) -> Journal:
        """The journal of a run of its own."""
        return Journal(f"20261121T{self.next():06d}Z", str(self.work / "state"))

    def settle(self) -> None:
        """Let disk and memory come to rest, or a measurement would pay for the one before."""
        with self.server.connect() as db:
            db.run("RESET MASTER")
            checkpoint(db)
        os.sync()
        # A virtual machine gets its memory from the host at first use, which can take longer than what is measured.
        size = min(int(2e9 * self.gb), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // 2)
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()

    def load(self, src: str, schema: str, expected=None, files=None):
        with self.server.connect(lock_wait_s=30) as db:
            return load_beside(db, self.server.arguments, src, schema, expected or Expected(), files)

    def recorded(self, src: str, files) -> Expected:
        """What a manifest says of a backup, from a test restore."""
        schema = self.name("verify")
        loaded = self.load(src, schema, files=files)
        with self.server.connect(lock_wait_s=30) as db:
            found = schema_info(db, schema)
            remove(db, schema)
        return Expected(found["tables"], found["migrations"], loaded["checksums"])

    def swap(self, shadow: str, gap: int = 1000):
        """Put ``shadow`` live; returns the seconds of it all, its result, and what undoes it."""
        journal, attic = self.journal(), self.name("attic")
        with self.server.connect() as db:
            taken, result = timed(swap, db, journal, Request(self.schema, shadow, attic, gap=gap))
        return taken, result, Swapped(self, journal, attic)


@dataclasses.dataclass
class Swapped:
    """A swap in force."""

    place: Place
    journal: Journal
    attic: str

    @property
    def restored(self) -> str:
        """Where an undo puts the restored tables."""
        return restored_name(self.place.schema, self.attic, self.journal.run_id)

    def undo(self):
        """Seconds of it all, and its result."""
        with self.place.server.connect() as db:
            taken, result = timed(revert, db, self.journal, self.journal, self.place.schema, 2, 5)
            db.run(f"DROP DATABASE {self.attic}")
        return taken, result


@contextlib.contextmanager
def prepared(gb: float):
    """A Place with about ``gb`` GB of data; all of it is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="rollback-bench-") as work,
        running("mariadb", *OPTIONS.split(), f"--innodb-buffer-pool-size={pool_mb()}M") as server,
    ):
        place = Place(server, pathlib.Path(work), gb)
        place.rows = build(server, place.schema, gb)
        with server.connect() as db:
            create_account(db)
        yield place
