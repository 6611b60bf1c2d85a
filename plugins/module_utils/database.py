"""What the database modules share: one connection, quoting, and what a schema consists of.

Every reader asks for all schemas it needs in one statement, because the swap runs inside the outage.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pwd
import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

try:
    import pymysql

    HAS_PYMYSQL = True
except ImportError:
    HAS_PYMYSQL = False

DEFAULT_SOCKET = "/run/mysqld/mysqld.sock"
DISK_FULL = (1021, 1114)
LOCK_WAIT_TIMEOUT = 1205
DEADLOCK = 1213
#: A query that took longer than allowed, on MariaDB and on MySQL.
TOO_LONG = (1969, 3024)

# Server messages that name an object, never a value of a row; all others lose their quoted parts.
_MESSAGES_WITHOUT_DATA = {
    1044,
    1045,
    1049,
    1050,
    1051,
    1054,
    1114,
    1115,
    1142,
    1146,
    1227,
    1267,
    1273,
    1305,
    1435,
    1792,
    2002,
}


def quote(name: str) -> str:
    """``name`` as a quoted identifier; raises RollbackError for what no server accepts as a name."""
    if not 0 < len(name) <= 64 or "\0" in name or name != name.rstrip(" ") or any(ord(char) > 0xFFFF for char in name):
        raise RollbackError("Not a possible name of a schema, table or column", found=repr(name))
    return "`{}`".format(name.replace("`", "``"))


def qualified(schema: str, table: str) -> str:
    """``schema.table`` quoted."""
    return f"{quote(schema)}.{quote(table)}"


def public_message(code: int, message: str) -> str:
    """A server's error without values of rows, which may be personal data: ``(1062) Duplicate entry '...' for key``."""
    if code not in _MESSAGES_WITHOUT_DATA:
        message = re.sub(r"'.*'", "'...'", message, flags=re.DOTALL)
    return f"({code}) {message}"


def error_code(error: BaseException) -> int | None:
    """The server's error number behind a RollbackError, None if the server is not the cause."""
    cause = error.__cause__
    return cause.args[0] if cause is not None and cause.args and isinstance(cause.args[0], int) else None


class Database:
    """One autocommitting connection to the local server; every failure is a RollbackError.

    ``engine`` is ``mariadb`` or ``mysql``, ``version`` the server's own string.
    """

    def __init__(
        self,
        defaults_file: str | None = None,
        socket: str = DEFAULT_SOCKET,
        read_only: bool = False,
        lock_wait_s: int = 10,
        statement_s: int | None = None,
        local_files: bool = False,
    ) -> None:
        """Connect; a wait for locks ends after ``lock_wait_s`` seconds, a query after ``statement_s``.

        Only with ``local_files`` the server may ask for files of this process.
        """
        if not HAS_PYMYSQL:
            raise RollbackError(
                "PyMySQL is missing for the Python that runs the modules", next_step="apt-get install python3-pymysql"
            )
        if defaults_file and not os.path.exists(defaults_file):
            raise RollbackError("The client option file does not exist", found=defaults_file, where="defaults_file")
        options: dict[str, Any] = {
            "unix_socket": socket,
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": 10,
            "local_infile": local_files,
            # Nothing leaves the host through a socket, and reading all certificates takes longer than many a query.
            "ssl_disabled": True,
        }
        if defaults_file:
            options["read_default_file"] = defaults_file
        else:
            options["user"] = operating_system_user()
        self._again = (defaults_file, socket, read_only, lock_wait_s, statement_s)
        try:
            self._connection = pymysql.connect(**options)
        except pymysql.MySQLError as error:
            raise RollbackError("No connection to the database", found=_described(error), where=socket) from error
        self.version = str(self.value("SELECT VERSION()"))
        self.engine = "mariadb" if "mariadb" in self.version.lower() else "mysql"
        # Zero dates of old rows must survive being copied; anything cut short must still be an error.
        settings = ["sql_mode='STRICT_TRANS_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'"]
        if self.engine == "mysql":
            # Otherwise AUTO_INCREMENT values may be a day old.
            settings.append("information_schema_stats_expiry=0")
        self.run("SET SESSION " + ", ".join(settings))
        if statement_s:
            self.limit_statements(statement_s)
        self.limit_waits(lock_wait_s)
        if read_only:
            self.run("SET SESSION TRANSACTION READ ONLY")

    def __enter__(self) -> Database:
        """The connection itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the connection."""
        self._connection.close()

    def again(self, local_files: bool = False) -> Database:
        """Another connection to the same server, for when this one may have been lost."""
        return Database(*self._again, local_files)

    def rows(self, sql: str, arguments: Iterable[object] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query; ``%s`` stands for an argument only when arguments are given."""
        return list(self._execute(sql, arguments).fetchall())

    def records(self, sql: str) -> list[dict[str, Any]]:
        """All rows of a query, each by the names of its columns."""
        cursor = self._execute(sql, None)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def value(self, sql: str, arguments: Iterable[object] | None = None) -> Any:
        """First column of the first row, None without a row."""
        found = self.rows(sql, arguments)
        return found[0][0] if found else None

    def run(self, sql: str | bytes) -> int:
        """Number of rows changed by a statement; as bytes it may hold values in any character set."""
        return int(self._execute(sql, None).rowcount)

    def limit_waits(self, seconds: int) -> None:
        """From now on a wait for table or row locks ends with an error after ``seconds``; servers default to a day."""
        self.run(f"SET SESSION lock_wait_timeout={seconds:d}, innodb_lock_wait_timeout={seconds:d}")

    def limit_statements(self, seconds: float) -> None:
        """From now on a query ends with an error after ``seconds``, 0 for never; on MariaDB any other statement too."""
        mariadb = self.engine == "mariadb"
        limit = f"max_statement_time={seconds:.3f}" if mariadb else f"max_execution_time={seconds * 1000:.0f}"
        self.run(f"SET SESSION {limit}")

    def use_utc(self) -> None:
        """From now on times are told and understood in UTC; in another zone two of them may look the same."""
        self.run("SET SESSION time_zone='+00:00'")

    def literal(self, value: object) -> str:
        """``value`` as SQL for this connection's character set and mode."""
        return str(self._connection.escape(value))

    def version_number(self) -> tuple[int, ...]:
        """Leading numbers of the version, for example ``(10, 11, 19)``."""
        match = re.match(r"(?:5\.5\.5-)?([0-9]+(?:\.[0-9]+)*)", self.version)
        return tuple(int(part) for part in match.group(1).split(".")) if match else ()

    def _execute(self, sql: str | bytes, arguments: Iterable[object] | None) -> Any:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, None if arguments is None else list(arguments))
        except pymysql.MySQLError as error:
            raise RollbackError("The database refused a statement", found=_described(error)) from error
        return cursor


def operating_system_user() -> str:
    """Name of the user this process runs as; the environment may still name the one before ``sudo``."""
    return pwd.getpwuid(os.geteuid()).pw_name


def _described(error: BaseException) -> str:
    if len(error.args) >= 2 and isinstance(error.args[0], int):
        return public_message(error.args[0], str(error.args[1]))
    return type(error).__name__


@dataclasses.dataclass(frozen=True)
class Table:
    """One table: next AUTO_INCREMENT value (None without one) and the bytes the server reports for data and indexes."""

    name: str
    auto_increment: int | None
    bytes: int


@dataclasses.dataclass(frozen=True)
class Column:
    """One column in the order of its table; ``extra`` as information_schema says, in lower case."""

    name: str
    type: str
    nullable: bool
    default: str | None
    extra: str
    charset: str | None
    collation: str | None
    expression: str

    @property
    def generated(self) -> bool:
        """True if the server computes it; such a column cannot be written."""
        return bool(self.expression) or "generated" in self.extra.replace("default_generated", "")


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """A constraint from ``child`` to ``parent``, each ``(schema, table)``."""

    name: str
    child: tuple[str, str]
    parent: tuple[str, str]

    def __str__(self) -> str:
        """Both ends, for a message."""
        return "{} ({} -> {})".format(self.name, ".".join(self.child), ".".join(self.parent))


def _per_schema(db: Database, select: str, schemas: Iterable[str]) -> list[tuple[Any, ...]]:
    # MariaDB opens only the named schema for an equality, but every table of the server for an IN list.
    names = list(dict.fromkeys(schemas))
    # MySQL refuses an empty statement.
    found = db.rows(" UNION ALL ".join([select] * len(names)), names) if names else []
    return [row for row in found if row[0] in names]


def existing_schemas(db: Database, schemas: Iterable[str]) -> set[str]:
    """Those of ``schemas`` that exist."""
    return {
        row[0]
        for row in _per_schema(
            db, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", schemas
        )
    }


def read_tables(db: Database, schemas: Iterable[str]) -> dict[str, dict[str, Table]]:
    """Schema -> table name -> Table, views and sequences left out; a schema that does not exist is empty."""
    names = list(schemas)
    found: dict[str, dict[str, Table]] = {name: {} for name in names}
    auto_increment = "AUTO_INCREMENT"
    if db.engine == "mysql":
        # It knows none before the first row, but rows inserted after a swap are found by it.
        auto_increment = (
            "COALESCE(AUTO_INCREMENT, (SELECT 1 FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = t.TABLE_SCHEMA"
            " AND c.TABLE_NAME = t.TABLE_NAME AND LOCATE('auto_increment', c.EXTRA)))"
        )
    select = (
        f"SELECT TABLE_SCHEMA, TABLE_NAME, {auto_increment}, COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0)"
        " FROM information_schema.TABLES t"
        " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW', 'SEQUENCE')"
    )
    for schema, name, auto_increment, size in _per_schema(db, select, names):
        found[schema][name] = Table(name, None if auto_increment is None else int(auto_increment), int(size))
    return found


def read_columns(db: Database, schemas: Iterable[str]) -> dict[tuple[str, str], dict[str, Column]]:
    """(schema, table) -> column name -> Column, in column order."""
    found: dict[tuple[str, str], dict[str, Column]] = {}
    select = (
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT,"
        " EXTRA, CHARACTER_SET_NAME, COLLATION_NAME, COALESCE(GENERATION_EXPRESSION, '')"
        " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s"
    )
    for row in sorted(_per_schema(db, select, schemas), key=lambda row: (row[0], row[1], row[3])):
        column = Column(
            row[2],
            str(row[4]),
            row[5] == "YES",
            None if row[6] is None else str(row[6]),
            str(row[7]).lower(),
            row[8],
            row[9],
            str(row[10]),
        )
        found.setdefault((row[0], row[1]), {})[row[2]] = column
    return found


def read_foreign_keys(db: Database) -> list[ForeignKey]:
    """Every constraint of the server: one that points into a schema may stand in any other."""
    select = (
        "SELECT CONSTRAINT_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME"
        " FROM information_schema.REFERENTIAL_CONSTRAINTS"
    )
    return [ForeignKey(row[0], (row[1], row[2]), (row[3], row[4])) for row in db.rows(select)]


def crossing(keys: Iterable[ForeignKey], tables: set[tuple[str, str]]) -> list[ForeignKey]:
    """Constraints with exactly one end inside ``tables``, a set of ``(schema, table)``."""
    return [key for key in keys if (key.child in tables) != (key.parent in tables)]


def read_objects(db: Database, schemas: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Schema -> ``triggers``, ``views``, ``routines``, ``events``, ``sequences`` -> sorted names."""
    names = list(dict.fromkeys(schemas))
    found: dict[str, dict[str, list[str]]] = {
        name: {kind: [] for kind in ("triggers", "views", "routines", "events", "sequences")} for name in names
    }
    selects = [
        "SELECT TRIGGER_SCHEMA, 'triggers', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s",
        "SELECT TABLE_SCHEMA, 'views', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s",
        "SELECT ROUTINE_SCHEMA, 'routines', ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s",
        "SELECT EVENT_SCHEMA, 'events', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s",
        "SELECT TABLE_SCHEMA, 'sequences', TABLE_NAME FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'SEQUENCE'",
    ]
    sql = " UNION ALL ".join(selects * len(names))
    for schema, kind, name in db.rows(sql, [name for name in names for _unused in selects]):
        if schema in found:
            found[schema][kind].append(name)
    for kinds in found.values():
        for listed in kinds.values():
            listed.sort()
    return found


def digest_of(value: object) -> str:
    """Hex SHA-256 of the canonical JSON form of ``value``."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("utf-8")).hexdigest()


def table_digests(db: Database, schema: str) -> dict[str, str]:
    """Table name -> digest of its columns, indexes and foreign keys.

    The schema's own name does not count, so a table and its copy in a shadow schema have the same digest.
    """
    definition: dict[str, dict[str, Any]] = {}
    for (_schema, table), columns in read_columns(db, [schema]).items():
        definition[table] = {
            "columns": [dataclasses.astuple(column) for column in columns.values()],
            "indexes": {},
            "keys": {},
        }
    # On MySQL a part of an index may be an expression instead of a column.
    part = "COALESCE(COLUMN_NAME, EXPRESSION)" if db.engine == "mysql" else "COLUMN_NAME"
    indexes = db.rows(
        f"SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, {part}, NON_UNIQUE, SUB_PART, INDEX_TYPE"
        " FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s",
        [schema],
    )
    for row in sorted(indexes, key=lambda row: (row[0], row[1], row[2])):
        parts = definition.get(row[0], {"indexes": {}})["indexes"].setdefault(row[1], [])
        parts.append([row[3], int(row[4]), None if row[5] is None else int(row[5]), row[6]])
    keys = db.rows(
        "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA,"
        " k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE"
        " FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r"
        " ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME"
        " AND r.TABLE_NAME = k.TABLE_NAME"
        " WHERE k.TABLE_SCHEMA = %s AND r.CONSTRAINT_SCHEMA = %s AND k.REFERENCED_TABLE_NAME IS NOT NULL",
        [schema, schema],
    )
    for row in sorted(keys, key=lambda row: (row[0], row[1], row[2])):
        columns = definition.get(row[0], {"keys": {}})["keys"].setdefault(row[1], [])
        columns.append([row[3], None if row[4] == schema else row[4], *row[5:9]])
    real = read_tables(db, [schema])[schema]
    return {table: digest_of(definition[table]) for table in sorted(definition) if table in real}


def count_rows(db: Database, schema: str, tables: Iterable[str]) -> dict[str, int]:
    """Exact number of rows per table, all of one snapshot."""
    names = sorted(tables)
    counts: dict[str, int] = {}
    db.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    try:
        for start in range(0, len(names), 50):
            selects = [
                f"SELECT {db.literal(name)}, COUNT(*) FROM {qualified(schema, name)}"
                for name in names[start : start + 50]
            ]
            counts.update({row[0]: int(row[1]) for row in db.rows(" UNION ALL ".join(selects))})
    finally:
        db.run("ROLLBACK")
    return counts


def long_transactions(db: Database, seconds: float) -> list[dict[str, Any]]:
    """Transactions and statements of other connections older than ``seconds``: id, user, seconds. Never their text."""
    found = db.rows(
        "SELECT p.ID, p.USER, GREATEST(COALESCE(TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), 0),"
        " IF(p.COMMAND IN ('Query', 'Execute'), p.TIME, 0)) AS age"
        " FROM information_schema.PROCESSLIST p"
        " LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID"
        " WHERE p.ID <> CONNECTION_ID() AND (t.trx_id IS NOT NULL OR p.COMMAND IN ('Query', 'Execute'))"
        " HAVING age >= %s ORDER BY age DESC, p.ID",
        [seconds],
    )
    return [{"id": int(row[0]), "user": row[1], "seconds": int(row[2])} for row in found]


def threads_connected(db: Database) -> int:
    """Open connections, this one included."""
    return int(db.rows("SHOW GLOBAL STATUS LIKE 'Threads_connected'")[0][1])


def free_bytes(db: Database) -> int | None:
    """Free bytes in the file system of the data directory; None if it is not on this host."""
    try:
        stat = os.statvfs(str(db.value("SELECT @@datadir")))
    except OSError:
        return None
    return stat.f_bavail * stat.f_frsize


def schema_info(db: Database, schema: str, rows: bool = True, long_transaction_s: int = 5) -> dict[str, Any]:
    """Everything a manifest or an assessment needs to know about ``schema``; see the module database_info."""
    exists = schema in existing_schemas(db, [schema])
    tables = read_tables(db, [schema])[schema]
    digests = table_digests(db, schema) if exists else {}
    counts = count_rows(db, schema, tables) if rows else {}
    listed: dict[str, dict[str, Any]] = {}
    for name in sorted(tables):
        listed[name] = {"auto_increment": tables[name].auto_increment, "digest": digests.get(name)}
        if rows:
            listed[name]["rows"] = counts[name]
    migrations = None
    if "migration" in read_columns(db, [schema]).get((schema, "migrations"), {}):
        migrations = [
            row[0] for row in db.rows("SELECT migration FROM {} ORDER BY id".format(qualified(schema, "migrations")))
        ]
    border = crossing(read_foreign_keys(db), {(schema, name) for name in tables})
    return {
        "schema": schema,
        "exists": exists,
        "engine": db.engine,
        "version": db.version,
        "bytes": sum(table.bytes for table in tables.values()),
        "tables": listed,
        "schema_digest": digest_of(digests),
        "migrations": migrations,
        "objects": read_objects(db, [schema])[schema],
        "foreign_keys": [
            {"name": key.name, "table": ".".join(key.child), "references": ".".join(key.parent)} for key in border
        ],
        "threads_connected": threads_connected(db),
        "long_transactions": long_transactions(db, long_transaction_s),
        "free_bytes": free_bytes(db),
    }
