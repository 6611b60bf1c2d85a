"""What a swap is asked to do, and which tables its one rename moves; nothing here asks a server."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.database import qualified


@dataclasses.dataclass(frozen=True)
class Plan:
    """Tables and sequences that one RENAME moves: ``out`` from ``live`` to ``outgoing``, ``into`` the other way."""

    live: str
    incoming: str
    outgoing: str
    out: tuple[str, ...]
    into: tuple[str, ...]

    def rename(self) -> str:
        """The one statement. Live tables leave first, so that their names are free."""
        moves = [(self.live, self.outgoing, name) for name in self.out]
        moves += [(self.incoming, self.live, name) for name in self.into]
        parts = [f"{qualified(source, name)} TO {qualified(target, name)}" for source, target, name in moves]
        return "RENAME TABLE " + ", ".join(parts)

    def side(self, table: tuple[str, str]) -> str:
        """``out`` or ``into`` for a (schema, table) that moves, as named before; empty for others."""
        schema, name = table
        if schema == self.live and name in self.out:
            return "out"
        return "into" if schema == self.incoming and name in self.into else ""

    def place(self, table: tuple[str, str]) -> tuple[str, str]:
        """Where a (schema, table) is after the rename."""
        schema = {"out": self.outgoing, "into": self.live}.get(self.side(table), table[0])
        return schema, table[1]

    def described(self) -> dict[str, Any]:
        """What the module returns and shows of a plan that is about to be carried out."""
        before = {self.live: self.out, self.incoming: self.into, self.outgoing: ()}
        after = {self.live: self.into, self.incoming: (), self.outgoing: self.out}
        return {
            "changed": True,
            "schema": self.live,
            "incoming": self.incoming,
            "outgoing": self.outgoing,
            "tables": {"to_live": list(self.into), "from_live": list(self.out)},
            "diff": {"before": _listing(before), "after": _listing(after)},
        }


def _listing(schemas: Mapping[str, tuple[str, ...]]) -> str:
    return "".join("{}: {}\n".format(schema, ", ".join(names)) for schema, names in sorted(schemas.items()))
