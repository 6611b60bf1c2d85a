"""The checklist after a rollback: each item is proven by checks, or signed off by a person, or open."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import make_private_directory, write_atomically
from ansible_collections.campaign.rollback.plugins.module_utils.journal import RUN_ID

PASSED, FAILED, SIGNED, OPEN = "passed", "FAILED", "signed off", "open"


def check(items: list[dict[str, Any]], signed: dict[str, Any]) -> None:
    """Raise RollbackError unless ``items`` are understood, and ``signed`` names some of them with a person each."""
    names = [str(item.get("item", "")) for item in items]
    for item, name in zip(items, names):
        unknown = sorted(set(item) - {"item", "text", "checks"})
        if unknown or not name or not item.get("text") or names.count(name) > 1:
            raise RollbackError(
                "A checklist item has a name of its own and a text, and knows only item, text and checks",
                found=", ".join(unknown) or name or "no name",
                where="validation_checklist",
            )
    strange = sorted(set(signed) - set(names))
    if strange:
        raise RollbackError(
            "There is no such item on the checklist",
            found=", ".join(strange),
            where="rollback_signed_off",
            next_step="sign off one of " + ", ".join(names),
        )
    nobody = sorted(name for name, person in signed.items() if not isinstance(person, str) or not person.strip())
    if nobody:
        raise RollbackError("A sign-off names a person", found=", ".join(nobody), where="rollback_signed_off")


def judge(
    items: list[dict[str, Any]], results: list[dict[str, Any]], signed: dict[str, dict[str, str]]
) -> list[dict[str, Any]]:
    """Each item with its ``state``, and who signed it off when (``by``, ``at``); nobody's word outweighs a check.

    ``results`` are rows with ``check`` and ``result``. An item has passed only if each of its checks was made,
    everywhere with success.
    """
    found = []
    for item in items:
        rows = {name: [row["result"] for row in results if row["check"] == name] for name in item.get("checks") or []}
        signature = signed.get(item["item"], {})
        if any(FAILED in verdicts for verdicts in rows.values()):
            state = FAILED
        elif rows and all(set(verdicts) == {PASSED} for verdicts in rows.values()):
            state = PASSED
        else:
            state = SIGNED if signature else OPEN
        by = {"by": signature.get("by", ""), "at": signature.get("at", "")}
        found.append({"item": item["item"], "text": item["text"], "state": state, "checks": list(rows), **by})
    return found


def path_of(state_dir: str, run_id: str) -> str:
    """File with the signatures of a run."""
    if not RUN_ID.match(run_id):
        raise RollbackError("A run id looks like 20261121T174500Z", found=run_id)
    return os.path.join(state_dir, "runs", run_id, "signed_off.json")


def read(path: str) -> dict[str, dict[str, str]]:
    """Signatures that were kept: item to ``by`` and ``at``."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RollbackError("The signatures of a run cannot be read", found=str(error), where=path) from error
    if not isinstance(found, dict):
        raise RollbackError("The signatures of a run are an object", found=type(found).__name__, where=path)
    return found


def sign(known: dict[str, dict[str, str]], signed: dict[str, str], at: str) -> dict[str, dict[str, str]]:
    """The signatures with those of ``signed`` (item to person); one that was given before keeps its time."""
    new = {name: {"by": person.strip(), "at": at} for name, person in signed.items()}
    return {**known, **{name: one for name, one in new.items() if known.get(name, {}).get("by") != one["by"]}}


def write(path: str, signatures: dict[str, dict[str, str]]) -> None:
    """Keep the signatures, whole or as they were."""
    make_private_directory(os.path.dirname(path))
    write_atomically(path, json.dumps(signatures, indent=2, sort_keys=True).encode("utf-8") + b"\n")
