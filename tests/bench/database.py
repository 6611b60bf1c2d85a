"""Measure the database engine of the rollback: everything side by side in one run; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

from figures import Figures
from losses import damages
from place import Place, prepared
from rows import compared, differ, merged
from servers import ROOT
from staging import backups, drop, first_backups, loaded, outages, physical_limit, plain_load, rollback, staged
from swapping import create_triggers, under_load

#: Free disk that is needed, as a multiple of the data: copies, backups, a dump, and binary logs; for other sizes less.
ROOM, ROOM_OTHERS = 8, 5


def machine(place: Place) -> dict[str, object]:
    """What the figures were measured on; no names."""
    device = os.stat(place.work).st_dev
    mounts = [line.split()[1:3] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    kinds = [kind for path, kind in mounts if os.path.exists(path) and os.stat(path).st_dev == device]
    system = os.statvfs(place.work)
    with place.server.connect() as db:
        version = db.version
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "file_system": kinds[-1] if kinds else "unknown",
        "disk_gb": round(system.f_blocks * system.f_frsize / 1e9),
        "free_gb": round(system.f_bavail * system.f_frsize / 1e9),
        "load_average": round(os.getloadavg()[0], 2),
        "server": version,
    }


def measure(place: Place, figures: Figures, rounds: int) -> None:
    """Everything at one size. What depends on dense ids comes before the swaps that leave wide gaps."""
    say("first backups, and a test restore")
    made = first_backups(place)
    physical = made["physical"]

    say("rows compared")
    copy = loaded(place, physical)
    known = differ(place, copy)
    for _round in range(rounds):
        compared(place, figures, copy, known)
    drop(place, copy)

    for number in range(rounds):
        say(f"backups and strategies, round {number + 1} of {rounds}")
        backups(place, figures, physical)
        plain = figures.take("mariadb < dump.sql over live tables", plain_load(place, physical))
        for kind, own in made.items():
            limit = physical_limit(place, figures, physical.path)
            stage = functools.partial(staged, place, figures, kind, own, plain, limit)
            restored = rollback(place, figures, kind, stage)
            if kind == "physical":
                restored = rollback(place, figures, "standby", functools.partial(str, restored))
            drop(place, restored)

    say("later rows brought back")
    standby = merged(place, figures, loaded(place, physical), rounds)

    for triggers in (False, True):
        say("swaps under load, with triggers" if triggers else "swaps under load")
        if triggers:
            create_triggers(place, place.schema, standby)
        for _round in range(rounds):
            standby = under_load(place, figures, standby, triggers)


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def report(figures: Figures, on: dict[str, object], gb: float, began: float, out: pathlib.Path) -> None:
    """Print the table and write the same as JSON."""
    found = {"gb": gb, "machine": on, "seconds": round(time.monotonic() - began), "figures": figures.described()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n")
    print(", ".join(f"{name} {value}" for name, value in on.items()))
    print(f"{gb:g} GB of data, {found['seconds']} s in all")
    print("The goals are meant for 2 GB on a machine that does nothing else.")
    print(figures.table())
    missed = [figure.what for figure in figures.all.values() if figure.verdict == "MISSED"]
    print(f"{len(missed)} missed" + "".join(f"\n  {what}" for what in missed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the data that everything is measured with")
    parser.add_argument(
        "--sizes", default="0.2", help="other sizes in GB for outage and standby, with commas; may be empty"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "artifacts" / "bench" / "database.json")
    options = parser.parse_args()
    sizes = [float(size) for size in options.sizes.split(",") if size and float(size) != options.gb]
    needed = max(ROOM * options.gb, ROOM_OTHERS * max(sizes, default=0)) + 4
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < needed:
        parser.error(f"{free:.0f} GB free in {tempfile.gettempdir()}, {needed:.0f} needed; TMPDIR chooses another disk")

    # The server and the data go whatever ends the run.
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit("terminated"))
    figures, began, on = Figures(), time.monotonic(), {}
    try:
        say(f"{options.gb:g} GB of data")
        with prepared(options.gb) as place:
            on = machine(place)
            measure(place, figures, options.rounds)
        for size in sizes:
            say(f"outages with {size:g} GB of data")
            with prepared(size) as place:
                outages(place, figures, options.rounds)
        say("damaged backups")
        damages(figures)
    finally:
        # What was measured before something failed is told.
        report(figures, on, options.gb, began, options.out)


if __name__ == "__main__":
    main()
