"""SQL dump files, proven whole before anything is done with them, and the server's own programs."""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Callable

from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    DISK_FULL,
    operating_system_user,
    public_message,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import (
    make_private_directory,
    write_atomically,
)

_BLOCK = 1024 * 1024
_TOOLS: dict[str, dict[str, tuple[str, ...]]] = {
    "mariadb": {"dump": ("mariadb-dump", "mysqldump"), "client": ("mariadb", "mysql")},
    "mysql": {"dump": ("mysqldump",), "client": ("mysql",)},
}
_TRAILER = re.compile(rb"^-- Dump completed( on .*)?\s*$")
_SANDBOX = re.compile(rb"^/\*M?!999999\\- enable the sandbox mode \*/")
# A dump must stay inside the schema it is loaded into and leave the server's settings alone.
_FOREIGN = re.compile(
    rb"^\s*(?:/\*M?!\d*\s*)?(?:USE\s|(?:CREATE|DROP|ALTER)\s+(?:/\*.*?\*/\s*)?(?:DATABASE|SCHEMA)\b|SET\s+(?:@@)?GLOBAL\b)",
    re.IGNORECASE,
)
_CREATED = re.compile(rb"^CREATE TABLE (?:IF NOT EXISTS )?`((?:[^`]|``)+)`")
_DELIMITER = re.compile(rb"^\s*DELIMITER\s+(\S+)", re.IGNORECASE)
_CLIENT_ERROR = re.compile(r"^ERROR (\d+) \(\w+\) at line (\d+)[^:\n]*: ", re.MULTILINE)


def tool(engine: str, kind: str) -> str:
    """Full path of the server's own ``dump`` or ``client`` program; raises RollbackError if it is not installed."""
    for name in _TOOLS[engine][kind]:
        path = shutil.which(name)
        if path:
            return path
    raise RollbackError("A command line tool of the database is not installed", found=" or ".join(_TOOLS[engine][kind]))


def connection_arguments(defaults_file: str | None, socket: str) -> list[str]:
    """First arguments of every command line tool; secrets stay in the option file."""
    if defaults_file:
        return ["--defaults-file=" + defaults_file, "--socket=" + socket]
    return ["--no-defaults", "--user=" + operating_system_user(), "--socket=" + socket]


def dump_command(engine: str, connection: list[str], schema: str, *more: str) -> list[str]:
    """Arguments of a consistent dump that blocks no writer; ``more`` options are added."""
    options = [
        "--single-transaction",
        "--quick",
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=1G",
    ]
    if engine == "mysql":
        options.append("--set-gtid-purged=OFF")
    return [tool(engine, "dump"), *connection, *options, *more, "--", schema]


def client_command(engine: str, connection: list[str], schema: str, *more: str) -> list[str]:
    """Arguments of the client that reads statements from its standard input; ``more`` options are added.

    Binary mode keeps NUL and CR bytes and, like the sandbox line of newer dumps, turns off the client's own commands.
    """
    options = ["--binary-mode", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"]
    options.append("--init-command=SET SESSION lock_wait_timeout=30")
    return [tool(engine, "client"), *connection, *options, *more, "--", schema]


class Progress:
    """How far a long transfer is, in a file for whoever waits: ``{"done", "total", "at"}``, at most once a second.

    ``total`` may be an estimate. That the file cannot be written is no reason to stop the transfer. ``limit`` in bytes
    per second holds the transfer back, so that the system beside it stays responsive; 0 does not.
    """

    def __init__(
        self,
        path: str | None,
        total: int,
        clock: Callable[[], float] = time.time,
        limit: float = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is written without a ``path``."""
        self._path, self._total, self._clock, self._limit, self._sleep = path, total, clock, limit, sleep
        self._done, self._written, self._due = 0, float("-inf"), float("-inf")

    def __enter__(self) -> Progress:
        """Write the file for the first time."""
        self.add(0)
        return self

    def __exit__(self, *unused: object) -> None:
        """Remove the file."""
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def add(self, count: int) -> None:
        """Another ``count`` bytes are through; returns when the next ones may follow."""
        self._done += count
        at = self._clock()
        if self._limit:
            share = count / self._limit
            # What could have been sent during a pause is not caught up on, and a clock set back holds nothing up.
            self._due = max(self._due + share, at)
            self._sleep(min(self._due - at, share))
        if not self._path or at - self._written < 1:
            return
        self._written = at
        text = json.dumps({"done": self._done, "total": max(self._total, self._done), "at": at})
        with contextlib.suppress(OSError):
            make_private_directory(os.path.dirname(self._path))
            write_atomically(self._path, text.encode("utf-8"))


def piped(stream: IO[bytes] | None) -> IO[bytes]:
    """The pipe that was asked for; tells the type checker that there is one."""
    if stream is None:
        raise RollbackError("A pipe to a child process is missing")
    return stream


def end_with_parent() -> None:
    """A client that outlives its killed parent would go on with what is in the pipe, beside the next attempt's load."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Messages:
    """Collects a child's messages in a file, so that no pipe can fill up and block it."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the child)

    def text(self) -> str:
        """The last 4 KiB."""
        # The end, because newer clients show the failed statement first, which may be as long as a table.
        self.file.seek(max(0, self.file.seek(0, os.SEEK_END) - 4096))
        return self.file.read().decode("utf-8", "replace").strip()


def is_complete(tail: bytes) -> bool:
    """True if the last line that is not blank is a dump's completion trailer."""
    lines = [line for line in tail.splitlines() if line.strip()]
    return bool(lines) and _TRAILER.match(lines[-1]) is not None


@contextlib.contextmanager
def zstd(path: str) -> Iterator[IO[bytes]]:
    """Where to write what becomes the compressed file ``path``; raises RollbackError if that is not all of it."""
    messages = Messages()
    with open(path, "xb") as target:
        process = subprocess.Popen(
            ["zstd", "-q", "-T0", "-c"], stdin=subprocess.PIPE, stdout=target, stderr=messages.file
        )
        sink = piped(process.stdin)
        try:
            # A compressor that stops says why in its own words.
            with contextlib.suppress(BrokenPipeError), sink:
                yield sink
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
    if code:
        raise RollbackError("Compressing the backup failed", found=f"exit {code}: {messages.text()}", where=path)


@contextlib.contextmanager
def unzstd(file: IO[bytes], path: str) -> Iterator[IO[bytes]]:
    """What the compressed ``file`` holds, to be read to its end; raises RollbackError then if it is damaged."""
    if not shutil.which("zstd"):
        raise RollbackError("zstd is not installed", next_step="apt-get install zstd")
    messages = Messages()
    process = subprocess.Popen(["zstd", "-q", "-dc"], stdin=file, stdout=subprocess.PIPE, stderr=messages.file)
    source = piped(process.stdout)
    try:
        yield source
        source.close()
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code:
        raise RollbackError(
            "The dump is damaged: it does not decompress", found=f"{path} (zstd: {messages.text() or code})"
        )


class Dump:
    """An existing ``.sql``, ``.sql.gz`` or ``.sql.zst`` file, held open so that what is loaded is what was verified."""

    def __init__(self, path: str) -> None:
        """Open ``path``; raises RollbackError if that is impossible or the name says nothing about its form."""
        self.path = path
        kinds = {".sql": "plain", ".sql.gz": "gzip", ".sql.zst": "zstd"}
        self.kind = next((kind for suffix, kind in kinds.items() if path.endswith(suffix)), "")
        if not self.kind:
            raise RollbackError("A dump's name ends in .sql, .sql.gz or .sql.zst", found=path)
        try:
            self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise RollbackError("The dump cannot be read", found=f"{path} ({error.strerror})") from error
        self.bytes = os.fstat(self._file.fileno()).st_size
        #: Names of the tables that the dump creates, known once it was verified.
        self.tables: list[str] = []

    def __enter__(self) -> Dump:
        """The dump itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Close the file."""
        self._file.close()

    def sha256(self) -> str:
        """Hex SHA-256 of the file as it lies on disk."""
        self._file.seek(0)
        digest = hashlib.sha256()
        for block in iter(lambda: self._file.read(_BLOCK), b""):
            digest.update(block)
        return digest.hexdigest()

    def stream(self) -> contextlib.AbstractContextManager[IO[bytes]]:
        """The SQL text, to be read to its end; raises RollbackError then if it does not decompress completely."""
        self._file.seek(0)
        if self.kind == "plain":
            return contextlib.nullcontext(self._file)
        return unzstd(self._file, self.path) if self.kind == "zstd" else self._gunzipped()

    @contextlib.contextmanager
    def _gunzipped(self) -> Iterator[IO[bytes]]:
        try:
            with gzip.GzipFile(fileobj=self._file) as unpacked:
                yield unpacked  # type: ignore[misc]
        except (OSError, EOFError, zlib.error) as error:
            raise RollbackError(
                "The dump is damaged: it does not decompress", found=f"{self.path} ({error})"
            ) from error

    def verify(self, sha256: str | None = None) -> int:
        """Prove the file whole and harmless; returns its uncompressed bytes.

        Raises RollbackError for a wrong digest, damage, a missing trailer, or statements that leave the schema.
        """
        if sha256 is not None:
            found = self.sha256()
            if found != sha256.lower():
                raise RollbackError(
                    "The dump is not the one that was recorded", found=f"sha256 {found}", where=self.path
                )
        size, tail, fresh, delimiter = 0, b"", True, b";"
        tables: set[bytes] = set()
        with self.stream() as stream:
            # Bounded pieces: one line may be as long as a table.
            for piece in iter(lambda: stream.readline(_BLOCK), b""):
                size += len(piece)
                tail = (tail + piece)[-512:]
                if fresh and piece[:1] != b"I":
                    changed, created = _DELIMITER.match(piece), _CREATED.match(piece)
                    if changed:
                        delimiter = changed.group(1)
                    elif created and delimiter == b";":
                        tables.add(created.group(1).replace(b"``", b"`"))
                    # Another delimiter means the body of a routine, where a line may begin with anything.
                    elif delimiter == b";" and _FOREIGN.match(piece):
                        raise RollbackError(
                            "The dump reaches outside one schema and is refused; make a dump of the one schema alone",
                            found=piece[:60].decode("utf-8", "replace").strip(),
                            where=self.path,
                        )
                fresh = piece.endswith(b"\n")
        if not is_complete(tail):
            raise RollbackError(
                "The dump is truncated: its last line is not the completion trailer",
                found=f"{size} bytes of SQL",
                where=self.path,
            )
        self.tables = sorted(name.decode("utf-8", "replace") for name in tables)
        return size

    def load(
        self, command: list[str], progress: Progress, rewritten: Callable[[Iterable[bytes]], Iterable[bytes]] = iter
    ) -> None:
        """Feed the lines of the SQL text, ``rewritten``, to ``command``.

        Raises RollbackError with the client's message, without values of rows.
        """
        messages = Messages()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=messages.file,
            preexec_fn=end_with_parent,
        )
        sink = piped(process.stdin)
        stopped = False
        try:
            with self.stream() as stream:
                first = stream.readline(4096)
                try:
                    # Clients older than the sandbox line take it for a syntax error; binary mode protects as well.
                    if not _SANDBOX.match(first):
                        sink.write(first)
                    for line in rewritten(stream):
                        sink.write(line)
                        progress.add(len(line))
                except BrokenPipeError:
                    stopped = True
                    for _rest in iter(lambda: stream.read(_BLOCK), b""):
                        pass
            with contextlib.suppress(BrokenPipeError):
                sink.close()
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if code or stopped:
            raise _refused(messages, self.path)


def run_client(command: list[str], text: bytes, where: str) -> None:
    """Give ``text``, a part of the dump ``where`` that is small, to the client ``command``; raises as a load does."""
    messages = Messages()
    code = subprocess.run(
        command,
        input=text,
        stdout=subprocess.DEVNULL,
        stderr=messages.file,
        preexec_fn=end_with_parent,
        check=False,
    ).returncode
    if code:
        raise _refused(messages, where)


def _refused(messages: Messages, where: str) -> RollbackError:
    found = client_message(messages.text())
    if any(f"({number})" in found for number in DISK_FULL):
        return RollbackError(
            "Loading the dump failed because the database server has no room left", found=found, where=where
        )
    return RollbackError("Loading the dump failed", found=found, where=where)


def client_message(text: str) -> str:
    """A client's error as ``line 12: (1064) ...`` without values of rows."""
    # The last one: what looks like another before it is a value in the statement that is shown.
    found = list(_CLIENT_ERROR.finditer(text))
    if not found:
        # Whatever is not in the client's usual form might quote the statement.
        return (
            text.splitlines()[0][:120]
            if text.startswith(("mariadb:", "mysql:", "ERROR 2", "ERROR 1045"))
            else "no usable message"
        )
    return f"line {found[-1].group(2)}: {public_message(int(found[-1].group(1)), text[found[-1].end() :])}"
