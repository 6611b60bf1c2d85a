"""The last minutes of a log of any size: its files from the newest back, each from its end, block by block.

A file is never held in memory. What was compressed cannot be read from its end and is read through, but only if it was
written to inside the window.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.log_windows import DISORDER_S

#: Bytes that are read at a time, and how much of one line is looked at.
BLOCK = 256 * 1024
MOST_LINE = 64 * 1024
#: Bytes without a line that says when it was written, after which no such line is expected any more.
MOST_UNDATED = 64 * 1024 * 1024
#: Bytes that the kernel is asked to fetch meanwhile.
AHEAD = 8 * BLOCK

_OPEN: dict[str, Callable[[str], object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_TORN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole lines of ``file`` from the byte ``offset`` on; ``written`` is when the file was last written to.

    ``backwards`` says that the next block of the file is an earlier one.
    """

    file: str
    offset: int
    lines: bytes
    written: float
    backwards: bool = True


#: Looks at a block; returns the newest time in it as Unix time, None if no line says one.
Take = Callable[[Block], "float | None"]


def series_of(path: str) -> list[list[str]]:
    """The files behind one configured path, each list newest first: ``x.log[.1 ...]`` and ``x-2026-11-22.log[.gz]``.

    logrotate numbers or dates the name's end; Laravel's channel ``daily``, and logrotate with ``extension``, put the
    date before the ending.
    """
    directory, name = os.path.split(path)
    base, ending = os.path.splitext(name)
    packed = r"(\.(?:gz|bz2|xz|zst))?"
    rotated = re.compile(re.escape(name) + r"[.-](\d[\d-]*)" + packed)
    dated = re.compile(re.escape(base) + r"-(\d[\d-]*)" + re.escape(ending) + r"(?:\.\d+)?" + packed)
    try:
        names = os.listdir(directory or ".")
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise RollbackError("A log cannot be read", found=error.strerror, where=directory) from error
    found = [_newest_first(names, rotated), _newest_first(names, dated) if ending else []]
    if name in names:
        found[0].insert(0, name)
    return [[os.path.join(directory, one) for one in own] for own in found if own]


def _newest_first(names: list[str], pattern: re.Pattern[str]) -> list[str]:
    kept: dict[int, str] = {}
    # Without a compressed twin, which is there while it is being made.
    for name in sorted(names, key=len, reverse=True):
        match = pattern.fullmatch(name)
        if match:
            number = int(match[1].replace("-", ""))
            # Small numbers count up as files age, dates count down.
            kept[number if number < 10000 else -number] = name
    return [kept[key] for key in sorted(kept)]


def read(path: str, since: float, take: Take) -> list[str]:
    """Hand everything that was logged after ``since`` (Unix time) to ``take``, and more; returns the files read.

    Blocks come newest first, those of a compressed file oldest first. Reading ends with the first block that has only
    older lines. Raises RollbackError without any log, and for one that cannot be read.
    """
    files, seen = [], set()
    for own in series_of(path):
        for name in own:
            try:
                status = os.stat(name)
                # Rotated while it was read, it has another name.
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                files.append(name)
                if _read_file(name, status.st_mtime, since, take):
                    break
            except FileNotFoundError:
                continue
            except OSError as error:
                raise RollbackError("A log cannot be read", found=error.strerror or str(error), where=name) from error
    if not files:
        raise RollbackError("There is no log", found="nothing", where=path)
    return files


def _read_file(name: str, written: float, since: float, take: Take) -> bool:
    """Whether the file reaches back beyond the window."""
    ending = os.path.splitext(name)[1]
    if ending == ".zst":
        if written < since - DISORDER_S:
            return True
        raise RollbackError("A log in this format cannot be read", found="zstd", where=name, next_step="use gzip")
    if ending in _OPEN:
        if written < since - DISORDER_S:
            return True
        try:
            with cast(BinaryIO, _OPEN[ending](name)) as stream:
                for offset, lines in forwards(stream):
                    take(Block(name, offset, lines, written, backwards=False))
        except _TORN as error:
            raise RollbackError("A compressed log is not whole", found=type(error).__name__, where=name) from error
        return False
    undated = 0
    with open(name, "rb") as stream:
        for offset, lines in backwards(stream):
            # The kernel reads ahead only forwards by itself.
            os.posix_fadvise(stream.fileno(), max(0, offset - AHEAD), AHEAD, os.POSIX_FADV_WILLNEED)
            newest = take(Block(name, offset, lines, written))
            if newest is not None and newest < since - DISORDER_S:
                return True
            undated = undated + len(lines) if newest is None else 0
            if undated > MOST_UNDATED:
                raise RollbackError(
                    "A log says nowhere when its lines were written", found="no known format", where=name
                )
    return False


def backwards(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """``(offset, whole lines)`` from the end of a file to its beginning.

    A last line without an end is still being written, and left out. Of a line longer than ``MOST_LINE`` the rest is.
    """
    end = stream.seek(0, os.SEEK_END)
    later, ended = b"", False
    while end:
        start = max(0, end - BLOCK)
        stream.seek(start)
        data = stream.read(end - start)
        if len(data) < end - start:
            raise OSError(0, "it was cut off while it was read")
        end = start
        if not ended:
            data = data[: data.rfind(b"\n") + 1]
            if not data:
                continue
            ended = True
        first = data.find(b"\n") + 1 if start else 0
        if start and not first:
            later = _shortened(data + later)
            continue
        lines = data[first:] + later
        later = _shortened(data[:first])
        if lines:
            yield start + first, lines


def _shortened(line: bytes) -> bytes:
    return line if len(line) <= MOST_LINE else line[:MOST_LINE] + b"\n"


def forwards(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """``(offset, whole lines)`` from the beginning on, as ``backwards`` in the other direction."""
    position, begins, line = 0, 0, b""
    while True:
        data = stream.read(BLOCK)
        if not data:
            return
        end = data.rfind(b"\n") + 1
        if end:
            yield begins, line + data[:end]
            begins, line = position + end, data[end:]
        else:
            line = (line + data)[:MOST_LINE]
        position += len(data)
