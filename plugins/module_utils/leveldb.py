"""What can be said of a LevelDB database without opening it: whether the tables that its manifest names are whole.

Opening it would change it, and takes its lock. The format is that of LevelDB's log_format.md and table_format.md.
Records in the tables and in the write-ahead log are not read: a log that ends in mid-record is what a kill leaves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

BLOCK = 32768
HEADER = 7
#: Last bytes of every table.
TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
#: Tags of an edit in the manifest; every other known one is a number.
COMPARATOR, COMPACT_POINTER, DELETED_FILE, NEW_FILE = 1, 5, 6, 7
NUMBERS = (2, 3, 4, 9)


class Torn(Exception):
    """The manifest is not what LevelDB wrote."""


def crc_table() -> list[int]:
    """Table of CRC-32C, which the standard library lacks."""
    table = []
    for value in range(256):
        for _bit in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


CRC = crc_table()


def masked_crc(data: bytes) -> int:
    """CRC-32C as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data: bytes) -> Iterator[bytes]:
    """Whole records of a log; a last one that was cut off is left out, as LevelDB does."""
    position, parts = 0, b""
    while position + HEADER <= len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        crc = int.from_bytes(data[position : position + 4], "little")
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        body = data[position + HEADER : position + HEADER + length]
        if len(body) < length:
            return
        if crc != masked_crc(bytes([kind]) + body):
            raise Torn("a checksum does not match")
        position += HEADER + length
        parts = body if kind in (FULL, FIRST) else parts + body
        if kind in (FULL, LAST):
            yield parts


class Reader:
    """Reads the parts of one edit."""

    def __init__(self, data: bytes) -> None:
        """Begin at the front."""
        self.data, self.position = data, 0

    def number(self) -> int:
        """The next varint."""
        value = shift = 0
        while self.position < len(self.data):
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise Torn("an edit ends early")

    def skip_bytes(self) -> None:
        """Pass over a string with its length."""
        length = self.number()
        self.position += length
        if self.position > len(self.data):
            raise Torn("an edit ends early")

    @property
    def left(self) -> bool:
        """Whether there is more."""
        return self.position < len(self.data)


def live_tables(manifest: bytes) -> dict[int, int]:
    """Size in bytes of each table that the manifest names as live, by file number."""
    sizes: dict[int, int] = {}
    for record in records(manifest):
        edit = Reader(record)
        while edit.left:
            tag = edit.number()
            if tag in NUMBERS:
                edit.number()
            elif tag == COMPARATOR:
                edit.skip_bytes()
            elif tag == COMPACT_POINTER:
                edit.number()
                edit.skip_bytes()
            elif tag == DELETED_FILE:
                edit.number()
                sizes.pop(edit.number(), None)
            elif tag == NEW_FILE:
                edit.number()
                file_number = edit.number()
                sizes[file_number] = edit.number()
                edit.skip_bytes()
                edit.skip_bytes()
            else:
                raise Torn(f"an edit has the unknown tag {tag}")
    return sizes


def check_table(path: str, number: int, size: int) -> str:
    """Why a live table cannot be used; empty if it can."""
    for name in (f"{number:06d}.ldb", f"{number:06d}.sst"):
        try:
            with open(os.path.join(path, name), "rb") as stream:
                found = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, found - len(TABLE_MAGIC)))
                ending = stream.read()
        except FileNotFoundError:
            continue
        if found != size:
            return f"{name} has {found} bytes, the manifest says {size}"
        return "" if ending == TABLE_MAGIC else f"{name} does not end as a table does"
    return f"{number:06d}.ldb is missing"


def check(path: str) -> str:
    """Why the database in the directory ``path`` cannot be opened; empty if nothing speaks against it."""
    try:
        with open(os.path.join(path, "CURRENT"), encoding="ascii") as stream:
            current = stream.read()
        if not re.match(r"MANIFEST-[0-9]+\n\Z", current):
            return "CURRENT names no manifest"
        with open(os.path.join(path, current.strip()), "rb") as stream:
            manifest = stream.read()
        if not manifest:
            return f"{current.strip()} is empty"
        problems = (check_table(path, number, size) for number, size in sorted(live_tables(manifest).items()))
        return next((problem for problem in problems if problem), "")
    except Torn as torn:
        return f"{current.strip()}: {torn}"
    except (OSError, UnicodeDecodeError) as error:
        name = os.path.basename(getattr(error, "filename", None) or "CURRENT")
        return f"{name} is missing" if isinstance(error, FileNotFoundError) else f"{name} cannot be read"
