"""Declared keys of an environment file taken from a restore point, everything else as it is live.

Works on the file's own text, so that comments, order and unrelated keys stay exactly as they are.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from ansible_collections.campaign.rollback.plugins.module_utils.environment import Block, blocks, parse, read
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError


def readable(text: str, where: str) -> list[Block]:
    """The blocks of ``text``; raises RollbackError if a quoted value is never closed, because keys may hide in it."""
    found = list(blocks(text))
    if found and not found[-1].closed:
        raise RollbackError(
            "Keys cannot be told apart in an environment file: a quoted value is never closed",
            found=found[-1].key,
            where=where,
            next_step="close the quote, or restore the whole file",
        )
    return found


def merge(live: str, wanted: str, keys: Iterable[str], where: str = "") -> str:
    """``live`` with ``keys`` as they are in ``wanted``: changed in place, removed, or added at the end.

    A key that is written down several times is taken over with all its places, because readers differ in which one
    counts. Without a difference in ``keys`` the text is exactly ``live``.
    """
    declared = set(keys)
    present, source = readable(live, where), readable(wanted, where)
    taken = {key: [block for block in source if block.key == key] for key in declared}
    different = {
        key for key in declared if [block.value for block in present if block.key == key] != values_of(taken[key])
    }
    text = ""
    for block in present:
        if block.key not in different:
            text += block.text
        else:
            text += text_of(taken.pop(block.key, []))
    # In the order of the restore point, so that every host gets the same file.
    added = [block for block in source if block.key in different and block.key in taken]
    if added and text and not text.endswith("\n"):
        text += "\n"
    return text + text_of(added)


def values_of(found: list[Block]) -> list[str]:
    """Values in the order of the file."""
    return [block.value for block in found]


def text_of(found: list[Block]) -> str:
    """Whole lines of these blocks."""
    return "".join(block.text.rstrip("\r\n") + "\n" for block in found)


def conflicts(base: str, live: str, wanted: str) -> list[str]:
    """Keys that changed on both sides of ``base``, and differently."""
    before, now, then = parse(base), parse(live), parse(wanted)
    return sorted(
        key
        for key in before.keys() | now.keys() | then.keys()
        if len({repr(before.get(key)), repr(now.get(key)), repr(then.get(key))}) == 3
    )


def base_of(pattern: str, wanted: str) -> str:
    """Text of the newest of the copies that match ``pattern``: what was live when it was captured last.

    Names hold restore point ids, so they sort by age. Without one the restore point itself is the base.
    """
    copies = sorted(glob.glob(pattern)) if pattern else []
    return read(copies[-1]) if copies and os.path.isfile(copies[-1]) else wanted
