"""A live git working tree: brought to another commit exactly, and back to where it was with all that was changed in it.

What its files and its index hold is first kept as commits under ``refs/rollback/kept/<run id>/``, so nothing is lost.
Untracked files stay, unless one stands where the other commit has a file: then it is kept too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.campaign.rollback.plugins.module_utils import exchange
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.files import fsync_directory
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal, Step

#: What a repository could have git run by itself is left out.
GIT = ["git", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
#: Paths come on standard input.
LISTED = ["--pathspec-from-file=-", "--pathspec-file-nul"]
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "campaign.rollback"), ("EMAIL", "campaign.rollback@localhost"))
}


@dataclasses.dataclass
class Place:
    """Where a working tree stands: commits with the content of its files and of its index, and its HEAD.

    ``branch`` is the full name of the branch that HEAD is on, with ``commit`` as its tip; empty if it is on none.
    """

    tree: str
    index: str
    commit: str
    branch: str


def names(output: str) -> list[str]:
    """Paths that git printed with ``-z``."""
    return [name for name in output.split("\0") if name]


class Tree:
    """The working tree in ``root``; what is at or below ``kept``, such as links to shared files, is not looked at."""

    def __init__(self, root: str, kept: Sequence[str] = ()) -> None:
        """Raises RollbackError if ``root`` is not the root of a working tree."""
        self.root = os.path.realpath(root)
        self.kept = [path.strip("/") for path in kept]
        if not os.path.lexists(os.path.join(self.root, ".git")):
            raise RollbackError("There is no git working tree", found="no .git", where=root)
        self.directory = self.git("rev-parse", "--absolute-git-dir").strip()

    def git(self, *arguments: str, index: str = "", given: str = "", accept: Sequence[int] = (0,)) -> str:
        """What a git command prints, run as the owner of the tree: its files stay theirs, and its filters too."""
        owner = os.stat(self.root)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
        environment.update(GIT_LITERAL_PATHSPECS="1", **IDENTITY)
        options: dict[str, Any] = {"umask": ~owner.st_mode & 0o777}
        if os.geteuid() == 0 and owner.st_uid != 0:
            options.update(user=owner.st_uid, group=owner.st_gid, extra_groups=[])
        with contextlib.suppress(KeyError):
            environment["HOME"] = pwd.getpwuid(owner.st_uid).pw_dir
        if index:
            environment["GIT_INDEX_FILE"] = index
        done = subprocess.run(
            [*GIT, *arguments],
            cwd=self.root,
            env=environment,
            input=os.fsencode(given),
            capture_output=True,
            check=False,
            **options,
        )
        if done.returncode not in accept:
            raise RollbackError(
                f"git {arguments[0]} failed",
                found=" ".join(os.fsdecode(done.stderr).split())[:300],
                where=self.root,
                next_step=f"git -C {self.root} status",
            )
        return os.fsdecode(done.stdout)

    def commit_of(self, name: str) -> str:
        """Commit that ``name`` means, empty if it is not here."""
        return self.git("rev-parse", "--quiet", "--verify", name + "^{commit}", accept=(0, 1, 128)).strip()

    def head(self) -> tuple[str, str]:
        """Commit of HEAD, and its branch."""
        commit = self.commit_of("HEAD")
        if not commit:
            raise RollbackError("The working tree has no commit", where=self.root)
        return commit, self.git("symbolic-ref", "--quiet", "HEAD", accept=(0, 1)).strip()

    def _is_kept(self, path: str) -> bool:
        return any(path == kept or path.startswith(kept + "/") for kept in self.kept)

    def _is_directory(self, path: str) -> bool:
        full = os.path.join(self.root, path)
        return os.path.isdir(full) and not os.path.islink(full)

    def _fill(self, index: str, tree: str) -> None:
        """Make ``index`` one of ``tree`` without what is kept, that knows which files on disk are as in it.

        Always afresh, so that a file is compared by content even if its owner told git to take it for unchanged.
        """
        for path in (index, index + ".lock"):
            if os.path.exists(path):
                os.unlink(path)
        self.git("read-tree", tree, index=index)
        if self.kept:
            self.git("rm", "-r", "-f", "-q", "--cached", "--ignore-unmatch", "--", *self.kept, index=index)
        self.git("update-index", "-q", "--refresh", index=index, accept=(0, 1))

    @contextlib.contextmanager
    def _outside(self) -> Iterator[str]:
        """Path for an index outside of the repository."""
        with tempfile.TemporaryDirectory() as directory:
            owner = os.stat(self.root)
            if os.geteuid() == 0:
                os.chown(directory, owner.st_uid, owner.st_gid)
            yield os.path.join(directory, "index")

    @contextlib.contextmanager
    def _scratch(self, tree: str) -> Iterator[str]:
        """An index of ``tree`` outside of the repository."""
        with self._outside() as index:
            self._fill(index, tree)
            yield index

    def _differing(self, index: str) -> list[str]:
        return names(self.git("diff-files", "--name-only", "-z", index=index))

    def changes(self, commit: str) -> list[str]:
        """Tracked paths whose files are not those of ``commit``."""
        with self._scratch(commit) as index:
            return self._differing(index)

    def staged(self, commit: str) -> list[str]:
        """Paths whose content in the index is not that of ``commit``."""
        found = names(self.git("diff-index", "--cached", "--name-only", "-z", commit))
        return [path for path in found if not self._is_kept(path)]

    def modified(self) -> list[str]:
        """Tracked paths that are not as in HEAD, on disk or in the index."""
        return sorted({*self.changes("HEAD"), *self.staged("HEAD")})

    def check(self) -> None:
        """Refuse a tree that somebody is at work in."""
        lock = os.path.join(self.directory, "index.lock")
        if os.path.exists(lock):
            raise RollbackError(
                "Another git command is at work in the working tree, or was killed there",
                found="a lock",
                where=lock,
                next_step=f"rm {lock} (if no git runs any more)",
            )
        if self.git("ls-files", "--unmerged", "-z"):
            raise RollbackError(
                "The working tree is in the middle of a merge", where=self.root, next_step=f"git -C {self.root} status"
            )

    def _index_tree(self) -> str:
        """Tree with the content of the index, whose own file git would lock to write it."""
        with self._outside() as index:
            shutil.copy(os.path.join(self.directory, "index"), index)
            if os.geteuid() == 0:
                shutil.chown(index, os.stat(self.root).st_uid)
            return self.git("write-tree", index=index).strip()

    def _in_the_way(self, index: str, commit: str) -> list[str]:
        """Untracked files and directories where ``commit`` has a file, or a directory in place of such a file."""
        tracked = set(names(self.git("ls-files", "-z", index=index)))
        found = set()
        for wanted in names(self.git("ls-tree", "-r", "-z", "--name-only", commit)):
            parts = [] if wanted in tracked or self._is_kept(wanted) else wanted.split("/")
            for length in range(1, len(parts) + 1):
                path = "/".join(parts[:length])
                full = os.path.join(self.root, path)
                if not os.path.lexists(full):
                    break
                if not self._is_directory(path):
                    found.update({path} - tracked)
                    break
                if length == len(parts) and any(files for _path, _names, files in os.walk(full)):
                    found.add(path)
        return sorted(found)

    def keep(self, run_id: str, towards: str) -> Place:
        """Keep where the tree stands, before it is brought to ``towards``."""
        commit, branch = self.head()
        index_tree = self._index_tree()
        with self._scratch(index_tree) as index:
            self.git("add", "--update", "--", ".", index=index)
            in_the_way = self._in_the_way(index, towards)
            if in_the_way:
                self.git("add", "--force", *LISTED, index=index, given="\0".join(in_the_way))
            tree = self.git("write-tree", index=index).strip()
        said = ["-m", f"Working tree before the rollback run {run_id}"]
        staged = self.git("commit-tree", index_tree, "-p", commit, "-m", "index").strip()
        kept = self.git("commit-tree", tree, "-p", commit, "-p", staged, *said).strip()
        self.git("update-ref", f"refs/rollback/kept/{run_id}/{kept[:12]}", kept)
        return Place(kept, staged, commit, branch)

    def move(self, place: Place, leaving: Sequence[str]) -> None:
        """Bring files, index and HEAD to ``place``; what only the commits ``leaving`` have goes away.

        May be killed anywhere and called again: the index, by which git knows what is its own, changes after the files.
        """
        index = os.path.join(self.directory, "rollback.index")
        for commit in leaving:
            self._remove(index, commit, place.tree)
        self._fill(index, place.tree)
        different = self._differing(index)
        self.git("checkout-index", "--force", "--quiet", "-z", "--stdin", index=index, given="\0".join(different))
        self.git("read-tree", "--reset", place.index, index=index)
        self.git("update-index", "-q", "--refresh", index=index, accept=(0, 1))
        os.rename(index, os.path.join(self.directory, "index"))
        fsync_directory(self.directory)
        self._set_head(place)

    def _remove(self, index: str, leaving: str, wanted: str) -> None:
        """Remove the files that ``leaving`` has and ``wanted`` has not."""
        left = self.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=D", leaving, wanted)
        # What is a directory by now was put there by an interrupted attempt.
        gone = [path for path in names(left) if not self._is_kept(path) and not self._is_directory(path)]
        if gone:
            self._fill(index, leaving)
            self.git("rm", "-f", "-q", "--ignore-unmatch", *LISTED, index=index, given="\0".join(gone))

    def _set_head(self, place: Place) -> None:
        lock = os.path.join(self.directory, "HEAD.lock")
        # Only a git that was killed leaves it for long; one at work in the tree has locked the index too.
        if os.path.exists(lock):
            os.unlink(lock)
        if self.head() == (place.commit, place.branch):
            return
        if place.branch and self.commit_of(place.branch) == place.commit:
            self.git("symbolic-ref", "-m", "rollback", "HEAD", place.branch)
        else:
            # A branch that has moved since stays where it is now.
            self.git("update-ref", "--no-deref", "-m", "rollback", "HEAD", place.commit)

    def is_at(self, commit: str, only: Sequence[str] | None = None) -> bool:
        """Whether HEAD is ``commit``, and all files, or ``only`` these, are its on disk and in the index."""
        different = {*self.staged(commit), *self.changes(commit)} if self.head()[0] == commit else {"HEAD"}
        return not (different if only is None or "HEAD" in different else different & set(only))

    def changed_by(self, commit: str) -> list[str]:
        """Paths that differ between ``commit`` and its parent."""
        return names(self.git("diff-tree", "-r", "-z", "--name-only", "--no-renames", commit + "^", commit))

    def overlaid(self, base: str, commit: str, paths: Sequence[str]) -> str:
        """Tree of ``base`` with these paths as they are in ``commit``."""
        known = dict(line.split("\t", 1)[::-1] for line in names(self.git("ls-tree", "-r", "-z", commit)))
        gone = "0 " + "0" * len(commit)
        entries = [known[path].split() if path in known else None for path in paths]
        lines = [f"{' '.join(entry[::2]) if entry else gone}\t{path}\0" for entry, path in zip(entries, paths)]
        with self._outside() as index:
            self.git("read-tree", base, index=index)
            self.git("update-index", "-z", "--index-info", index=index, given="".join(lines))
            return self.git("write-tree", index=index).strip()


def prepare(tree: Tree, commit: str, prepared: str) -> None:
    """Check ``commit`` out in ``prepared``, a git worktree beside the live one, on a file system that can exchange."""
    directory, owner = os.path.dirname(prepared), os.stat(tree.root)
    if not os.path.isdir(directory):
        os.mkdir(directory)
        os.chown(directory, owner.st_uid, owner.st_gid)
        # Whatever is put inside belongs to the group that serves it.
        os.chmod(directory, owner.st_mode | 0o2000)
    exchange.try_out(directory)
    if os.stat(directory).st_dev != owner.st_dev:
        raise RollbackError("Directories on two file systems cannot be exchanged", found=directory, where=tree.root)
    tree.git("worktree", "add", "--quiet", "--force", "--detach", prepared, commit)


def undo_of(tree: Tree, place: Place, towards: str) -> dict[str, Any]:
    """How a journal says the way back to ``place``, from ``towards``."""
    return {"path": tree.root, "kept": tree.kept, "place": dataclasses.asdict(place), "towards": towards}


def check(tree: Tree, commit: str) -> None:
    """Refuse a switch that could not be done."""
    tree.check()
    if not tree.commit_of(commit):
        raise RollbackError("The commit is not in the repository", found=commit, where=tree.root)


def switch(journal: Journal, component: str, tree: Tree, commit: str, only: Sequence[str] | None = None) -> None:
    """Journal, then bring the tree to ``commit``; what an interrupted switch left is taken for what was there.

    With ``only``, other files stay as they are on disk and in the index, whatever ``commit`` has there.
    """
    check(tree, commit)
    if tree.is_at(commit, only):
        return
    before = tree.keep(journal.run_id, commit)
    branch = before.branch if before.commit == commit else ""
    place = Place(commit, commit, commit, branch)
    if only is not None:
        place.tree, place.index = (tree.overlaid(base, commit, only) for base in (before.tree, before.index))
    with journal.step(component, "switch", tree.root, undo_of(tree, before, commit)):
        tree.move(place, [before.tree])


def put_back(journal: Journal, by: Journal, step: Step) -> None:
    """Bring the tree back to where ``step`` of ``journal`` found it, on behalf of the run of ``by``."""
    tree, place = Tree(step.undo["path"], step.undo["kept"]), Place(**step.undo["place"])
    tree.check()
    # After an interrupted attempt this is half of each; the way back that it announced stays the one in force.
    now = tree.keep(by.run_id, place.tree)
    with journal.reverting(step, by, undo_of(tree, now, place.tree)):
        # A switch that was killed left files that git does not know yet as its own.
        tree.move(place, [now.tree, step.undo["towards"]])
