"""The end state of a drill system, taken without SSH, and how two of them differ."""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

HOSTS = ("web1", "web2", "data1", "wa1")
PROBE = (pathlib.Path(__file__).resolve().parent / "inside" / "probe.py").read_text(encoding="utf-8")


def probe(container: str, what: str) -> Any:
    """What inside/probe.py finds in a container; raises CalledProcessError or TimeoutExpired if it cannot look."""
    argv = ["docker", "exec", "-i", container, "python3", "-", what]
    return json.loads(
        subprocess.run(argv, input=PROBE, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    )


def take(name: str) -> dict[str, Any]:
    """Digest of the whole system ``name``: ``{host: {what: state}}``."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = dict(zip(HOSTS, pool.map(lambda host: probe(f"{name}-{host}", "digest"), HOSTS)))
    lease = found["data1"]["lease"]
    # The lease of a process of this controller that has ended holds nobody up.
    if isinstance(lease, dict) and ended(lease["process"]):
        found["data1"]["lease"] = "free"
    return found


def ended(process: dict[str, Any]) -> bool:
    """Whether a process of this machine, as the lease names it, has ended."""
    stat = pathlib.Path(f"/proc/{process.get('pid', 0)}/stat")
    try:
        return stat.read_text(errors="replace").rpartition(") ")[2].split()[19] != process.get("started")
    except OSError:
        return bool(process)


def _flat(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(state, dict) and state:
        for key, value in state.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, state


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What differs, in words, ``host.what: found instead of wanted``."""
    before, after = dict(_flat(wanted)), dict(_flat(found))
    return [
        f"{path}: {after.get(path, 'nothing')} instead of {before.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, "nothing") != after.get(path, "nothing")
    ]


def lost_rows(wanted: dict[str, list[str]], found: dict[str, list[str]]) -> int:
    """How many rows of ``wanted`` (keys by table) are missing in ``found``."""
    return sum(len(set(keys) - set(found.get(table, []))) for table, keys in wanted.items())


def settle(name: str, allowed: dict[str, dict[str, Any]], seconds: float = 20.0) -> tuple[str, list[str]]:
    """Wait until the system is in one of the allowed states.

    Returns the name of that state and nothing, or no name and what differs from the state that comes closest.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = take(name)
        distances = {label: differences(state, found) for label, state in allowed.items()}
        for label, different in distances.items():
            if not different:
                return label, []
        if time.monotonic() > deadline:
            closest = min(distances, key=lambda label: len(distances[label]))
            return "", [f"closest to {closest}"] + distances[closest]


if __name__ == "__main__":
    json.dump(take(sys.argv[1]), sys.stdout, indent=1, sort_keys=True)
