"""The one exception type that the pure logic raises and the modules turn into ``fail_json``."""

from __future__ import annotations


class RollbackError(Exception):
    """Something an operator has to know about, phrased for that operator.

    ``what`` is the statement of the problem, ``found`` the offending value (never a secret),
    ``where`` the file, host or setting to look at, ``next_step`` the command to run next.
    """

    def __init__(self, what: str, found: object = None, where: str | None = None, next_step: str | None = None) -> None:
        """Keep the parts apart, so that a caller may use one of them alone."""
        super().__init__(what)
        self.what = what
        self.found = found
        self.where = where
        self.next_step = next_step

    @classmethod
    def of_file(cls, error: OSError) -> RollbackError:
        """A file that could not be written, such as on a full disk."""
        return cls("A file could not be written", found=error.strerror, where=error.filename)

    def __str__(self) -> str:
        """The parts as sentences, in the order in which an operator needs them."""
        parts = [self.what.rstrip(".") + "."]
        if self.found not in (None, ""):
            parts.append(f"Found: {str(self.found).rstrip('.')}.")
        if self.where:
            parts.append(f"Look at: {self.where.rstrip('.')}.")
        if self.next_step:
            parts.append(f"Next: {self.next_step}")
        return " ".join(parts)
