"""Words of PHP source, enough to find classes, their methods and the calls in them. Not a parser: nothing is evaluated.

Comments are dropped, strings and heredocs are single tokens, so a brace or a keyword inside one misleads nobody.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: A word of PHP, with its namespace. Every byte above ASCII may be part of a name.
_WORD = r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*"
NAME = re.compile(rf"\\?{_WORD}(?:\\{_WORD})*")
VARIABLE = re.compile(rf"\${_WORD}")
NUMBER = re.compile(r"\.?[0-9][0-9A-Za-z_.]*")
SYMBOL = re.compile(r"\?->|->|::|=>|#\[|.", re.DOTALL)
HEREDOC = re.compile(rf"<<<[ \t]*(?:'(?P<nowdoc>{_WORD})'|\"?(?P<heredoc>{_WORD})\"?)(?:\r\n|\n|\r)")
OPEN = re.compile(r"<\?(?:php\b|=)?", re.IGNORECASE)
LINE_COMMENT = re.compile(r"(?://|#(?!\[))[^\r\n]*?(?=\?>|[\r\n]|\Z)")
BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SINGLE = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
BLANK = re.compile(r"\s+")
#: What makes a double quoted text one that is computed.
INTERPOLATED = re.compile(r"(?<!\\)(?:\\\\)*(?:\$[A-Za-z_\u0080-\U0010ffff]|\{\$|\$\{)")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "e": "\x1b", "f": "\f"}

PAIRS = {"(": ")", "[": "]", "{": "}", "#[": "]"}


@dataclasses.dataclass(frozen=True)
class Token:
    """One word; ``kind`` is ``name``, ``variable``, ``number``, ``string``, ``template`` (computed text) or ``symbol``.

    ``text`` of a string is its content, of anything else the source itself; ``line`` counts from 1.
    """

    kind: str
    text: str
    line: int

    def is_symbol(self, *texts: str) -> bool:
        """True if this is one of these symbols."""
        return self.kind == "symbol" and self.text in texts

    def is_word(self, *words: str) -> bool:
        """True if this is one of these words, in any case."""
        return self.kind == "name" and self.text.lower() in words


def unreadable(what: str, line: int) -> RollbackError:
    """The source ends or closes where it must not."""
    return RollbackError("The PHP source cannot be read", found=what, where=f"line {line}")


def _skip_expression(text: str, at: int, end: int) -> int:
    """Where the ``}`` stands that closes the interpolated expression that begins before ``at``."""
    depth = 1
    while at < end:
        char = text[at]
        if char == "'":
            match = SINGLE.match(text, at, end)
            if not match:
                return end
            at = match.end()
        elif char == '"':
            at = _quoted_end(text, at + 1, '"', end)
        else:
            depth += {"{": 1, "}": -1}.get(char, 0)
            at += 1
            if not depth:
                return at
    return end


def _quoted_end(text: str, at: int, quote: str, end: int) -> int:
    """Where the text that is closed by ``quote`` ends, the quote included; ``end`` + 1 if it does not."""
    while at < end:
        char = text[at]
        if char == "\\":
            at += 2
        elif char == quote:
            return at + 1
        elif text.startswith(("{$", "${"), at):
            at = _skip_expression(text, at + 2, end)
        else:
            at += 1
    return end + 1


def _content(raw: str, quote: str) -> str:
    """What a text without computed parts says."""
    if quote == "'":
        return re.sub(r"\\([\\'])", r"\1", raw)
    return re.sub(r"\\([ntrvef\\$\"`])", lambda match: ESCAPES.get(match[1], match[1]), raw)


def _heredoc(text: str, match: re.Match[str], line: int) -> tuple[Token, int]:
    label = match["nowdoc"] or match["heredoc"]
    closing = re.compile(rf"^[ \t]*{re.escape(label)}(?![A-Za-z0-9_\u0080-\U0010ffff])", re.MULTILINE)
    found = closing.search(text, match.end())
    if not found:
        raise unreadable(f"the text {label} is not closed", line)
    body = text[match.end() : found.start()]
    computed = not match["nowdoc"] and bool(INTERPOLATED.search(body))
    return Token("template" if computed else "string", body, line), found.end()


def _string(text: str, at: int, line: int) -> tuple[Token, int]:
    quote = text[at]
    if quote == "'":
        match = SINGLE.match(text, at)
        end = match.end() if match else len(text) + 1
    else:
        end = _quoted_end(text, at + 1, quote, len(text))
    if end > len(text):
        raise unreadable("a quoted text is not closed", line)
    raw = text[at + 1 : end - 1]
    computed = quote == "`" or (quote == '"' and bool(INTERPOLATED.search(raw)))
    return Token("template" if computed else "string", raw if computed else _content(raw, quote), line), end


def _words(text: str) -> Iterator[Token]:
    at, line, code = 0, 1, False
    while at < len(text):
        start = at
        token = None
        if not code:
            opened = OPEN.search(text, at)
            at, code = (opened.end(), True) if opened else (len(text), False)
        elif text.startswith("?>", at):
            # Ends a statement as a semicolon does.
            token, at, code = Token("symbol", ";", line), at + 2, False
        elif match := BLANK.match(text, at) or LINE_COMMENT.match(text, at) or BLOCK_COMMENT.match(text, at):
            at = match.end()
        elif text.startswith("/*", at):
            raise unreadable("a comment is not closed", line)
        elif match := HEREDOC.match(text, at):
            token, at = _heredoc(text, match, line)
        elif text[at] in "'\"`":
            token, at = _string(text, at, line)
        else:
            for kind, pattern in (
                ("variable", VARIABLE),
                ("name", NAME),
                ("number", NUMBER),
                ("symbol", SYMBOL),
            ):
                match = pattern.match(text, at)
                if match:
                    token, at = Token(kind, match[0], line), match.end()
                    break
        line += text.count("\n", start, at)
        if token:
            yield token


def tokens(text: str) -> list[Token]:
    """The words of a file. Raises RollbackError if a text, a comment or a bracket is not closed."""
    found = list(_words(text))
    expected: list[str] = []
    for token in found:
        if token.kind != "symbol":
            continue
        if token.text in PAIRS:
            expected.append(PAIRS[token.text])
        elif token.text in PAIRS.values() and (not expected or expected.pop() != token.text):
            raise unreadable(f"{token.text} closes nothing", token.line)
    if expected:
        raise unreadable(f"{expected[-1]} is missing at the end", found[-1].line)
    return found


def closing(words: Sequence[Token], at: int) -> int:
    """Index of the bracket that closes the one at ``at``."""
    depth = 0
    for index in range(at, len(words)):
        if words[index].kind == "symbol":
            depth += (words[index].text in PAIRS) - (words[index].text in PAIRS.values())
            if not depth:
                return index
    raise unreadable("a bracket is not closed", words[at].line)


def arguments(words: Sequence[Token], at: int) -> tuple[list[Sequence[Token]], int]:
    """Arguments of the call whose ``(`` is at ``at``, names left out, and the index of its ``)``."""
    end = closing(words, at)
    found: list[Sequence[Token]] = []
    start = index = at + 1
    while index <= end:
        if index == end or words[index].is_symbol(","):
            part = words[start:index]
            if len(part) > 1 and part[0].kind == "name" and part[1].is_symbol(":"):
                part = part[2:]
            if part:
                found.append(part)
            start = index = index + 1
        elif words[index].kind == "symbol" and words[index].text in PAIRS:
            index = closing(words, index) + 1
        else:
            index += 1
    return found, end


@dataclasses.dataclass(frozen=True)
class PhpClass:
    """A class that stands in the file by itself: last part of its parent's name, bodies by lower case method name.

    ``connection`` is the content of a property ``$connection``, None without one, empty if it is computed.
    """

    parent: str
    methods: dict[str, Sequence[Token]]
    connection: str | None


def last_part(name: str) -> str:
    """A class's own name without its namespace."""
    return name.rsplit("\\", 1)[-1]


def _methods(body: Sequence[Token]) -> tuple[dict[str, Sequence[Token]], str | None]:
    methods: dict[str, Sequence[Token]] = {}
    connection: str | None = None
    index = 0
    while index < len(body):
        token = body[index]
        if token.is_word("function"):
            index += 2 if body[index + 1].is_symbol("&") else 1
            name = body[index].text.lower()
            index = closing(body, index + 1)
            while index < len(body) and not body[index].is_symbol("{", ";"):
                index += 1
            if index < len(body) and body[index].is_symbol("{"):
                end = closing(body, index)
                methods[name] = body[index + 1 : end]
                index = end
        elif token.kind == "variable" and token.text == "$connection" and body[index + 1].is_symbol("="):
            value = body[index + 2]
            alone = body[index + 3].is_symbol(";")
            connection = value.text if alone and value.kind == "string" else ""
            if alone and value.is_word("null"):
                connection = None
        elif token.kind == "symbol" and token.text in PAIRS:
            index = closing(body, index)
        index += 1
    return methods, connection


def classes(words: Sequence[Token]) -> list[PhpClass]:
    """Classes of a file, named or not; those inside of a method are part of that method."""
    found = []
    index = 0
    while index < len(words):
        before = words[index - 1] if index else None
        index += 1
        if not words[index - 1].is_word("class") or (before and before.is_symbol("::", "->", "?->")):
            continue
        parent = ""
        while index < len(words) and not words[index].is_symbol("{"):
            if words[index].is_symbol("("):
                index = closing(words, index)
            elif words[index].is_word("extends") and index + 1 < len(words):
                parent = last_part(words[index + 1].text)
            index += 1
        if index < len(words):
            end = closing(words, index)
            found.append(PhpClass(parent, *_methods(words[index + 1 : end])))
            index = end + 1
    return found


def aliases(words: Sequence[Token]) -> dict[str, str]:
    """Names that ``use X as Y`` gives to classes, in lower case, to the last part of their own."""
    found = {}
    for index in range(len(words) - 3):
        if words[index].is_word("use") and words[index + 1].kind == "name" and words[index + 2].is_word("as"):
            found[words[index + 3].text.lower()] = last_part(words[index + 1].text)
    return found
