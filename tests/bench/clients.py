"""Clients of a schema, each a process of its own, so that none waits for the interpreter of another."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import random
import time

import pymysql

DEADLOCK, READ_ONLY = 1213, 1290
GONE, LOST = 2006, 2013
ACCOUNT = "app"
PROBE_S = 0.02


@dataclasses.dataclass(frozen=True)
class Statement:
    """When it was sent and answered, in seconds of the machine's clock, and the server's error, 0 for none."""

    read: bool
    began: float
    ended: float
    code: int


@dataclasses.dataclass
class Seen:
    """What one client saw: its statements, and when the commit of a row, known by its token, was acknowledged."""

    statements: list[Statement] = dataclasses.field(default_factory=list)
    acknowledged: dict[str, float] = dataclasses.field(default_factory=dict)


def create_account(db) -> None:
    """An account that may do what an application may, and no more: a freeze has to hold it up."""
    db.run(f"CREATE USER {ACCOUNT}@localhost")
    db.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO {ACCOUNT}@localhost")


class Session:
    """A client's connection; after an error it goes on, as an application would."""

    def __init__(self, socket: str, schema: str, rows: dict[str, int], number: int, token: str) -> None:
        self.socket, self.schema, self.rows, self.token, self.number = socket, schema, rows, token, number
        self.seen = Seen()
        self.random = random.Random(number)
        self.connect()

    def connect(self) -> None:
        self.connection = pymysql.connect(
            unix_socket=self.socket,
            user=ACCOUNT,
            database=self.schema,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,
        )

    def run(self, sql: str, read: bool = False) -> int:
        """Error of a statement, 0 for none."""
        began, code = time.monotonic(), 0
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                if read and not cursor.fetchall():
                    # Every row that is asked for was there before.
                    code = -1
        except pymysql.MySQLError as error:
            # Without a number the connection was gone before anything was sent.
            code = (error.args[0] if error.args else 0) or GONE
        self.seen.statements.append(Statement(read, began, time.monotonic(), code))
        if code in (GONE, LOST):
            with contextlib.suppress(pymysql.MySQLError):
                self.connect()
        return code

    def row(self, token: str) -> str:
        """The INSERT of a row that can be found again."""
        campaign, contact = (1 + self.random.randrange(self.rows[table]) for table in ("campaigns", "contacts"))
        return (
            "INSERT INTO campaign_logs (campaign_id, contact_id, message_id, created_at)"
            f" VALUES ({campaign}, {contact}, '{token}', '2026-11-21')"
        )


def probe(session: Session, count: int) -> None:
    """One read and one write every 20 ms."""
    due = time.monotonic() + PROBE_S
    session.run(f"SELECT body FROM messages WHERE id = {1 + session.random.randrange(session.rows['messages'])}", True)
    token = f"{session.token}-{count}"
    if not session.run(session.row(token)):
        session.seen.acknowledged[token] = time.monotonic()
    # The pace of the probe.
    time.sleep(max(0.0, due - time.monotonic()))


def read(session: Session, count: int) -> None:
    """Look at a log with its campaign."""
    key = 1 + session.random.randrange(session.rows["campaign_logs"] - session.rows["campaigns"])
    session.run(
        "SELECT l.status, c.name FROM campaign_logs l JOIN campaigns c ON c.id = l.campaign_id"
        f" WHERE l.id BETWEEN {key} AND {key + 20}",
        True,
    )


def write(session: Session, count: int) -> None:
    """A transaction on a parent and its child, again after a deadlock, and while the server takes no writes."""
    token = f"{session.token}-{session.number}-{count}"
    statements = [
        "START TRANSACTION",
        f"UPDATE campaigns SET note = '{token}' WHERE id = {1 + session.random.randrange(100)}",
        session.row(token),
        "COMMIT",
    ]
    for _attempt in range(2000):
        code = next(filter(None, map(session.run, statements)), 0)
        if not code:
            session.seen.acknowledged[token] = time.monotonic()
            return
        if code != DEADLOCK:
            session.run("ROLLBACK")
        if code not in (DEADLOCK, READ_ONLY):
            return
        # As an application would: a client that hammers at a frozen server would be the load itself.
        time.sleep(0.005)


class Clients:
    """At work on a schema inside the ``with``; ``seen`` has afterwards what each of them saw."""

    def __init__(self, place, token: str, *roles) -> None:
        self.place, self.token, self.roles = place, token, roles
        self.seen: list[Seen] = []

    def __enter__(self):
        self.parent = os.getpid()
        fork = multiprocessing.get_context("fork")
        self.stop = fork.Event()
        self.rounds = [fork.Value("L", 0) for _role in self.roles]
        self.pipes = [fork.Pipe(duplex=False) for _role in self.roles]
        self.processes = [fork.Process(target=self._work, args=(number,)) for number in range(len(self.roles))]
        for process in self.processes:
            process.start()
        self.go_on()
        return self

    def _work(self, number: int) -> None:
        place = self.place
        session = Session(place.server.socket, place.schema, place.rows, number, self.token)
        for count in itertools.count():
            # Whoever is killed tells nobody to stop.
            if self.stop.is_set() or os.getppid() != self.parent:
                break
            self.roles[number](session, count)
            self.rounds[number].value = count + 1
        self.pipes[number][1].send(session.seen)

    def go_on(self, times: int = 20) -> None:
        """Wait until each has done its work some more times."""
        wanted = [done.value + times for done in self.rounds]
        while any(done.value < enough for done, enough in zip(self.rounds, wanted)):
            if not all(process.is_alive() for process in self.processes):
                raise RuntimeError("a client of the benchmark died")
            # Processes that share two counters and nothing else; looking all the time would take a core from them.
            time.sleep(0.002)

    def __exit__(self, *unused: object) -> None:
        self.stop.set()
        for process, (receiving, _sending) in zip(self.processes, self.pipes):
            while not receiving.poll(0.1) and process.is_alive():
                pass
            if receiving.poll():
                self.seen.append(receiving.recv())
            process.join()

    # What they saw

    def statements(self, read: bool | None = None) -> list[Statement]:
        return [one for seen in self.seen for one in seen.statements if read is None or one.read == read]

    def acknowledged(self) -> set[str]:
        return {token for seen in self.seen for token in seen.acknowledged}

    def failed(self, *codes: int, read: bool | None = None) -> int:
        """Statements that failed with one of ``codes``, or with any but those that every client knows to repeat."""
        found = [one.code for one in self.statements(read) if one.code]
        if codes:
            return sum(code in codes for code in found)
        return sum(code not in (DEADLOCK, READ_ONLY) for code in found)

    def slowest(self, read: bool) -> float:
        return max(one.ended - one.began for one in self.statements(read))

    def outage(self, began: float = 0.0, ended: float = float("inf")) -> float:
        """Longest time without a successful read, or without a successful write, that ended in this span of time."""
        longest = 0.0
        for seen in self.seen:
            for read in (True, False):
                ends = [one.ended for one in seen.statements if one.read == read and not one.code]
                gaps = [after - before for before, after in zip(ends, ends[1:]) if after >= began and before <= ended]
                longest = max([longest, *gaps])
        return longest

    def longest_pause(self) -> float:
        """Longest time between two acknowledged transactions of one client."""
        times = [list(seen.acknowledged.values()) for seen in self.seen]
        return max((after - before for own in times for before, after in zip(own, own[1:])), default=0.0)
