"""Measure what the triggers of a rollback read of large logs, beside grep and awk; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from figures import Figures
from servers import ROOT

UTC = datetime.timezone.utc
#: The window begins with a minute, so that grep can name it.
NOW = datetime.datetime(2026, 11, 22, 7, 59, 59, 500000, tzinfo=UTC).timestamp()
WINDOW_S = 600
MINUTES = "07:5[0-9]:[0-9][0-9]"
SECONDS = int(NOW) - 86400 + 1, int(NOW) + 1
STATUSES = [200] * 90 + [302, 304, 404, 422, 499, 500, 500, 502, 503]

#: Counts in a process of its own, because its memory is a figure; says what it found and how much it took.
READER = """
import json, sys, time
from ansible_collections.campaign.rollback.plugins.module_utils import trigger_access, trigger_laravel
began, used = time.perf_counter(), time.process_time()
path, kind, now, window_s = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
if kind == "access":
    window = trigger_access.Window(now, window_s)
    series, problem = trigger_access.read(path, window, now - window_s)
    found = [sum(row[2] for row in series[0].rows), sum(row[3] for row in series[0].rows)]
    found.append(round(1000 * sum(row[5] for row in series[1].rows)))
else:
    import datetime
    window = trigger_laravel.Window(now, window_s, datetime.timezone.utc, {"campaigns": "campaign"})
    series, problem = trigger_laravel.read([path], window, now - window_s)
    found = [sum(row[3] for row in one.rows) for one in series if one.measure == "errors"]
took, cpu = time.perf_counter() - began, time.process_time() - used
# The peak of the same program: ru_maxrss of a forked one begins with what its parent had.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"found": found, "problem": problem, "mb": int(peak) / 1024, "s": took, "cpu_s": cpu}))
"""

AWK_ACCESS = (
    'BEGIN { from = "[22/Nov/2026:07:50:00" } $4 >= from && $9 != 499 && !($9 == 503 && $NF == "urt=\\"-\\"")'
    ' { n++; if ($9 >= 500) e++; ms += 1000 * substr($(NF - 1), 4) } END { printf "%d %d %.0f\\n", n, e, ms }'
)
AWK_LARAVEL = (
    f"/^\\[2026-11-22 {MINUTES}\\] [a-z]+\\.(ERROR|CRITICAL|ALERT|EMERGENCY): /"
    ' { n++; if (tolower($0) ~ /campaign/) c++ } END { printf "%d %d\\n", n, c }'
)
GREP_ACCESS = f'\\[22/Nov/2026:{MINUTES} [^]]*\\] "[^"]*" 5'
GREP_LARAVEL = f"^\\[2026-11-22 {MINUTES}\\] [a-z]+\\.(ERROR|CRITICAL|ALERT|EMERGENCY): "


def access_second(drawn: random.Random, lines: int) -> bytes:
    """What is logged in a second, with @ where its time goes."""
    found = []
    for _line in range(lines):
        status = drawn.choice(STATUSES)
        took = f"{min(9.999, drawn.expovariate(8)):.3f}"
        upstream = "-" if status == 503 else took
        found.append(
            f'192.0.2.{drawn.randrange(250)} - - [@] "GET /api/campaigns/{drawn.randrange(5000)}?page=2'
            f' HTTP/1.1" {status} {drawn.randrange(90000)} "https://app.example.com/campaigns"'
            f' "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0" rt={took} urt="{upstream}"\n'
        )
    return "".join(found).encode()


def laravel_second(drawn: random.Random, records: int) -> bytes:
    """What Laravel logs in a second: every other record with a stack trace."""
    found = []
    for _record in range(records):
        level = drawn.choice(("INFO", "WARNING", "ERROR", "ERROR", "CRITICAL"))
        text = drawn.choice(("HybridCampaign lost its type", "SQLSTATE[42S22]: Column not found", "no route"))
        found.append(f"[@] production.{level}: {text} ")
        trace = [
            f"#{one} /srv/campaign/vendor/laravel/framework/src/Illuminate/Pipeline.php({one * 7}): call()"
            for one in range(40)
        ]
        long = level in ("ERROR", "CRITICAL")
        found.append(
            '{"exception":"[object] (App\\\\Broken(code: 0)\n[stacktrace]\n' + "\n".join(trace) + '\n"} \n'
            if long
            else "{}\n"
        )
    return "".join(found).encode()


def generate(path: pathlib.Path, size: float, form: str, second) -> None:
    """24 hours of a log with a daily peak, about ``size`` bytes; the end is as busy as the average."""
    drawn = random.Random(5)
    stamp = len(datetime.datetime.fromtimestamp(0, UTC).strftime(form))
    # Each has one stamp in the place of one character.
    sample = len(second(drawn, 1000)) / 1000 + stamp - 1
    average = size / 86400 / sample
    made = {}
    with open(path, "wb") as stream:
        owed = 0.0
        for at in range(*SECONDS):
            owed += average * (1 + 0.6 * math.sin(2 * math.pi * (SECONDS[1] - at) / 86400))
            number = int(owed)
            owed -= number
            # A few variants of each number of lines are enough for what is read, and quick to write.
            key = (number, at % 8)
            if key not in made:
                made[key] = second(drawn, number)
            stamp = datetime.datetime.fromtimestamp(at, UTC).strftime(form).encode()
            stream.write(made[key].replace(b"@", stamp))
        stream.flush()
        os.fsync(stream.fileno())


def forget(path: pathlib.Path) -> None:
    """Take the file out of the kernel's cache."""
    with open(path, "rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(argv: list[str], environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Seconds of a whole process, and what it said."""
    began = time.perf_counter()
    done = subprocess.run(argv, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode > 1:
        sys.exit(f"{argv[0]} failed: {done.stderr}")
    return took, done.stdout


def measure(path: pathlib.Path, kind: str, programs: dict[str, list[str]], figures: Figures, rounds: int) -> None:
    """One log, by the window reader and by whole scans, each with nothing and with everything in the cache."""
    reader = [sys.executable, "-c", READER, str(path), kind, str(NOW), str(WINDOW_S)]
    paths = {"PYTHONPATH": str(ROOT / "collections")}
    for number in range(rounds):
        say(f"{kind} log, round {number + 1} of {rounds}")
        for state in ("cold", "warm"):
            if state == "cold":
                forget(path)
            process, output = timed(reader, paths)
            said = json.loads(output)
            own, goal = said["s"], 1.0 if state == "cold" else None
            figures.take(f"{kind}: window of 10 minutes, {state}", own, goal=goal)
            figures.take(f"{kind}: the same with the start of Python, {state}", process, goal=goal)
            if state == "cold":
                figures.take(f"{kind}: processor time of it", said["cpu_s"])
                figures.take(f"{kind}: memory", said["mb"], unit="MB", goal=64)
            for name, argv in programs.items():
                if state == "cold":
                    forget(path)
                whole, output = timed(argv, {"LC_ALL": "C"})
                figures.take(f"{kind}: whole file, {name}, {state}", whole)
                ratio = f"{kind}: {name} / window, {state}"
                figures.take(ratio, whole / own, unit="x", goal=20.0 if state == "cold" else None, at_least=True)
                if name == "awk":
                    differ = [one - int(other) for one, other in zip(said["found"], output.split())]
                    figures.take(f"{kind}: difference from a full scan", sum(map(abs, differ)), unit="", goal=0)


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--access-gb", type=float, default=5.0, help="size of the access log of 24 hours")
    parser.add_argument("--laravel-gb", type=float, default=2.0, help="size of Laravel's log of 24 hours")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "artifacts" / "bench" / "triggers.json")
    options = parser.parse_args()
    free, needed = shutil.disk_usage(tempfile.gettempdir()).free / 1e9, options.access_gb + options.laravel_gb + 1
    if free < needed:
        parser.error(f"{free:.0f} GB free in {tempfile.gettempdir()}, {needed:.0f} needed; TMPDIR chooses another disk")
    figures = Figures()
    with tempfile.TemporaryDirectory() as place:
        access, laravel = pathlib.Path(place) / "access.log", pathlib.Path(place) / "laravel.log"
        say("writing the logs")
        generate(access, options.access_gb * 1e9, "%d/%b/%Y:%H:%M:%S +0000", access_second)
        generate(laravel, options.laravel_gb * 1e9, "%Y-%m-%d %H:%M:%S", laravel_second)
        sizes = {path.stem: round(path.stat().st_size / 1e9, 2) for path in (access, laravel)}
        programs = {"grep": ["grep", "-cE", GREP_ACCESS, str(access)], "awk": ["awk", AWK_ACCESS, str(access)]}
        measure(access, "access", programs, figures, options.rounds)
        programs = {"grep": ["grep", "-cE", GREP_LARAVEL, str(laravel)], "awk": ["awk", AWK_LARAVEL, str(laravel)]}
        measure(laravel, "laravel", programs, figures, options.rounds)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    awk = os.path.basename(os.path.realpath(shutil.which("awk") or "awk"))
    machine = {
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "awk": awk,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"gb": sizes, "machine": machine, "figures": figures.described()}, indent=2) + "\n"
    )
    print(", ".join(f"{name} {value}" for name, value in {**sizes, **machine}.items()))
    print(figures.table())


if __name__ == "__main__":
    main()
