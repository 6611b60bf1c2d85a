"""Environment files (``.env``): what may be said about them, restore and revert. Values never leave this module."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    make_private_directory,
    sha256_file,
    write_atomically,
)
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

COMPONENT = "env_restore"
ENTRY = re.compile(r"\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_.]*)\s*=(?P<value>.*)", re.ASCII | re.DOTALL)
#: A quoted value that is closed, whatever follows it on its line.
CLOSED = {
    '"': re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL),
    "'": re.compile(r"'[^']*'", re.DOTALL),
}


@dataclasses.dataclass(frozen=True)
class Block:
    """One key with the lines that it takes, or a line without one, whose ``key`` is empty.

    ``value`` is raw; ``closed`` is false if its quote never ends, and then everything after it is part of it.
    """

    key: str
    value: str
    text: str
    closed: bool = True


def blocks(text: str) -> Iterator[Block]:
    """The file in its parts, whose texts are the file again.

    A quoted value may span lines. What is not plainly a key has none, because keys are shown and a part of a value
    taken for a key would be shown with them.
    """
    # Only these end a line of such a file; splitlines() would cut a value at a form feed or a Unicode separator.
    lines = iter(re.findall(r"[^\n]*\n|[^\n]+", text))
    for line in lines:
        entry = ENTRY.fullmatch(content_of(line))
        if not entry:
            yield Block("", "", line)
            continue
        value, closed = entry["value"].lstrip(), True
        while value[:1] in CLOSED and not CLOSED[value[0]].match(value):
            following = next(lines, None)
            if following is None:
                closed = False
                break
            line += following
            value += "\n" + content_of(following)
        yield Block(entry["key"], value.rstrip(), line, closed)


def content_of(line: str) -> str:
    """A line without what ends it."""
    return line[:-2] if line.endswith("\r\n") else line[:-1] if line.endswith("\n") else line


def parse(text: str) -> dict[str, str]:
    """Key to raw value; comments, blank lines and ``export`` are dropped. Raw values are for comparison only."""
    return {block.key: block.value for block in blocks(text) if block.key}


def plain(raw: str) -> str:
    """A raw value without its quotes or trailing comment, as the application reads it."""
    if raw[:1] in ("'", '"'):
        return raw[1 : raw.find(raw[0], 1)] if raw[0] in raw[1:] else raw[1:]
    return raw.split(" #")[0].strip()


def read(path: str) -> str:
    """Text of an environment file; bytes that are not UTF-8 survive."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        raise RollbackError("An environment file is missing", found="nothing", where=path) from None


def text_digest(text: str) -> str:
    """Hex SHA-256 of a file with this text."""
    return hashlib.sha256(encoded(text)).hexdigest()


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


def unused_copy(journal: Journal, path: str, ending: str) -> str:
    """Where this run keeps what it replaces at ``path``; a name of its own, so that nothing kept is ever lost."""
    name = path.strip("/").replace("/", "__")
    copy = os.path.join(journal.directory, "replaced", COMPONENT, name + ending)
    number = 1
    while os.path.lexists(copy):
        number += 1
        copy = os.path.join(journal.directory, "replaced", COMPONENT, f"{name}{ending}.{number}")
    return copy


def keep(path: str, copy: str) -> None:
    """Copy ``path`` to ``copy``, private and durable."""
    make_private_directory(os.path.dirname(copy))
    with open(path, "rb") as stream:
        write_atomically(copy, stream.read())


def encoded(text: str) -> bytes:
    """Bytes of a file with this text, as ``read`` decodes them."""
    return text.encode("utf-8", "surrogateescape")


def put(path: str, text: str) -> None:
    """Replace the content of ``path``; owner and mode of the live file stay, and so does a link that leads to it."""
    live = os.path.realpath(path)
    status = os.stat(live)
    write_atomically(live, encoded(text), status.st_mode & 0o7777, (status.st_uid, status.st_gid))


def restore(journal: Journal, path: str, text: str) -> None:
    """Make ``text`` the content of ``path``; what was live is kept for the undo."""
    copy = unused_copy(journal, path, "")
    keep(path, copy)
    with journal.step(COMPONENT, "switch", path, {"path": path, "source": copy}):
        put(path, text)


def revert(journal: Journal, by: Journal, path: str) -> bool:
    """Put back the file that the run of ``journal`` replaced, on behalf of the run of ``by``.

    What is live now is kept with the latter. False if there was nothing to put back.
    """
    steps = journal.to_undo(COMPONENT, path)
    for step in steps:
        differs = sha256_file(path) != sha256_file(step.undo["source"])
        copy = unused_copy(by, path, ".undone")
        keep(path, copy)
        with journal.reverting(step, by, {"path": path, "source": copy}):
            if differs:
                put(path, read(step.undo["source"]))
    return bool(steps)
