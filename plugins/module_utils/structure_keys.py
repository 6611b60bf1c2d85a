"""Keys apart from their tables: rows go into a table without secondary keys sooner, and a sort builds those sooner."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection

# A search index has hidden parts that are best made with the table. Shapes are few.
_KEY = re.compile(rb"  (?:UNIQUE )?KEY `")
_FOREIGN = re.compile(rb"  CONSTRAINT `(?:[^`]|``)+` FOREIGN KEY ")
_TABLE = re.compile(rb"CREATE TABLE `((?:[^`]|``)+)` \(\n")
_COUNTER = re.compile(rb"  (`(?:[^`]|``)+`) .* AUTO_INCREMENT\b")


@dataclasses.dataclass(frozen=True)
class Later:
    """Clauses for ALTER TABLE: secondary keys, and foreign keys."""

    keys: tuple[str, ...]
    foreign: tuple[str, ...]


def keys_apart(text: bytes, large: Collection[str]) -> tuple[bytes, dict[str, Later]]:
    """The statements of ``text``, as the dump tool writes them, with few keys in ``large`` tables, and what to add.

    The primary key stays and what the numbering of rows needs. A table without a primary key keeps all, because its
    rows are in the order of one of them.
    """
    made, name = b"", ""
    later: dict[str, Later] = {}
    body: list[bytes] | None = None
    for line in text.splitlines(keepends=True):
        start = _TABLE.match(line)
        if body is None:
            made += line
            if start:
                name, body = start.group(1).replace(b"``", b"`").decode(), []
        elif line.startswith(b")"):
            if name in large:
                body, later[name] = _sorted(body)
            made += b",\n".join(body) + b"\n" + line
            body = None
        else:
            body.append(line.rstrip(b"\n").rstrip(b","))
    return made, later


def _sorted(body: list[bytes]) -> tuple[list[bytes], Later]:
    counters = [match.group(1) for match in map(_COUNTER.match, body) if match]
    foreign = [line for line in body if _FOREIGN.match(line)]
    keys = []
    if any(line.startswith(b"  PRIMARY KEY ") for line in body):
        keys = [line for line in body if _KEY.match(line) and not any(b" (" + counter in line for counter in counters)]
    moved = {*foreign, *keys}
    clauses = (tuple(line.strip().decode() for line in lines) for lines in (keys, foreign))
    return [line for line in body if line not in moved], Later(*clauses)
