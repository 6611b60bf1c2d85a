"""Releases on disk, with a real git repository."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.releases import Releases, layout

OLD, NEW = "1" * 40, "2" * 40


@pytest.fixture
def releases(tmp_path):
    for name, commit in (("20261114T100000Z-1111111", OLD), ("20261120T100000Z-2222222", NEW)):
        build = tmp_path / "releases" / name / "public" / "build"
        build.mkdir(parents=True)
        (build / "manifest.json").write_text(commit)
        (build.parents[1] / "REVISION").write_text(commit + "\n")
        (build.parents[1] / "RELEASE.json").write_text('{"version": "v2"}')
    (tmp_path / "current").symlink_to("releases/20261120T100000Z-2222222")
    return Releases(str(tmp_path), str(tmp_path / "repo.git"), "public/build")


def test_the_live_release_is_what_the_link_says(releases):
    live = releases.current()
    assert (live.name, live.commit, live.version, len(live.build_digest)) == ("20261120T100000Z-2222222", NEW, "v2", 64)


def test_a_release_is_found_by_commit_and_preferred_by_name(releases, tmp_path):
    again = tmp_path / "releases" / "20261119T100000Z-1111111"
    again.mkdir()
    (again / "REVISION").write_text(OLD)
    assert releases.find(OLD).name == "20261119T100000Z-1111111"
    assert releases.find(OLD, "20261114T100000Z-1111111").name == "20261114T100000Z-1111111"
    assert releases.find("3" * 40) is None


def test_a_release_that_was_never_finished_is_not_found(releases, tmp_path):
    (tmp_path / "releases" / "20261114T100000Z-1111111" / "REVISION").unlink()
    assert releases.find(OLD) is None


@pytest.mark.parametrize("note", ["{", "[]", "\xff"])
def test_a_broken_note_hides_neither_its_release_nor_others(releases, tmp_path, note):
    for name in (tmp_path / "releases").iterdir():
        (name / "RELEASE.json").write_bytes(note.encode("latin-1"))
    assert (releases.find(OLD).commit, releases.find(OLD).version) == (OLD, "")
    assert releases.current().commit == NEW


def test_no_live_release_is_an_error(releases, tmp_path):
    (tmp_path / "current").unlink()
    with pytest.raises(RollbackError, match="no live release"):
        releases.current()
    (tmp_path / "current").mkdir()
    with pytest.raises(RollbackError, match="no live release"):
        releases.current()


def test_a_commit_is_looked_for_in_the_repository(releases, tmp_path):
    assert releases.has_commit(OLD) is False
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet", "--bare", "repo.git"], check=True)
    tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    bare = [*git, "--git-dir=repo.git"]
    subprocess.run([*bare, "hash-object", "-w", "-t", "tree", "/dev/null"], check=True, capture_output=True)
    made = subprocess.run([*bare, "commit-tree", tree, "-m", "x"], check=True, capture_output=True, text=True)
    assert releases.has_commit(made.stdout.strip()) is True
    assert releases.has_commit(tree) is False
    assert releases.has_commit(OLD) is False


def test_an_unknown_layout_names_the_known_ones():
    with pytest.raises(RollbackError, match="releases"):
        layout("capistrano", "/srv", "/srv/repo.git", "public/build")


def commits(root):
    """A working tree whose second commit names other packages, and its third one brings them along; their ids."""

    def run(*argv):
        return subprocess.run(["git", "-C", str(root), *argv], check=True, capture_output=True, text=True).stdout

    run("init", "-q")
    found = []
    for files in ({"composer.lock": "1"}, {"composer.lock": "2"}, {"vendor/autoload.php": "3"}):
        for name, text in files.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        run("add", ".")
        run("-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x")
        found.append(run("rev-parse", "HEAD").strip())
    run("checkout", "-q", found[0])
    return found


def test_packages_that_git_does_not_track_are_missed(tmp_path):
    first, second, third = commits(tmp_path)
    tree = layout("checkout", str(tmp_path), "", "public/build")
    assert [tree.needs_install(commit) for commit in (first, second, third, "0" * 40)] == [False, True, False, False]
    releases = layout("releases", str(tmp_path), str(tmp_path / ".git"), "public/build")
    assert [releases.needs_install(commit) for commit in (first, second, third, "0" * 40)] == [True, True, False, False]
