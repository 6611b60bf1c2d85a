"""Stop a module's work at its n-th change: a statement that changes the server, or a line of the journal."""

from __future__ import annotations

import os

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

#: What is over with the connection, and so leaves nothing behind that a later point would not.
OF_THE_SESSION = ("USE ", "SET SESSION ")


class Counted(Database):
    """Calls ``at`` before the n-th change, counted from when it is connected; of those that begin with ``only``."""

    left = None

    def __init__(self, server, number, at, only):
        super().__init__(socket=server.socket)
        self.left, self.at, self.only = number, at, only

    def point(self, what):
        if self.left is not None and what.startswith(self.only):
            self.left -= 1
            if self.left == 0:
                self.at()

    def run(self, sql):
        if not sql.startswith(OF_THE_SESSION):
            self.point(sql)
        return super().run(sql)


def stopped(server, number, at, act, only=""):
    """Run ``act`` in a process of its own with ``at`` before its n-th change; returns its exit status, 0 if it ended.

    An exception of ``act`` gives 3. ``act`` gets its connection.
    """
    process = os.fork()
    if not process:
        status = 3
        try:
            with Counted(server, number, at, only) as own:
                record = Journal._record
                Journal._record = lambda *arguments, **fields: (own.point("journal"), record(*arguments, **fields))[1]
                act(own)
                own.left = None
                status = 0
        except RollbackError:
            pass
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def die():
    """What kill -9 does to the process."""
    os._exit(9)
