"""What calls in a migration are known to do. Whatever stands in none of these lists is taken for unknown."""

from __future__ import annotations

import re

#: Methods of the schema builder that only ask, or set how it works.
ASKS = re.compile(
    r"(?:has|get)\w+|(?:enable|disable|without)ForeignKeyConstraints|default\w+|morphUsing\w+|blueprintResolver",
    re.IGNORECASE,
)
WHEN = re.compile(r"whenTable(?:Has|DoesntHave)\w+", re.IGNORECASE)
BEYOND = re.compile(r"drop(?:All\w+|DatabaseIfExists)|createDatabase", re.IGNORECASE)
#: Columns that a method of a blueprint drops without naming them.
SHORTHANDS = {
    "droptimestamps": ("created_at", "updated_at"),
    "droptimestampstz": ("created_at", "updated_at"),
    "dropsoftdeletes": ("deleted_at",),
    "dropsoftdeletestz": ("deleted_at",),
    "dropremembertoken": ("remember_token",),
}
COMPUTED_COLUMNS = {"dropforeignidfor", "dropconstrainedforeignidfor"}
#: Facades and functions whose effect is neither in the schema nor undone with its tables.
OUTSIDE_CLASSES = re.compile(
    "artisan|broadcast|bus|cache|event|file|http|mail|notification|process|queue|redis|session|storage", re.IGNORECASE
)
OUTSIDE_FUNCTIONS = re.compile(
    "broadcast|cache|copy|curl_exec|dispatch|dispatch_now|dispatch_sync|event|exec|file_put_contents|fwrite|mail|mkdir"
    "|passthru|popen|proc_open|rename|rmdir|session|shell_exec|symlink|system|touch|unlink",
    re.IGNORECASE,
)
HARMLESS_CLASSES = re.compile("arr|carbon|carbonimmutable|collection|log|str|uuid", re.IGNORECASE)
HARMLESS_FUNCTIONS = re.compile(
    r"array_\w+|str_\w+|str[a-z]+|is_\w+|in_array|count|sprintf|implode|explode|config|env|collect|now|today|compact"
    r"|intval|strval|boolval|max|min|range|json_\w+|class_basename|blank|filled|value|trim|ucfirst|lcfirst|preg_\w+"
    r"|func_get_args|define|defined|method_exists|class_exists|function_exists|logger|info|date|time|microtime|md5|sha1",
    re.IGNORECASE,
)
LANGUAGE = re.compile(
    "abort|and|array|as|catch|declare|die|echo|else|elseif|empty|exit|fn|for|foreach|function|if|isset|list|match|new|or"
    "|print|return|static|switch|throw|unset|use|while|xor|yield",
    re.IGNORECASE,
)
#: SQL that takes away what nobody can bring back, unlike that of an index or a key.
LOSSY_SQL = re.compile(
    r"\bDROP\s+(?!INDEX\b|KEY\b|FOREIGN\b|CONSTRAINT\b|PRIMARY\b|CHECK\b|DEFAULT\b|VIEW\b|TRIGGER\b|PROCEDURE\b"
    r"|FUNCTION\b|EVENT\b|UNIQUE\b|USER\b)|\bTRUNCATE\b|\bDELETE\s+FROM\b|\bMODIFY\b|\bCHANGE\b|\bRENAME\b",
    re.IGNORECASE,
)
SQL_HEAD = re.compile(
    r"\s*([A-Za-z]+(?:\s+(?:TABLE|COLUMN|FROM|INTO|INDEX|VIEW|TRIGGER))?)(?:\s+[`\w.]+)?", re.IGNORECASE
)
LOSSY_QUERIES = re.compile("delete|truncate|forcedelete", re.IGNORECASE)
WRITES = re.compile(r"(?:insert|update|upsert|delete|truncate|increment|decrement|touch|forcedelete)\w*", re.IGNORECASE)
READING = re.compile("avg|count|cursor|doesntexist|exists|find|first|get|max|min|pluck|sum|value", re.IGNORECASE)
WRAPS = re.compile("raw|transaction|begintransaction|commit|rollback", re.IGNORECASE)
GETS = re.compile(r"(?:get(?!pdo|schemabuilder)|has|is|list)\w+", re.IGNORECASE)
