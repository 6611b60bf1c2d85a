"""frontend_build for real: kept, staged, exchanged and put back, each step repeatable and truthful in check mode."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import builds, exchange
from ansible_collections.campaign.rollback.plugins.module_utils.journal import Journal

RUN_ID, UNDO, REDO = "20261121T174500Z", "20261121T180000Z", "20261121T183000Z"
V1, V2 = "1" * 40, "2" * 40


def make(path, version):
    (path / "assets").mkdir(parents=True)
    (path / "assets" / f"app-{version}.js").write_text(version)
    chunk = {"file": f"assets/app-{version}.js", "isEntry": True}
    (path / "manifest.json").write_text(json.dumps({"resources/app.js": chunk}))


@pytest.fixture
def site(tmp_path):
    """A host whose live release is that of V2; the build of V1 is kept, and its release is gone."""
    release = tmp_path / "releases" / "20261120T100000Z-2222222"
    make(release / "public" / "build", "v2")
    (release / "REVISION").write_text(V2)
    (tmp_path / "current").symlink_to("releases/20261120T100000Z-2222222")
    make(tmp_path / "v1", "v1")
    builds.keep(str(tmp_path / "v1"), str(tmp_path / "builds"), V1)
    return tmp_path


@pytest.fixture
def live(site):
    return site / "releases" / "20261120T100000Z-2222222" / "public" / "build"


@pytest.fixture
def arguments(site, state_dir):
    return {
        "path": str(site),
        "repository": str(site / "repo.git"),
        "builds": str(site / "builds"),
        "commit": V1,
        "digest": builds.build_digest(str(site / "v1")),
        "run_id": RUN_ID,
        "state_dir": state_dir,
    }


def serves(live):
    """Which version the manifest names, and every asset that is there."""
    (chunk,) = json.loads((live / "manifest.json").read_text()).values()
    return chunk["file"], sorted(os.listdir(live / "assets"))


BOTH = ["app-v1.js", "app-v2.js"]


def go(run_module, arguments, *states, **more):
    """Run the states in order; each is predicted by check mode. Returns the last result."""
    for state in states:
        predicted = run_module("frontend_build", {**arguments, **more, "state": state}, check=True)
        result = run_module("frontend_build", {**arguments, **more, "state": state})
        assert result["changed"] == predicted["changed"], state
    return result


def test_the_kept_build_goes_live_and_open_pages_keep_their_assets(arguments, run_module, untouched, live):
    replaced = builds.build_digest(str(live))
    with untouched():
        found = run_module("frontend_build", {**arguments, "state": "staged"}, check=True)
    assert found["changed"] is True
    assert (found["source"]["kind"], found["source"]["digest"]) == ("kept", arguments["digest"])
    assert found["names"] == {"own": ["assets/app-v1.js"], "old": ["assets/app-v2.js"]}
    assert run_module("frontend_build", {**arguments, "state": "staged"})["source"] == found["source"]
    assert serves(live)[0] == "assets/app-v2.js", "staging touches nothing that is live"
    with untouched():
        predicted = run_module("frontend_build", {**arguments, "state": "switched"}, check=True)
    switched = run_module("frontend_build", {**arguments, "state": "switched"})
    assert switched["diff"] == predicted["diff"]
    assert switched["live"] == {"path": str(live), "commit": V2, "digest": arguments["digest"], "fault": ""}
    assert serves(live) == ("assets/app-v1.js", BOTH)
    with untouched():
        assert run_module("frontend_build", arguments)["live"] == switched["live"]
    assert go(run_module, arguments, "staged", "switched")["changed"] is False, "again, it finds itself done"
    undone = go(run_module, arguments, "reverted")
    assert undone["live"]["digest"] == replaced
    # Pages that were opened meanwhile keep theirs too.
    assert serves(live) == ("assets/app-v2.js", BOTH)
    assert go(run_module, arguments, "reverted")["changed"] is False


def test_an_undo_by_another_run_can_be_undone(arguments, run_module, live):
    replaced = builds.build_digest(str(live))
    go(run_module, arguments, "staged", "switched")
    go(run_module, {**arguments, "run_id": UNDO, "reverts": RUN_ID}, "reverted")
    assert builds.build_digest(str(live)) == replaced
    go(run_module, {**arguments, "run_id": REDO, "reverts": UNDO}, "reverted")
    assert serves(live) == ("assets/app-v1.js", BOTH)
    states = [[step.state for step in Journal(run, arguments["state_dir"]).steps()] for run in (RUN_ID, UNDO, REDO)]
    assert states == [["done"], ["undone"], ["done"]]


@pytest.mark.parametrize("point", ["carry", "check", "bring", "systemctl"])
def test_a_switch_that_was_killed_is_completed_or_taken_back(arguments, run_module, live, monkeypatch, point):
    """Killed before and after each of its parts, it is resumed; and a second time taken back."""
    replaced = builds.build_digest(str(live))
    module = importlib.import_module("ansible_collections.campaign.rollback.plugins.modules.frontend_build")
    owner = {"carry": builds, "systemctl": module}.get(point, exchange)
    original = getattr(owner, point)

    class Killed(BaseException):
        pass

    for after in (False, True):
        go(run_module, arguments, "staged")

        def die(*given, after=after):
            if after:
                original(*given)
            raise Killed

        monkeypatch.setattr(owner, point, die)
        with pytest.raises(Killed):
            run_module("frontend_build", {**arguments, "state": "switched"})
        monkeypatch.setattr(owner, point, original)
        go(run_module, arguments, "staged", "switched")
        assert serves(live) == ("assets/app-v1.js", BOTH)
        go(run_module, arguments, "reverted")
        assert builds.build_digest(str(live)) == replaced
        shutil.rmtree(pathlib.Path(arguments["builds"]) / RUN_ID, ignore_errors=True)


@pytest.mark.parametrize("bring", [lambda *_given: False, exchange.bring], ids=["before", "after"])
def test_staging_again_leaves_an_announced_exchange_alone(arguments, run_module, untouched, monkeypatch, bring):
    """What lies staged may be what was replaced by then, and without a digest nothing but the journal tells."""
    given = {**arguments, "digest": ""}
    go(run_module, given, "staged")
    monkeypatch.setattr(exchange, "bring", bring)
    run_module("frontend_build", {**arguments, "state": "switched"})
    with untouched():
        found = run_module("frontend_build", {**given, "state": "staged"})
    assert (found["changed"], found["source"]["digest"]) == (False, arguments["digest"])


def test_what_was_staged_and_never_went_live_is_taken_away(arguments, run_module, site):
    go(run_module, arguments, "staged")
    assert (site / "builds" / RUN_ID).is_dir()
    assert go(run_module, arguments, "reverted")["changed"] is True
    assert not (site / "builds" / RUN_ID).exists()


def test_a_build_that_is_live_already_stays(arguments, run_module, live, site):
    live_digest = builds.build_digest(str(live))
    given = {**arguments, "commit": V2, "digest": live_digest}
    assert run_module("frontend_build", {**given, "state": "staged"})["source"]["kind"] == "live"
    assert go(run_module, given, "staged", "switched")["changed"] is False
    assert os.listdir(site / "builds") == [builds.kept_name(V1, arguments["digest"])]


def test_the_build_of_a_release_that_is_still_there_is_taken(arguments, run_module, site, live):
    release = site / "releases" / "20261114T100000Z-1111111"
    make(release / "public" / "build", "v1")
    (release / "REVISION").write_text(V1)
    shutil.rmtree(site / "builds")
    (site / "builds").mkdir()
    found = go(run_module, arguments, "staged")
    assert (found["source"]["kind"], found["release"]) == ("release", str(release))
    go(run_module, arguments, "switched")
    assert serves(live) == ("assets/app-v1.js", BOTH)
    assert serves(release / "public" / "build") == ("assets/app-v1.js", ["app-v1.js"]), "and stays as it is"


def test_into_a_release_nothing_is_exchanged(arguments, run_module, site, live):
    """Where the code is switched too, the build goes live with it."""
    release = site / "releases" / "20261114T100000Z-1111111"
    make(release / "public" / "build", "damaged")
    (release / "REVISION").write_text(V1)
    found = go(run_module, {**arguments, "into": "release"}, "staged")
    assert (found["source"]["kind"], found["changed"]) == ("kept", True)
    assert serves(release / "public" / "build") == ("assets/app-v1.js", ["app-v1.js"])
    assert serves(live) == ("assets/app-v2.js", ["app-v2.js"])
    assert go(run_module, {**arguments, "into": "release"}, "staged")["source"]["kind"] == "release"


def test_no_build_is_made_where_users_are_served_from(arguments, run_module, live):
    """The live code is of the wanted commit, its build is not the wanted one, and no other is left."""
    wanted = {**arguments, "commit": V2, "digest": "0" * 64, "state": "staged"}
    assert run_module("frontend_build", wanted, check=True)["release"] == ""
    assert run_module("frontend_build", {**wanted, "into": "release"}, check=True)["release"] == ""


def test_a_wrong_build_of_the_wanted_live_code_is_replaced_in_one_step_and_kept(arguments, run_module, site, live):
    wanted, wrong = builds.keep(str(live), str(site / "builds"), V2).digest, "damaged"
    (live / "assets" / "app-v2.js").write_text(wrong)
    digest = builds.build_digest(str(live))
    missing = []
    rename = exchange.rename

    def watched(source, destination, flags):
        missing.append(not (live / "manifest.json").exists())
        rename(source, destination, flags)
        missing.append(not (live / "manifest.json").exists())

    given = {**arguments, "commit": V2, "digest": wanted, "into": "release", "state": "staged"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "rename", watched)
        run_module("frontend_build", given)
    assert missing == [False, False]
    assert builds.build_digest(str(live)) == wanted
    kept = site / "builds" / builds.kept_name(V2, digest)
    assert (kept / "assets" / "app-v2.js").read_text() == wrong


def test_a_build_without_a_release_to_go_to_is_refused(arguments, run_module):
    failed = run_module("frontend_build", {**arguments, "into": "release", "state": "staged"}, fails=True)
    assert "There is no release of this commit" in failed["msg"]


def test_links_in_a_working_tree_do_not_hide_that_it_has_the_commit(arguments, run_module, tmp_path):
    """Laravel tracks files in storage, which is a link to what releases share."""
    tree, git = tmp_path / "app", ["git", "-C", str(tmp_path / "app"), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tree / "storage").mkdir(parents=True)
    (tree / "storage" / ".gitignore").write_text("*\n")
    (tree / ".gitignore").write_text("/public/build\n")
    for command in (["init", "-q"], ["add", "-f", "."], ["commit", "-qm", "v1"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    make(tree / "public" / "build", "v1")
    shutil.rmtree(tree / "storage")
    (tmp_path / "shared").mkdir()
    (tree / "storage").symlink_to(tmp_path / "shared")
    given = {**arguments, "path": str(tree), "layout": "checkout", "commit": commit, "into": "release"}
    given["digest"] = builds.build_digest(str(tree / "public" / "build"))
    found = run_module("frontend_build", {**given, "kept": ["storage"], "state": "staged"})
    assert (found["source"]["kind"], found["changed"]) == ("release", False)


def test_a_build_that_was_just_made_is_taken_last(arguments, run_module, site):
    shutil.rmtree(site / "builds")
    (site / "builds").mkdir()
    found = run_module("frontend_build", {**arguments, "state": "staged"}, check=True)
    assert (found["source"]["kind"], found["changed"]) == ("", False)
    failed = run_module("frontend_build", {**arguments, "state": "staged"}, fails=True)
    assert "There is no such front-end build" in failed["msg"]
    found = go(run_module, arguments, "staged", built=str(site / "v1"))
    assert found["source"]["kind"] == "built"


def test_a_kept_build_with_a_wrong_digest_is_refused(arguments, run_module, site, untouched):
    kept = site / "builds" / builds.kept_name(V1, arguments["digest"])
    (kept / "assets" / "app-v1.js").write_text("damaged")
    with untouched():
        found = run_module("frontend_build", {**arguments, "state": "staged"}, check=True)
        assert found["source"]["kind"] == ""
        assert f"{kept} has the digest" in found["reasons"][0]
        failed = run_module("frontend_build", {**arguments, "state": "staged"}, fails=True)
        assert f"wanted {arguments['digest'][:12]}" in failed["msg"]


def test_nothing_staged_cannot_go_live(arguments, run_module, untouched):
    with untouched():
        assert run_module("frontend_build", {**arguments, "state": "switched"}, check=True)["changed"] is True
    failed = run_module("frontend_build", {**arguments, "state": "switched"}, fails=True)
    assert "Nothing is staged that could go live" in failed["msg"]


def test_the_live_build_is_kept_by_commit_and_digest(arguments, run_module, site, live):
    kept = site / "builds" / builds.kept_name(V2, builds.build_digest(str(live)))
    assert go(run_module, arguments, "kept")["changed"] is True
    assert serves(kept) == ("assets/app-v2.js", ["app-v2.js"])
    assert go(run_module, arguments, "kept")["changed"] is False


def test_caches_are_emptied_units_reloaded_and_answers_counted(arguments, run_module, site, monkeypatch):
    cache, log, calls = site / "cache", site / "access.log", []
    (cache / "pages").mkdir(parents=True)
    (cache / "pages" / "home").write_text("v2")
    (cache / "link").symlink_to(site / "v1")
    log.write_text('192.0.2.7 - - [22/Nov/2026:08:41:55 +0000] "GET /before HTTP/1.1" 500 1\n')
    module = importlib.import_module("ansible_collections.campaign.rollback.plugins.modules.frontend_build")
    monkeypatch.setattr(module, "systemctl", lambda _run, verb, units: calls.append((verb, units)))
    more = {
        "clear": [str(cache), str(site / "none")],
        "access_log": str(log),
        "reload": ["php.service", "nginx.service"],
    }
    assert run_module("frontend_build", arguments)["answered"] is None
    go(run_module, arguments, "staged", "switched", **more)
    assert os.listdir(cache) == []
    assert (site / "v1" / "manifest.json").exists(), "a link in a cache is removed, not followed"
    assert calls == [("reload-or-restart", ["php.service", "nginx.service"])]
    with log.open("a") as stream:
        for path, status in (("/", 200), ("/held", 503)):
            stream.write(f'192.0.2.7 - - [22/Nov/2026:08:41:55 +0000] "GET {path} HTTP/1.1" {status} 1\n')
    assert run_module("frontend_build", arguments)["answered"] == {
        "requests": 2,
        "errors": 1,
        "as_before": 0,
        "first": "/held 503",
    }
    assert run_module("frontend_build", {**arguments, "held": "^/held"})["answered"]["errors"] == 0
    go(run_module, arguments, "reverted", **more)
    assert len(calls) == 2


def test_a_stale_holder_changes_nothing(arguments, run_module, state_dir, untouched):
    run_module("run_join", {"fencing": 7, "state_dir": state_dir})
    for state in ("kept", "staged"):
        with untouched():
            failed = run_module("frontend_build", {**arguments, "fencing": 6, "state": state, "commit": V1}, fails=True)
        assert "Another run took the lease over" in failed["msg"]
