"""Environment files (``.env``): what may be said about them, restore and revert. Values never leave this module."""

from __future__ import annotations

import hashlib
import os

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    make_private_directory,
    write_atomically,
)
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

COMPONENT = "env_restore"


def parse(text: str) -> dict[str, str]:
    """Key to raw value; comments, blank lines and ``export`` are dropped. Raw values are for comparison only."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or "=" not in stripped:
            continue
        key, _, value = stripped.partition("=")
        key = key.strip()
        values[key[len("export ") :].strip() if key.startswith("export ") else key] = value.strip()
    return values


def read(path: str) -> str:
    """Text of an environment file; bytes that are not UTF-8 survive."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        raise RollbackError("An environment file is missing", found="nothing", where=path) from None


def text_digest(text: str) -> str:
    """Hex SHA-256 of a file with this text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def difference(live: str, wanted: str) -> dict[str, list[str]]:
    """Key names that ``wanted`` would add to, remove from or change in ``live``."""
    before, after = parse(live), parse(wanted)
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(key for key in before.keys() & after.keys() if before[key] != after[key]),
    }


def masked(before: str, after: str) -> tuple[str, str]:
    """Both files as one line a key that says whether the value differs, never what it is."""
    old, new = parse(before), parse(after)

    def text(values: dict[str, str], mark: str) -> str:
        same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
        return "".join(f"{key}=<{'unchanged' if key in same else mark}>\n" for key in sorted(values))

    return text(old, "before"), text(new, "after")


def replaced_copy(journal: Journal, path: str) -> str:
    """Where this run keeps the file it replaces at ``path``."""
    return os.path.join(journal.directory, "replaced", COMPONENT, path.strip("/").replace("/", "__"))


def keep(path: str, copy: str) -> None:
    """Copy ``path`` to ``copy``, private and durable."""
    make_private_directory(os.path.dirname(copy))
    with open(path, "rb") as stream:
        write_atomically(copy, stream.read())


def put(source: str, path: str) -> None:
    """Replace the content of ``path``; owner and mode of the live file stay."""
    status = os.stat(path)
    with open(source, "rb") as stream:
        write_atomically(path, stream.read(), status.st_mode & 0o7777, (status.st_uid, status.st_gid))


def restore(journal: Journal, path: str, source: str) -> None:
    """Replace ``path`` by ``source``; what was live is kept for the undo."""
    copy = replaced_copy(journal, path)
    keep(path, copy)
    with journal.step(COMPONENT, "switch", path, {"path": path, "source": copy}):
        put(source, path)


def revert(journal: Journal, path: str) -> bool:
    """Put the replaced file back; what is live now is kept beside it. False if there was nothing to put back."""
    steps = journal.to_undo(COMPONENT, path)
    for step in steps:
        keep(path, replaced_copy(journal, path) + ".undone")
        put(step.undo["source"], path)
        journal.undone(step.seq)
    return bool(steps)
