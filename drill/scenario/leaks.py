"""Finds secrets of a drill system where they must not be: in output, in files, in arguments of processes.

A finding names the secret and how it was written, never its value. Secrets reach the programs that search on a host
through standard input, so the search itself leaves no trace of them.
"""

from __future__ import annotations

import base64
import inspect
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from typing import Any

import yaml

PART = re.compile(r"[A-Za-z0-9]{12,}")
#: The end of a line in the middle of base64 that was wrapped.
WRAPPED = re.compile(rb"(?<=[A-Za-z0-9+/]{60})\r?\n")
#: Reads one line, the program and what it is to look for; this is all that the process list shows of it.
LOADER = "import json, sys; job = json.loads(sys.stdin.readline()); exec(job['program']); main(job)"
#: Where the package rightly keeps what holds secrets, below its state directory.
KEPT = re.compile(
    r"(?:sessions|restore_points/[^/]+/(?:env|database)"
    r"|runs/[^/]+/(?:merged|replaced/(?:env_restore|whatsapp_session)))/"
)
#: Copies of sessions go back as they are, so they keep the owner of the live ones.
SESSIONS = re.compile(r"(?:sessions|runs/[^/]+/replaced/whatsapp_session)/")


def secrets_in(directory: pathlib.Path) -> dict[str, str]:
    """Name to value of the secrets that were made for a system."""
    return {path.name: path.read_text(encoding="utf-8").rstrip("\n") for path in sorted(directory.iterdir())}


def session_secrets(credentials: str) -> dict[str, str]:
    """Name to value of what makes a session's ``creds.json`` a key to an account."""
    found = json.loads(credentials)
    pairs = {
        "noise key": found["noiseKey"],
        "identity key": found["signedIdentityKey"],
        "signed pre-key": found["signedPreKey"]["keyPair"],
    }
    secrets = {name: pair["private"]["data"] for name, pair in pairs.items()}
    return {**secrets, "secret of the account": found["advSecretKey"]}


def base64_forms(value: str) -> dict[str, str]:
    """The characters of base64 that ``value`` alone decides, wherever it begins in what was encoded."""
    forms = {}
    for offset in range(3):
        raw = b"\0" * offset + value.encode()
        spare = len(raw) % 3
        whole = base64.b64encode(raw).decode().rstrip("=")
        # The first characters hold bits of what comes before, the last one bits of what comes after.
        inner = whole[(0, 2, 3)[offset] : -1 if spare else None]
        forms[f"base64 at {offset}"] = inner
        forms[f"base64 for URLs at {offset}"] = inner.translate(str.maketrans("+/", "-_"))
    return forms


def quoted_in_yaml(value: str, style: str) -> str:
    """``value`` between YAML's quotes, on one line."""
    text: str = yaml.safe_dump(value, default_style=style, allow_unicode=style == "'", width=sys.maxsize)
    return text.strip()[1:-1]


def encodings(value: str) -> dict[str, str]:
    """How ``value`` looks in everything that quotes or encodes, without the quotes around it."""
    return {
        "raw": value,
        "JSON": json.dumps(value)[1:-1],
        "JSON with Unicode": json.dumps(value, ensure_ascii=False)[1:-1],
        "Python": repr(value)[1:-1],
        "Python in ASCII": ascii(value)[1:-1],
        "Python bytes": repr(value.encode())[2:-1],
        "shell": value.replace("'", "'\"'\"'"),
        "shell with backslashes": value.replace("'", "'\\''"),
        "YAML, single quotes": quoted_in_yaml(value, "'"),
        "YAML, double quotes": quoted_in_yaml(value, '"'),
        "environment file": value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$"),
        "URL": urllib.parse.quote(value, safe=""),
        "URL path": urllib.parse.quote(value),
        "form": urllib.parse.quote_plus(value),
        "hexadecimal": value.encode().hex(),
        **base64_forms(value),
    }


def forms_of(value: str) -> list[tuple[str, str]]:
    """Every form in which ``value`` could leak: whole, by line, and the parts that survive any cut or quoting."""
    forms = [(form, how) for how, form in encodings(value).items()]
    lines = [line for line in value.split("\n") if PART.search(line)]
    if len(lines) > 1:
        forms += [(form, f"a line, {how}") for line in lines for how, form in encodings(line).items()]
    for part in PART.findall(value):
        forms.append((part, "a part"))
        forms += [(form, f"a part, {how}") for how, form in base64_forms(part).items()]
    return forms


class Detector:
    """Recognises secrets in any of their forms."""

    def __init__(self, secrets: dict[str, str]) -> None:
        """Know the secrets by name."""
        self.patterns: dict[str, str] = {}
        for name, value in secrets.items():
            for form, how in forms_of(value):
                self.patterns.setdefault(form, f"{name} ({how})")
        self._bytes = [(pattern.encode(), what) for pattern, what in self.patterns.items()]

    def find(self, data: bytes) -> list[str]:
        """Which secrets ``data`` holds, and how written."""
        texts = {data, WRAPPED.sub(b"", data)}
        return sorted({what for pattern, what in self._bytes for text in texts if pattern in text})

    def find_in_files(self, directory: pathlib.Path, since: float = 0) -> dict[str, list[str]]:
        """Path to what was found, for the files below ``directory`` that were written after ``since``."""
        files = [path for path in directory.rglob("*") if path.is_file() and path.stat().st_mtime >= since]
        found = {str(path): self.find(path.read_bytes()) for path in files}
        return {path: whats for path, whats in found.items() if whats}

    def job(self, program: Callable[[dict[str, Any]], None], **more: object) -> str:
        """What ``LOADER`` reads: a function of this module that stands on its own, and the patterns."""
        source = inspect.getsource(program).replace(f"def {program.__name__}(", "def main(", 1)
        # The future import spares the program the types that its signature names.
        source = "from __future__ import annotations\n" + source
        return json.dumps({"program": source, "patterns": self.patterns, **more}) + "\n"


def sample(job: dict[str, Any]) -> None:
    """Look at the arguments of all processes until standard input ends; print what was seen as JSON.

    A line on standard input is answered as soon as everything was looked at once more.
    """
    import json
    import os
    import select
    import sys
    import time

    patterns = [(pattern.encode(), what) for pattern, what in job["patterns"].items()]
    known: dict[str, bytes] = {}
    hits: set[tuple[str, str]] = set()
    scans = commands = 0
    request = "the first"
    while True:
        began = time.monotonic()
        present = {}
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{number}/cmdline", "rb", buffering=0) as stream:
                    arguments = stream.readall()
            except OSError:
                continue  # it has ended
            present[number] = arguments
            if arguments and known.get(number) != arguments:
                commands += 1
                program = os.path.basename(arguments.split(b"\0")[0])[:20].decode("utf-8", "replace")
                hits.update((program, what) for pattern, what in patterns if pattern in arguments)
        known = present
        scans += 1
        if request:
            print("looked", flush=True)
        # At most a fifth of a processor, however many processes there are.
        pause = max(0.02, 4 * (time.monotonic() - began))
        request = ""
        if select.select([sys.stdin], [], [], pause)[0]:
            request = sys.stdin.readline()
            if not request:
                break
    print(json.dumps({"scans": scans, "commands": commands, "hits": sorted(hits)}), flush=True)


def plant(job: dict[str, Any]) -> None:
    """Give all patterns to a process as its arguments until standard input ends: what ``sample`` has to find."""
    import subprocess
    import sys

    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", *job["patterns"]]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        print("planted", flush=True)
        sys.stdin.read()
        process.communicate()


def search(job: dict[str, Any]) -> None:
    """Print, as JSON, what below ``state`` holds secrets or is not private, and which world-readable file does."""
    import json
    import os
    import stat

    patterns = [(pattern.encode(), what) for pattern, what in job["patterns"].items()]
    state = job["state"]

    def found_in(path: str) -> list[str]:
        try:
            with open(path, "rb") as stream:
                data = stream.read()
        except OSError:
            return []  # it went away meanwhile
        return sorted({what for pattern, what in patterns if pattern in data})

    entries = []
    for directory, _names, files in os.walk(state):
        for name in [""] + files:
            path = os.path.join(directory, name).rstrip("/")
            status = os.lstat(path)
            holds = found_in(path) if stat.S_ISREG(status.st_mode) else []
            mode, owner = stat.S_IMODE(status.st_mode), status.st_uid
            entries.append({"path": os.path.relpath(path, state), "mode": mode, "owner": owner, "holds": holds})

    # Files of the image are older than this one, which the engine makes with the container.
    born = os.stat("/.dockerenv").st_mtime
    readable = {}
    for directory, names, files in os.walk("/"):
        names[:] = [name for name in names if os.path.join(directory, name) not in ("/proc", "/sys", state)]
        for name in files:
            path = os.path.join(directory, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH and status.st_ctime >= born:
                readable[path] = found_in(path)
    print(json.dumps({"entries": entries, "readable": readable}))


def in_container(container: str) -> list[str]:
    """The command that starts ``LOADER`` in a container."""
    return ["docker", "exec", "--interactive", container, "python3", "-c", LOADER]


def misplaced(found: dict[str, Any]) -> list[str]:
    """What a ``search`` found that must not be: secrets out of place, and what is kept but not private to root."""
    wrong = [f"{path}, readable by all, holds {holds}" for path, holds in found["readable"].items() if holds]
    for entry in found["entries"]:
        path = entry["path"]
        if entry["holds"] and not KEPT.match(path):
            wrong.append(f"{path} holds {entry['holds']}")
        if entry["mode"] & 0o077:
            wrong.append(f"{path} has mode {entry['mode']:04o}")
        if entry["owner"] != 0 and not SESSIONS.match(path):
            wrong.append(f"{path} belongs to user {entry['owner']}")
    return wrong


def search_host(container: str, detector: Detector, state: str = "/var/lib/rollback") -> dict[str, Any]:
    """What ``search`` says about one host."""
    argv = in_container(container)
    run = subprocess.run(argv, input=detector.job(search, state=state), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


class Watch:
    """Samples the process lists of containers and of the controller while the ``with`` block runs.

    ``seen`` then says for each of them how many scans there were, how many commands, and which held a secret.
    """

    def __init__(self, containers: list[str], detector: Detector) -> None:
        """Know where to look, and for what."""
        self.seen: dict[str, dict[str, Any]] = {}
        self._commands = {name: in_container(name) for name in containers}
        self._commands["controller"] = [sys.executable, "-c", LOADER]
        self._job = detector.job(sample)
        self._running: dict[str, Started] = {}

    def __enter__(self) -> Watch:
        """Wait until each sampler has looked once."""
        self._running = {place: Started(argv, self._job) for place, argv in self._commands.items()}
        self._await()
        return self

    def __exit__(self, *unused: object) -> None:
        """Stop the samplers and take over what they saw."""
        self.seen = {place: json.loads(sampler.end()) for place, sampler in self._running.items()}

    def look(self) -> None:
        """Wait until everything that runs now was looked at."""
        for sampler in self._running.values():
            sampler.say("look\n")
        self._await()

    def _await(self) -> None:
        for place, sampler in self._running.items():
            if sampler.hear() != "looked\n":
                raise RuntimeError(f"The sampler on {place} has ended")

    @property
    def hits(self) -> list[str]:
        """Where which program was started with which secret among its arguments."""
        return [f"{place}: {program} got {what}" for place, seen in self.seen.items() for program, what in seen["hits"]]


class Started:
    """A program that was handed to ``LOADER`` and talks through its standard input and output."""

    def __init__(self, argv: list[str], job: str) -> None:
        """Start it."""
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.say(job)

    def say(self, text: str) -> None:
        """Send it a line."""
        assert self._process.stdin
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def hear(self) -> str:
        """Its next line, empty if it has ended."""
        assert self._process.stdout
        return self._process.stdout.readline()

    def end(self) -> str:
        """Close its standard input; returns the rest of what it printed."""
        return self._process.communicate()[0]
