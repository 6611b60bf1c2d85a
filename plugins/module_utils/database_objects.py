"""What belongs to a schema by its name and is no table: triggers, views, routines and events.

A rename of tables does not move them. Their definitions can be read, compared and made again in another schema, with
the SQL mode, character set, collation, time zone and definer that they had.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    ForeignKey,
    error_code,
    qualified,
    quote,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_events import state, with_state
from ansible_collections.campaign.rollback.plugins.module_utils.database_freeze import busy
from ansible_collections.campaign.rollback.plugins.module_utils.database_merge import parents_first
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

with contextlib.suppress(ImportError):  # database.py tells
    from pymysql.charset import charset_by_name

#: Kinds as the server calls them, in the order in which they can be created, and what operators call them.
KINDS = {
    "PACKAGE": "routines",
    "PACKAGE BODY": "routines",
    "FUNCTION": "routines",
    "PROCEDURE": "routines",
    "VIEW": "views",
    "TRIGGER": "triggers",
    "EVENT": "events",
}


@dataclasses.dataclass(frozen=True)
class Definition:
    """One object: the statement that creates it, with names of its own schema unqualified, and the settings for that.

    ``definer`` is ``user@host``, ``table`` that of a trigger. ``grants`` has for a routine the privileges as
    ``mysql.procs_priv`` spells them, and the quoted account. A view that is not ``sound`` refers to something missing:
    it may exist, but could not be created.
    """

    kind: str
    name: str
    sql: str
    definer: str
    charset: str
    collation: str
    sql_mode: str = ""
    time_zone: str = ""
    table: str = ""
    sound: bool = True
    grants: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> tuple[str, str]:
        """What can exist only once in a schema; the server takes no notice of the case of routines and events."""
        return self.kind, self.name if self.kind in ("VIEW", "TRIGGER") else self.name.lower()

    def same(self, other: Definition | None) -> bool:
        """Whether making this one would change nothing about ``other``."""
        return other is not None and dataclasses.replace(self, grants=(), sound=True) == dataclasses.replace(
            other, grants=(), sound=True
        )

    def __str__(self) -> str:
        """For a message."""
        return f"{self.kind.lower()} {self.name}"

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Definition:
        """From a journal line with the fields of this class."""
        return cls(**dict(given, grants=tuple((privileges, account) for privileges, account in given["grants"])))


def account(definer: str) -> str:
    """``user@host`` of the server's catalogue as SQL; a role has no host."""
    user, _at, host = definer.rpartition("@")
    # Not quote(): an account's name may be longer than a table's.
    parts = ["`{}`".format(part.replace("`", "``")) for part in ((user, host) if host else (user,))]
    return "@".join(parts)


def read_definitions(db: Database, schema: str, found: Mapping[str, Sequence[str]]) -> tuple[Definition, ...]:
    """Every object of ``schema`` in an order in which they can be created; ``found`` is what read_objects says of it.

    Changes the connection's default schema, as only the names of that one are left unqualified.
    """
    readers = {"routines": _routines, "views": _views, "triggers": _triggers, "events": _events}
    wanted = [read for kind, read in readers.items() if found.get(kind)]
    if wanted:
        db.run(f"USE {quote(schema)}")
        db.run("SET SESSION sql_quote_show_create=1")
    # MySQL keeps the delimiter of some clients, and not that of others.
    return tuple(
        dataclasses.replace(definition, sql=definition.sql.rstrip("; \n"))
        for read in wanted
        for definition in read(db, schema)
    )


def _routines(db: Database, schema: str) -> list[Definition]:
    grants: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for kind, name, user, host, privileges in db.rows(
        "SELECT Routine_type, Routine_name, User, Host, Proc_priv FROM mysql.procs_priv WHERE Db = %s"
        " ORDER BY User, Host",
        [schema],
    ):
        grants.setdefault((kind, name.lower()), []).append((str(privileges), account(f"{user}@{host}")))
    found = []
    for kind, name, definer in db.rows(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s",
        [schema],
    ):
        _name, mode, sql, charset, collation = db.rows(f"SHOW CREATE {kind} {quote(name)}")[0][:5]
        own = tuple(grants.get((kind, name.lower()), ()))
        found.append(Definition(kind, name, sql, definer, charset, collation, mode, grants=own))
    return sorted(found, key=lambda routine: (list(KINDS).index(routine.kind), routine.name))


def _views(db: Database, schema: str) -> list[Definition]:
    rows = db.rows(
        "SELECT TABLE_NAME, VIEW_DEFINITION, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s", [schema]
    )
    checked = db.rows("CHECK TABLE " + ", ".join(quote(row[0]) for row in rows))
    sound = {row[0] for row in checked if row[2] == "status" and row[3] == "OK"}
    found = {}
    for name, _text, definer in rows:
        _name, sql, charset, collation = db.rows(f"SHOW CREATE VIEW {quote(name)}")[0][:4]
        found[name] = Definition("VIEW", name, sql, definer, charset, collation, sound=f"{schema}.{name}" in sound)
    # The catalogue's text, unlike the other one, has every table with its schema.
    uses = [
        ForeignKey("", (schema, name), (schema, other))
        for name, text, _definer in rows
        for other in found
        if other != name and qualified(schema, other) in text
    ]
    return [found[name] for name in parents_first(found, schema, uses)]


def _triggers(db: Database, schema: str) -> list[Definition]:
    # Made from their parts, because the statement that created one may name the schema.
    rows = db.rows(
        "SELECT EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, TRIGGER_NAME, DEFINER,"
        " ACTION_STATEMENT, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, SQL_MODE"
        " FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s",
        [schema],
    )
    return [
        Definition(
            "TRIGGER",
            name,
            f"CREATE DEFINER={account(definer)} TRIGGER {quote(name)} {timing} {event} ON {quote(table)}"
            f" FOR EACH ROW {body}",
            definer,
            charset,
            collation,
            mode,
            table=table,
        )
        for table, timing, event, _order, name, definer, body, charset, collation, mode in sorted(
            rows, key=lambda row: row[:4]
        )
    ]


def _events(db: Database, schema: str) -> list[Definition]:
    found = []
    for name, definer in db.rows(
        "SELECT EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s ORDER BY EVENT_NAME",
        [schema],
    ):
        _name, mode, zone, sql, charset, collation = db.rows(f"SHOW CREATE EVENT {quote(name)}")[0][:6]
        found.append(Definition("EVENT", name, sql, definer, charset, collation, mode, zone))
    return found


def missing_definers(db: Database, definitions: Iterable[Definition]) -> list[str]:
    """Which of ``definitions`` have a definer that the server does not know, in words."""
    known = {f"{user}@{host}".lower() for user, host in db.rows("SELECT User, Host FROM mysql.user")}
    return [
        f"{definition} is defined by {definition.definer}, who does not exist"
        for definition in definitions
        if definition.definer.lower() not in known
    ]


def staged_as(definition: Definition, staged: str, live: str, live_one: Definition | None) -> Definition:
    """An object of a staged copy as it has to be in the live schema, where ``live_one`` has its identity.

    A view that also refers to another schema names its own. An event of the copy sleeps (see database_events), unless
    that is its state anyway, because this server is a replica.
    """
    sql = definition.sql
    if definition.kind == "VIEW":
        sql = sql.replace(quote(staged) + ".", quote(live) + ".")
    elif definition.kind == "EVENT" and state(sql).startswith("DISABLE ON"):
        sql = sql if live_one and state(live_one.sql) == state(sql) else with_state(sql, "ENABLE")
    return dataclasses.replace(definition, sql=sql)


def changes(
    present: Sequence[Definition], wanted: Sequence[Definition]
) -> tuple[list[Definition], list[Definition], list[Definition]]:
    """What to drop, what to create or replace, and which untouched routines lack grants, to get from one to the other.

    Triggers of a table fire in the order of their creation, so those after the first difference are made again.
    """
    have = {definition.identity: definition for definition in present}
    kept = {
        definition.identity
        for definition in wanted
        if definition.identity in have and (definition.same(have[definition.identity]) or not definition.sound)
    }
    for table in {definition.table for definition in wanted if definition.table}:
        before = [definition for definition in present if definition.table == table]
        after = [definition for definition in wanted if definition.table == table]
        equal = [one.same(other) for one, other in zip(after, before)] + [False]
        kept -= {definition.identity for definition in after[equal.index(False) :]}
    for definition in wanted:
        # The server drops the body with the package, also when that is replaced.
        if definition.kind == "PACKAGE BODY" and ("PACKAGE", definition.identity[1]) not in kept:
            kept.discard(definition.identity)
    asked = {definition.identity for definition in wanted}
    drop = [
        definition
        for definition in reversed(present)
        if definition.identity not in (kept if definition.kind == "TRIGGER" else asked)
    ]
    create = [definition for definition in wanted if definition.identity not in kept]
    grant = [
        definition
        for definition in wanted
        if definition.identity in kept and not set(definition.grants) <= set(have[definition.identity].grants)
    ]
    return drop, create, grant


def bring(
    db: Database,
    schema: str,
    present: Sequence[Definition],
    wanted: Sequence[Definition],
    run: Callable[[str], object],
) -> list[str]:
    """Make the objects of ``schema``, which are ``present``, those that are ``wanted``, with ``run`` for what may wait.

    What is the same is not touched. One that the server refuses does not keep the others from being made; returns all
    refusals in words.
    """
    drop, create, grant = changes(present, wanted)
    problems: list[str] = []
    if drop or create or grant:
        with _settings(db, schema) as settings:
            for definition, statements in (
                *((definition, [drop_sql(schema, definition)]) for definition in drop),
                *((definition, create_sql(db.engine, schema, definition)) for definition in create),
                *((definition, grant_sql(schema, definition)) for definition in grant),
            ):
                try:
                    settings(definition)
                    for statement in statements:
                        run(_in_charset(statement, definition.charset))
                except RollbackError as error:
                    if not _refused(error):
                        raise
                    if definition.sound:
                        problems.append(f"{definition}: {error.found}")
    return problems


def _refused(error: RollbackError) -> bool:
    """True if the server did not want the statement, rather than being gone or busy."""
    code = error_code(error) or 0
    return code > 0 and not 2000 <= code < 3000 and not busy(error)


@contextlib.contextmanager
def _settings(db: Database, schema: str) -> Any:
    """Yields a function that gives the connection the settings of a definition; they are put back in the end."""
    names = ("sql_mode", "character_set_client", "collation_connection", "time_zone")
    before = db.rows("SELECT " + ", ".join(f"@@SESSION.{name}" for name in names))[0]
    current = before
    db.run(f"USE {quote(schema)}")

    def use(values: tuple[Any, ...]) -> None:
        nonlocal current
        if values != current:
            assigned = (f"{name}={db.literal(value)}" for name, value in zip(names, values))
            db.run("SET SESSION " + ", ".join(assigned))
            current = values

    def settings(definition: Definition) -> None:
        zone = definition.time_zone or before[3]
        # A view is kept in a form that no SQL mode changes.
        mode = before[0] if definition.kind == "VIEW" else definition.sql_mode
        use((mode, definition.charset, definition.collation, zone))

    try:
        yield settings
    finally:
        # If the connection is lost, so are its settings.
        with contextlib.suppress(RollbackError):
            use(before)


def _in_charset(statement: str, charset: str) -> str:
    """``statement`` so that the driver, which sends UTF-8, sends the bytes of the definition's own character set.

    The server takes literals for what the client's character set says, and remembers that with the object.
    """
    try:
        encoding = charset_by_name(charset).encoding
        return statement.encode(encoding).decode("utf-8", "surrogateescape")
    except (KeyError, LookupError, UnicodeError, AttributeError):
        return statement


def drop_sql(schema: str, definition: Definition) -> str:
    """Drop the object of that kind and name, if it is there."""
    return f"DROP {definition.kind} IF EXISTS {qualified(schema, definition.name)}"


def create_sql(engine: str, schema: str, definition: Definition) -> list[str]:
    """Create the object in ``schema``, the connection's default, in place of one of that name, and give its grants.

    MariaDB replaces any kind in one step, with grants kept; MySQL only views.
    """
    statements = [re.sub(r"\ACREATE ", "CREATE OR REPLACE ", definition.sql)]
    if engine == "mysql" and definition.kind != "VIEW":
        statements = [drop_sql(schema, definition), definition.sql]
    return statements + grant_sql(schema, definition)


def grant_sql(schema: str, definition: Definition) -> list[str]:
    """Statements that give a routine its grants; to give one twice is no error."""
    place = f"{definition.kind} {qualified(schema, definition.name)}"
    statements = []
    for privileges, receiver in definition.grants:
        names = [name.upper() for name in privileges.split(",") if name and name != "Grant"] or ["USAGE"]
        option = " WITH GRANT OPTION" if "Grant" in privileges.split(",") else ""
        statements.append(f"GRANT {', '.join(names)} ON {place} TO {receiver}{option}")
    return statements
