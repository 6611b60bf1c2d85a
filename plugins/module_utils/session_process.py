"""Who runs a WhatsApp session now, and how to have nobody run it for a while.

Baileys opens no file for longer than a write, so a process is known by what it was started with as well as by what it
has open. What a container hides from this host's ``/proc``, and other hosts, cannot be seen from here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator

from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal
from ansible_collections.campaign.rollback.plugins.module_utils.pm2 import Pm2
from ansible_collections.campaign.rollback.plugins.module_utils.processes import ENDED
from ansible_collections.campaign.rollback.plugins.module_utils.session_state import Store
from ansible_collections.campaign.rollback.plugins.module_utils.sessions import COMPONENT

#: Name of the journal's step; no account has a blank in its name.
HOLD = "the service"
#: pm2's own daemon is started with the environment of whoever called it first.
DAEMON = "God Daemon"
#: Beginnings of the programs that a service of these libraries can be. An editor that shows its code is none.
RUNTIMES = ("node", "bun", "deno", "chrom", "google-chrome", "headless_shell")
#: Where a shell stood when it started something says nothing about that.
PLACES = ("PWD=", "OLDPWD=")


@dataclasses.dataclass
class Holder:
    """A process that runs a session; its environment, which holds secrets, is not kept."""

    pid: int
    command: str

    def __str__(self) -> str:
        """How an operator finds it."""
        return f"process {self.pid} ({self.command})"


@dataclasses.dataclass
class Seen:
    """What ``/proc`` says of one process; ``words`` are its arguments and its environment."""

    pid: int
    parent: int
    command: str
    program: str
    directory: str
    arguments: list[str]
    words: list[str]


def read_words(path: str) -> list[str]:
    """Arguments or environment of a process; empty if it ended or may not be read."""
    try:
        with open(path, "rb") as stream:
            words = [os.fsdecode(word) for word in stream.read().split(b"\0")]
    except OSError:
        return []
    return [word for word in words if word and not word.startswith(PLACES)]


def read_link(path: str) -> str:
    """Where a link leads; empty if the process ended or has none."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def read_one(directory: str) -> Seen | None:
    """One process; None if it ended."""
    try:
        with open(os.path.join(directory, "stat"), encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return None
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    if state in ENDED:
        return None
    arguments = read_words(os.path.join(directory, "cmdline"))
    return Seen(
        pid=int(os.path.basename(directory)),
        parent=int(parent),
        command=text[text.index("(") + 1 : text.rindex(")")],
        program=os.path.basename(read_link(os.path.join(directory, "exe"))),
        directory=read_link(os.path.join(directory, "cwd")),
        arguments=arguments,
        words=arguments + read_words(os.path.join(directory, "environ")),
    )


def read_all(root: str = "/proc") -> list[Seen]:
    """Every process that runs, but this one and those that it was started by."""
    entries = (read_one(os.path.join(root, entry)) for entry in os.listdir(root) if entry.isdigit())
    found = {process.pid: process for process in entries if process}
    own = os.getpid()
    while own in found:
        own = found.pop(own).parent
    return list(found.values())


def names(word: str, path: str) -> bool:
    """Whether a word names ``path`` itself or what is below it, as ``--user-data-dir=<path>`` does."""
    start = word.find(path)
    return start >= 0 and word[start + len(path) :][:1] in ("", "/", ":", ",", '"', "'")


def names_exactly(word: str, path: str) -> bool:
    """Whether a word names ``path`` itself, and not another account's folder below it."""
    start = word.find(path)
    return start >= 0 and word[start + len(path) :].rstrip("/\"'")[:1] in ("", ":", ",")


def runs(process: Seen, program: str) -> bool:
    """Whether a process runs ``program``, in this release or in another one: the last two names of its path count."""
    wanted = os.path.realpath(program).split("/")[-2:]
    # A process that gave itself a title has all of its arguments in one.
    words = [word for argument in process.arguments for word in argument.split()]
    return any(os.path.realpath(os.path.join(process.directory, word)).split("/")[-2:] == wanted for word in words)


def is_holder(process: Seen, folder: str, program: str) -> bool:
    """Whether what a process was started with says that it runs the session in ``folder``."""
    if not process.program.startswith(RUNTIMES) or any(DAEMON in word for word in process.arguments):
        return False
    store = os.path.dirname(folder)
    named = any(names(word, folder) or names_exactly(word, store) for word in process.words)
    return named or bool(program and runs(process, program))


def has_open(pid: int, path: str, root: str = "/proc") -> bool:
    """Whether a process has a file below ``path`` open for writing; who only reads may be a backup."""
    directory = os.path.join(root, str(pid), "fd")
    try:
        for name in os.listdir(directory):
            if os.readlink(os.path.join(directory, name)).startswith(path + "/"):
                with open(os.path.join(root, str(pid), "fdinfo", name), encoding="ascii") as stream:
                    flags = next(line.split()[1] for line in stream if line.startswith("flags:"))
                if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    except OSError:
        pass
    return False


def holders(store: Store, accounts: list[str], program: str = "", root: str = "/proc") -> dict[str, list[Holder]]:
    """Processes that run the session of each account; one that a holder started counts as part of it."""
    everyone = read_all(root)
    parents = {process.pid: process.parent for process in everyone}

    def ancestors(pid: int) -> set[int]:
        seen: set[int] = set()
        # Ids are used again, so that what was read one after the other may go in circles.
        while pid in parents and parents[pid] not in seen:
            pid = parents[pid]
            seen.add(pid)
        return seen

    found = {}
    for account in accounts:
        folder = store.folder_of(account)
        own = {
            process.pid: Holder(process.pid, process.command)
            for process in everyone
            if is_holder(process, folder, program) or has_open(process.pid, folder, root)
        }
        found[account] = [own[pid] for pid in sorted(own) if not own.keys() & ancestors(pid)]
    return found


def distinct(found: dict[str, list[Holder]]) -> list[Holder]:
    """The processes of all accounts, each once."""
    return list({holder.pid: holder for each in found.values() for holder in each}.values())


#: Who runs the sessions at this moment, by account.
Look = Callable[[], "dict[str, list[Holder]]"]


def refuse_two(look: Look) -> None:
    """Raise if more than one process runs the same session."""
    for account, found in look().items():
        if len(found) > 1:
            raise RollbackError(
                f"Two processes run the session {account}, which breaks it; nothing is done while both live",
                found=", ".join(map(str, found)),
                next_step="stop all but one of them, then run the same command again",
            )


def refuse_running(look: Look) -> None:
    """Raise if a session is run by anybody: what a browser holds in memory is not on disk."""
    for account, found in look().items():
        if found:
            raise RollbackError(
                f"The profile of {account} cannot be copied while its browser runs",
                found=", ".join(map(str, found)),
                next_step="set whatsapp_session_quiesce, so that the service is stopped meanwhile",
            )


def prove_stopped(look: Look, wait_s: float) -> None:
    """Wait until nobody runs the sessions: a browser may end a moment after the process that started it."""
    deadline = time.monotonic() + wait_s
    while True:
        found = distinct(look())
        if not found:
            return
        if time.monotonic() >= deadline:
            raise RollbackError(
                "A process still runs a session, so the folders are left alone",
                found=", ".join(map(str, found)),
                next_step="stop it, then run the same command again",
            )
        time.sleep(0.1)


@dataclasses.dataclass
class Service:
    """The process that runs all sessions of a host under pm2; ``pm2`` is None where something else supervises it."""

    look: Look
    pm2: Pm2 | None = None
    name: str = ""
    home: str = ""
    ecosystem: str = ""
    wait_s: float = 10.0
    #: Whether it was started here.
    started: bool = False

    def start(self) -> None:
        """Start it from its ecosystem file, and keep pm2's table for the next boot."""
        if self.pm2 is not None:
            self.pm2.start(self.name, self.ecosystem)
            self.pm2.save(self.home)
            self.started = True

    def restart(self) -> str:
        """Start it afresh, once nobody else runs a session; returns why that is not possible, empty if it is done."""
        if self.pm2 is None:
            return "it is not under pm2, so nothing here can restart it"
        refuse_two(self.look)
        if self.pm2.find(self.name) is not None:
            self.pm2.forget(self.name)
        prove_stopped(self.look, self.wait_s)
        self.start()
        return ""

    @contextlib.contextmanager
    def stopped(self, journals: list[Journal]) -> Iterator[None]:
        """Nobody runs the sessions in the body: proven by ``look``, and not only by pm2's word.

        The service is started again after it if it ran before, or if a run whose journal is among ``journals`` was
        killed after it had stopped it. The first of the journals is that of the run that acts.
        """
        refuse_two(self.look)
        found = self.pm2.find(self.name) if self.pm2 is not None else None
        if self.pm2 is not None and found is not None and not found.at_rest:
            with journals[0].step(COMPONENT, "hold", HOLD, {"pm2": self.name}):
                self.pm2.forget(self.name)
        try:
            prove_stopped(self.look, self.wait_s)
            yield
        finally:
            self._start_again(journals)

    def _start_again(self, journals: list[Journal]) -> None:
        pending = [(journal, step) for journal in journals for step in journal.to_undo(COMPONENT, HOLD)]
        if self.pm2 is None or not pending:
            return
        if self.pm2.find(self.name) is None:
            self.start()
        for journal, step in pending:
            journal.undone(step.seq)
