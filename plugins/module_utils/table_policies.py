"""What becomes of each table's later rows: which differences count, and which rows are brought back after a rollback.

A policy is data: a pattern of table names, a word, and the reason that an operator reads beside the numbers.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: What each word means; see docs/recover-data.md.
MEANINGS = {
    "merge": "all differences are found; rows that were written later are brought back",
    "report": "all differences are found; a row is brought back only if it is named",
    "keep": "only the numbers of rows are compared; what is live stays as it is",
    "ignore": "not looked at",
}
WHERE = "database_table_policies"

#: Suboptions of the modules' option ``policies``.
POLICY_OPTIONS: dict[str, Any] = {
    "table": {"type": "str", "required": True},
    "policy": {"type": "str", "required": True, "choices": list(MEANINGS)},
    "reason": {"type": "str"},
    "last": {"type": "bool"},
}


@dataclasses.dataclass(frozen=True)
class Policy:
    """What is done with the tables whose names match ``table``, a pattern with ``*``, ``?`` and ``[...]``.

    ``last`` puts a table behind all others when rows are brought back: whoever reads it acts at once on rows elsewhere.
    """

    table: str
    policy: str
    reason: str
    last: bool = False


DEFAULTS = (
    Policy(
        "migrations",
        "keep",
        "it describes the structure of the live tables; rows of another release would mislead artisan",
    ),
    Policy(
        "jobs",
        "merge",
        "a job that was queued later and never ran would be lost; it comes after the rows that it works on",
        last=True,
    ),
    Policy("job_batches", "merge", "jobs that were queued later refer to their batch"),
    Policy("failed_jobs", "merge", "nothing runs by itself from it, and a failure that nobody sees is lost work"),
    Policy("sessions", "keep", "a log-in that has ended since must not come alive; users log in again"),
    Policy("cache", "ignore", "the application computes it again"),
    Policy("cache_locks", "ignore", "a lock that came back would be held by nobody"),
    Policy("password_resets", "keep", "a link that was used or withdrawn since must not work again"),
    Policy("password_reset_tokens", "keep", "a link that was used or withdrawn since must not work again"),
    Policy(
        "personal_access_tokens",
        "merge",
        "clients keep the tokens that they were given later; one that was revoked since is reported as deleted",
    ),
    Policy(
        "oauth_*",
        "merge",
        "clients keep the tokens that they were given later; one that was revoked since is reported as changed",
    ),
    Policy("telescope_*", "ignore", "records for debugging, many and worthless to users"),
    Policy("pulse_*", "ignore", "measurements for debugging, many and worthless to users"),
    Policy("websockets_statistics_entries", "ignore", "measurements, worthless to users"),
    Policy("*", "merge", "rows of the business"),
)


@dataclasses.dataclass(frozen=True)
class Policies:
    """The policy of every table: the first pattern that matches, the inventory's before the defaults."""

    overrides: tuple[Policy, ...] = ()

    @classmethod
    def of(cls, given: Any) -> Policies:
        """From the inventory's list of ``{table, policy}`` with optional ``reason`` and ``last``; see ``_policy``."""
        if not isinstance(given, (list, tuple)):
            raise RollbackError("The table policies are a list", found=type(given).__name__, where=WHERE)
        policies = tuple(_policy(entry, f"{WHERE}[{number}]") for number, entry in enumerate(given))
        patterns = [policy.table for policy in policies]
        twice = sorted({pattern for pattern in patterns if patterns.count(pattern) > 1})
        if twice:
            raise RollbackError("A table has two policies", found=", ".join(twice), where=WHERE)
        return cls(policies)

    def of_table(self, table: str) -> Policy:
        """The policy of one table."""
        return next(policy for policy in self.overrides + DEFAULTS if fnmatch.fnmatchcase(table, policy.table))

    def unused(self, tables: Iterable[str]) -> list[str]:
        """Patterns of the inventory that none of ``tables`` matches: often a typing error."""
        names = list(tables)
        return [policy.table for policy in self.overrides if not fnmatch.filter(names, policy.table)]


def _policy(entry: Any, where: str) -> Policy:
    """One entry of the inventory; raises RollbackError that says which and what is wrong with it."""
    if not isinstance(entry, Mapping):
        raise RollbackError("A table policy has a table and a policy", found=type(entry).__name__, where=where)
    # A module's options hold every key that was not given too.
    given = {key: value for key, value in entry.items() if value is not None}
    unknown = sorted(set(given) - {"table", "policy", "reason", "last"})
    if unknown:
        raise RollbackError(
            "A table policy has keys that nothing reads", found=", ".join(map(str, unknown)), where=where
        )
    table, policy = given.get("table"), given.get("policy")
    if not isinstance(table, str) or not table.strip():
        raise RollbackError(
            "A table policy names a table, or a pattern such as telescope_*", found=repr(table), where=where
        )
    if policy not in MEANINGS:
        raise RollbackError(
            f"The policy of a table is one of {', '.join(MEANINGS)}", found=f"{policy!r} for {table}", where=where
        )
    reason, last = given.get("reason", "said in the inventory"), given.get("last", False)
    if not isinstance(reason, str) or not isinstance(last, bool):
        raise RollbackError("The reason of a table policy is text, last is true or false", found=table, where=where)
    return Policy(table, policy, reason, last)
