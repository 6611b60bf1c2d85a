"""What the methods of a Laravel migration do to the database, read from their source and nothing else.

Only calls of the schema builder with literal names are understood. Everything else is named with its line, and whoever
decides takes it for something that may change any table.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.migration_words import (
    ASKS,
    BEYOND,
    COMPUTED_COLUMNS,
    GETS,
    HARMLESS_CLASSES,
    HARMLESS_FUNCTIONS,
    LANGUAGE,
    LOSSY_QUERIES,
    LOSSY_SQL,
    OUTSIDE_CLASSES,
    OUTSIDE_FUNCTIONS,
    READING,
    SHORTHANDS,
    SQL_HEAD,
    WHEN,
    WRAPS,
    WRITES,
)
from ansible_collections.campaign.rollback.plugins.module_utils.php_source import (
    PhpClass,
    Token,
    aliases,
    arguments,
    classes,
    closing,
    last_part,
    tokens,
)

#: What an operation is: see Operation.
DROP_TABLE, DROP_COLUMN, RENAME, CHANGE = "drop table", "drop column", "rename", "change"
STRUCTURE, ROWS, UNKNOWN, OUTSIDE, CONNECTION = "structure", "rows", "unknown", "outside", "connection"


@dataclasses.dataclass(frozen=True)
class Operation:
    """One thing that a method does. ``kind`` says what:

    ``drop table``, ``drop column``, ``rename`` (of either), ``change`` (of a column's type), ``structure`` (anything
    else that the schema builder does to ``table``), ``rows`` and ``unknown`` (a statement or a call that may change
    anything), ``outside`` (an effect beyond the database), ``connection`` (on another connection than the default).
    ``table`` and ``column`` are None where the source does not say them literally, or where there is none.
    """

    kind: str
    line: int
    said: str
    table: str | None = None
    column: str | None = None
    lossy_sql: bool = False


Tables = Mapping[str, "str | None"]


def _literal(words: Sequence[Token]) -> str | None:
    return words[0].text if len(words) == 1 and words[0].kind == "string" else None


def _literals(parts: Sequence[Sequence[Token]]) -> list[str | None]:
    """Names in arguments that are each a text or a list of texts; None for what is computed."""
    found: list[str | None] = []
    for part in parts:
        opened = 1 if part[0].is_word("array") else 0
        if part[0].is_symbol("[") or (opened and len(part) > 1 and part[1].is_symbol("(")):
            inner, _end = arguments(part, opened)
            found += _literals(inner)
        else:
            found.append(_literal(part))
    return found


def _text(words: Sequence[Token]) -> str:
    """The parts of an argument that are texts."""
    return " ".join(word.text for word in words if word.kind in ("string", "template"))


def _sql_head(sql: str) -> str:
    """What a statement does to which table, without anything that could be a value."""
    match = SQL_HEAD.match(sql)
    return " ".join(match[0].split()) if match else "computed"


def _takes_away(sql: str) -> bool:
    """Whether a statement takes something away that its reverse cannot bring back."""
    return bool(LOSSY_SQL.search(sql))


def _any(pattern: re.Pattern[str], names: Iterable[str]) -> bool:
    return any(pattern.fullmatch(name) for name in names)


def _member(words: Sequence[Token], index: int) -> bool:
    return index > 0 and words[index - 1].is_symbol("->", "?->", "::")


def _chain(words: Sequence[Token], end: int) -> list[str]:
    """Names of the methods that are called on the result of the call that ends at ``end``."""
    names = []
    while end + 3 < len(words) and words[end + 1].is_symbol("->", "?->") and words[end + 3].is_symbol("("):
        names.append(words[end + 2].text)
        end = closing(words, end + 3)
    return names


class _Reader:
    """Collects the operations of one method; ``tables`` maps variables that hold a blueprint to its table."""

    def __init__(self, owner: PhpClass, names: Mapping[str, str], connection: str | None) -> None:
        self.owner = owner
        self.names = names
        self.connection = connection
        self.found: list[Operation] = []
        self._entered: set[str] = set()

    def add(self, kind: str, at: Token, said: str, table: str | None = None, column: str | None = None) -> None:
        self.found.append(Operation(kind, at.line, said, table, column))

    def method(self, name: str) -> None:
        """Everything that a method of the class does, with the methods of its own that it calls."""
        if name not in self._entered:
            self._entered.add(name)
            self.read(self.owner.methods[name], {})

    def read(self, words: Sequence[Token], tables: Tables) -> None:
        index = 0
        while index < len(words):
            token = words[index]
            if token.is_word("new"):
                index = self._new(words, index)
            elif index + 3 < len(words) and words[index + 3].is_symbol("(") and words[index + 2].kind == "name":
                index = self._maybe_member(words, index, tables)
            else:
                index = self._maybe_function(words, index, tables)

    def _maybe_member(self, words: Sequence[Token], index: int, tables: Tables) -> int:
        """``Name::method(``, ``$variable->method(`` or something else of the same length."""
        token, between = words[index], words[index + 1]
        if token.kind == "name" and between.is_symbol("::") and not _member(words, index):
            return self._static(words, index, tables)
        if token.kind == "variable" and between.is_symbol("->", "?->") and not _member(words, index):
            return self._on_variable(words, index, tables)
        return self._maybe_function(words, index, tables)

    def _maybe_function(self, words: Sequence[Token], index: int, tables: Tables) -> int:
        token = words[index]
        if index + 1 >= len(words) or not words[index + 1].is_symbol("("):
            return index + 1
        if _member(words, index):
            # On the result of something that was not understood itself.
            self.add(UNKNOWN, token, f"->{token.text}()")
        elif token.kind == "variable" or token.is_symbol(")", "]"):
            self.add(UNKNOWN, token, "a computed call")
        elif token.kind != "name" or LANGUAGE.fullmatch(token.text):
            return index + 1
        else:
            self._function(token)
        return self._rest(words, index + 1, tables)

    def _rest(self, words: Sequence[Token], opened: int, tables: Tables) -> int:
        """Read the arguments of the call and of those on its result; returns the index behind them."""
        while True:
            end = closing(words, opened)
            self.read(words[opened + 1 : end], tables)
            if end + 3 >= len(words) or not words[end + 1].is_symbol("->", "?->") or not words[end + 3].is_symbol("("):
                return end + 1
            opened = end + 3

    def _new(self, words: Sequence[Token], index: int) -> int:
        if index + 1 < len(words) and words[index + 1].is_word("class"):
            self.add(UNKNOWN, words[index], "a class within the method")
            while not words[index].is_symbol("{"):
                index += 1
            return closing(words, index) + 1
        return index + 2

    def _function(self, token: Token) -> None:
        name = last_part(token.text)
        if OUTSIDE_FUNCTIONS.fullmatch(name):
            self.add(OUTSIDE, token, f"{name}()")
        elif not HARMLESS_FUNCTIONS.fullmatch(name):
            self.add(UNKNOWN, token, f"{name}()")

    def _static(self, words: Sequence[Token], index: int, tables: Tables) -> int:
        token, method, opened = words[index], words[index + 2].text, index + 3
        owner = self.names.get(token.text.lower(), last_part(token.text)).lower()
        if owner == "schema":
            return self._schema(words, index, opened, tables)
        if owner in ("self", "static"):
            self._own(token, method.lower())
        elif owner == "db":
            self._database(words, index, opened)
        elif OUTSIDE_CLASSES.fullmatch(owner):
            self.add(OUTSIDE, token, f"{last_part(token.text)}::{method}()")
        elif not HARMLESS_CLASSES.fullmatch(owner):
            self.add(UNKNOWN, token, f"{last_part(token.text)}::{method}()")
        return self._rest(words, opened, tables)

    def _own(self, token: Token, method: str) -> None:
        if method in self.owner.methods:
            self.method(method)
        else:
            self.add(UNKNOWN, token, f"{method}() of another class")

    def _on_connection(self, token: Token, parts: Sequence[Sequence[Token]]) -> None:
        if parts and (_literal(parts[0]) is None or _literal(parts[0]) != self.connection):
            self.add(CONNECTION, token, "a connection of its own")

    def _schema(self, words: Sequence[Token], index: int, opened: int, tables: Tables) -> int:
        """A call on the schema builder whose ``(`` is at ``opened``; returns the index behind it and its chain."""
        token, name = words[index], words[opened - 1].text
        method = name.lower()
        parts, end = arguments(words, opened)
        first = _literal(parts[0]) if parts else None
        shown = first or "of a computed name"
        if method == "connection":
            self._on_connection(token, parts)
            if end + 3 < len(words) and words[end + 3].is_symbol("("):
                return self._schema(words, index, end + 3, tables)
        elif method in ("create", "table") or WHEN.fullmatch(method):
            self.add(STRUCTURE, token, f"{name} {shown}", first)
            self._blueprints(token, parts[1:], first, tables)
            return end + 1
        elif method in ("drop", "dropifexists"):
            self.add(DROP_TABLE, token, f"drops table {shown}", first)
        elif method == "rename":
            self._rename(token, first, parts[1:])
        elif method == "dropcolumns":
            for column in _literals(parts[1:]) or [None]:
                self._drop_column(token, first, column)
        elif BEYOND.fullmatch(method):
            self.add(OUTSIDE, token, f"Schema::{name}()")
        elif not ASKS.fullmatch(method) or not all(GETS.fullmatch(asked) for asked in _chain(words, end)):
            self.add(UNKNOWN, token, f"Schema::{name}()")
        return self._rest(words, opened, tables)

    def _rename(self, token: Token, old: str | None, parts: Sequence[Sequence[Token]]) -> None:
        new = _literal(parts[0]) if parts else None
        self.add(RENAME, token, f"renames table {old or 'of a computed name'} to {new or 'a computed one'}", old)
        self.add(STRUCTURE, token, f"table {new or 'of a computed name'}", new)

    def _database(self, words: Sequence[Token], index: int, opened: int) -> None:
        token, name = words[index], words[opened - 1].text
        method = name.lower()
        parts, end = arguments(words, opened)
        chain = _chain(words, end)
        if method == "connection":
            self._on_connection(token, parts)
        reads = (
            bool(WRAPS.fullmatch(method))
            or (method == "select" and bool(parts) and bool(re.match(r"(?i)\s*(?:SELECT|SHOW)\b", _text(parts[0]))))
            or (bool(GETS.fullmatch(method)) and all(GETS.fullmatch(link) for link in chain))
            or (method == "table" and _any(READING, chain) and not _any(WRITES, chain))
        )
        if reads:
            return
        table = _literal(parts[0]) if method == "table" and parts else None
        head = (table or "computed") if method == "table" else _sql_head(_text(parts[0])) if parts else ""
        said = f"DB::{name}({head})" + "".join(f"->{link}()" for link in chain)
        lossy = _any(LOSSY_QUERIES, chain) or (method != "table" and bool(parts) and _takes_away(_text(parts[0])))
        self.found.append(Operation(ROWS, token.line, said, table, None, lossy))

    def _blueprints(self, token: Token, parts: Sequence[Sequence[Token]], table: str | None, tables: Tables) -> None:
        """The closures among the arguments of ``Schema::table``: their first parameter is its blueprint."""
        closures = 0
        for part in parts:
            if not part[1 if part[0].is_word("static") else 0].is_word("function", "fn"):
                continue
            closures += 1
            opened = next(index for index, word in enumerate(part) if word.is_symbol("("))
            closed = closing(part, opened)
            variable = next((word.text for word in part[opened:closed] if word.kind == "variable"), "")
            self.read(part[closed + 1 :], {**tables, variable: table})
        if not closures:
            self.add(UNKNOWN, token, "a computed closure")

    def _on_variable(self, words: Sequence[Token], index: int, tables: Tables) -> int:
        token, method, opened = words[index], words[index + 2].text, index + 3
        if token.text == "$this":
            self._own(token, method.lower())
        elif token.text not in tables:
            self.add(UNKNOWN, token, f"{token.text}->{method}()")
        else:
            parts, end = arguments(words, opened)
            self._on_blueprint(token, method.lower(), parts, tables[token.text], _chain(words, end))
        return self._rest(words, opened, tables)

    def _on_blueprint(
        self, token: Token, method: str, parts: Sequence[Sequence[Token]], table: str | None, chain: Sequence[str]
    ) -> None:
        names = _literals(parts)
        first = names[0] if names else None
        shown = f"{table or 'a table'}.{first or 'of a computed name'}"
        if "change" in (link.lower() for link in chain):
            self.add(CHANGE, token, f"changes the type of {shown}", table, first)
        elif method in SHORTHANDS:
            for column in names if names and method.startswith("dropsoft") else SHORTHANDS[method]:
                self._drop_column(token, table, column)
        elif method == "dropmorphs":
            for suffix in ("_id", "_type"):
                self._drop_column(token, table, first + suffix if first else None)
        elif method in COMPUTED_COLUMNS:
            self._drop_column(token, table, None)
        elif method in ("dropcolumn", "dropconstrainedforeignid"):
            for column in names or [None]:
                self._drop_column(token, table, column)
        elif method == "renamecolumn":
            self.add(RENAME, token, f"renames column {shown}", table, first)
        elif method == "rename":
            self._rename(token, table, parts)
        elif method in ("drop", "dropifexists"):
            self.add(DROP_TABLE, token, f"drops table {table or 'of a computed name'}", table)

    def _drop_column(self, token: Token, table: str | None, column: str | None) -> None:
        said = f"drops column {table or 'a table'}.{column or 'of a computed name'}"
        self.add(DROP_COLUMN, token, said, table, column)


def _statements(words: Sequence[Token]) -> tuple[Sequence[Token], Token | None]:
    """What of a body can be reached, and the word of an unconditional end by an exception, None without one."""
    index = start = 0
    while index < len(words):
        token = words[index]
        if index == start and token.is_word("return", "throw", "exit", "die", "abort"):
            if token.is_word("return"):
                end = index
                while end < len(words) and not words[end].is_symbol(";"):
                    end = closing(words, end) + 1 if words[end].is_symbol("(", "[", "{") else end + 1
                return words[:end], None
            return words[:index], token
        if token.is_symbol("(", "[", "{", "#["):
            block = token.is_symbol("{")
            index = closing(words, index)
            following = words[index + 1] if index + 1 < len(words) else None
            if block and not (following and following.is_symbol(")", ",", "->", ";")):
                start = index + 1
        elif token.is_symbol(";"):
            start = index + 1
        index += 1
    return words, None


@dataclasses.dataclass(frozen=True)
class Method:
    """What a method does, in the order of its source; ``throws`` is the line of an exception that it always ends in."""

    operations: tuple[Operation, ...]
    empty: bool
    throws: int | None


@dataclasses.dataclass(frozen=True)
class Source:
    """A migration as its file says it; a method is None where the class has none of its own."""

    up: Method | None
    down: Method | None
    connection: bool


def _method(owner: PhpClass, name: str, names: Mapping[str, str], connection: str | None) -> Method | None:
    if name not in owner.methods:
        return None
    reached, ended = _statements(owner.methods[name])
    bodies = {**owner.methods, name: reached}
    reader = _Reader(dataclasses.replace(owner, methods=bodies), names, connection)
    reader.method(name)
    return Method(tuple(reader.found), not reader.found, ended.line if ended else None)


def read_source(text: str, connection: str | None = None) -> Source | None:
    """What the migration in ``text`` does; None if the file holds none.

    ``connection`` is the name of the default connection where it is known: a migration that names that one uses no
    other. Raises RollbackError if the text is no PHP.
    """
    words = tokens(text)
    found = classes(words)
    owner = next((known for known in found if known.parent.lower().endswith("migration")), None)
    owner = owner or next((known for known in found if {"up", "down"} & set(known.methods)), None)
    if owner is None:
        return None
    names = aliases(words)
    foreign = owner.connection is not None and (not owner.connection or owner.connection != connection)
    return Source(_method(owner, "up", names, connection), _method(owner, "down", names, connection), foreign)
