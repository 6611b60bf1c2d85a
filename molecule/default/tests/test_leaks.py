"""No secret leaves its place: not in what a playbook prints at -vvv or keeps, not in the arguments of any process.

Each test is a run of a playbook with the process lists watched. The default scenario runs them between its other steps,
chosen by name (see watch_*.yml), so most of these runs are those of the scenario itself.
"""

from __future__ import annotations

import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import time

import ansible_runner
import pytest
from test_refusals import HOSTS, NAME, ROOT, on

sys.path.insert(0, str(ROOT / "drill" / "scenario"))

import leaks

CONTAINERS = [f"{NAME}-{host}" for host in HOSTS]
ARTIFACTS = ROOT / "artifacts"
#: Playbooks that a test of their own runs.
WATCHED = {"assess-rollback", "capture-restore-point", "rollback-full", "undo-rollback", "validate-system"}
OTHERS = sorted({path.stem for path in (ROOT / "playbooks").glob("*.yml")} - WATCHED)


@pytest.fixture(scope="module")
def detector():
    secrets = leaks.secrets_in(ROOT / "drill" / ".state" / NAME / "secrets")
    for account in ("sales", "support"):
        credentials = on("wa1", f"cat /var/lib/whatsapp/sessions/{account}/creds.json")
        secrets.update({f"{account}: {key}": value for key, value in leaks.session_secrets(credentials).items()})
        assert json.loads(credentials)["pairingCode"] == secrets["session_secret"]
    return leaks.Detector(secrets)


def kept_on_hosts(detector):
    """What is out of place, or not private, on each of the hosts."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(lambda container: leaks.search_host(container, detector), CONTAINERS)
        return [f"{host}: {wrong}" for host, state in zip(HOSTS, found) for wrong in leaks.misplaced(state)]


def watched(detector, playbook, *arguments):
    """Run a playbook at -vvv; returns its exit status and output if nothing leaked."""
    began = time.time()
    private = ARTIFACTS / "leaks" / NAME
    private.mkdir(parents=True, exist_ok=True)
    with leaks.Watch(CONTAINERS, detector) as watch:
        run = ansible_runner.run(
            private_data_dir=str(private),
            ident=f"{playbook}-{time.time_ns()}",
            project_dir=str(ROOT),
            playbook=f"playbooks/{playbook}.yml",
            inventory=str(ROOT / "inventories" / "drill"),
            cmdline=" ".join(["-vvv", *arguments]),
            quiet=True,
        )
    text = pathlib.Path(run.stdout.name).read_text(encoding="utf-8")
    assert "TASK [" in text
    printed = [f"{path}: {found}" for path, found in detector.find_in_files(ARTIFACTS, began).items()]
    # As messages, because of a long list an assertion would show only the beginning.
    assert not printed, f"{playbook} printed or kept secrets on the controller:\n" + "\n".join(printed)
    assert not watch.hits, f"{playbook} passed secrets as arguments:\n" + "\n".join(watch.hits)
    wrong = kept_on_hosts(detector)
    assert not wrong, f"{playbook} left secrets on the hosts:\n" + "\n".join(wrong)
    return run.rc, text


@pytest.fixture(scope="module")
def word():
    """What confirms a rollback to the newest restore point."""
    return "-e rollback_confirm=drill:" + on("data1", "ls /var/lib/rollback/restore_points").split()[-1]


def test_detector_sees_arguments_of_processes(detector):
    everything = set(detector.patterns.values())
    planters = {place: leaks.in_container(place) for place in CONTAINERS}
    planters["controller"] = [sys.executable, "-c", leaks.LOADER]
    with leaks.Watch(CONTAINERS, detector) as watch:
        planted = [leaks.Started(argv, detector.job(leaks.plant)) for argv in planters.values()]
        assert [process.hear() for process in planted] == ["planted\n"] * len(planted)
        watch.look()
        for process in planted:
            process.end()
    for place, seen in watch.seen.items():
        assert {what for _program, what in seen["hits"]} == everything, place


def test_detector_sees_files_on_the_controller(detector, tmp_path):
    for number, pattern in enumerate(detector.patterns):
        (tmp_path / str(number)).write_text(f"ok: [web1] => {pattern}\n", encoding="utf-8")
    found = detector.find_in_files(tmp_path)
    assert len(found) == len(detector.patterns)


@pytest.mark.parametrize("host", HOSTS)
def test_detector_sees_files_on_hosts(detector, host):
    run, readable = "/var/lib/rollback/runs/planted", "/usr/local/share/planted"
    existed = on(host, "test -e /var/lib/rollback || echo absent")
    argv = ["docker", "exec", "--interactive", f"{NAME}-{host}", "sh", "-c"]
    script = f"umask 077; mkdir -p {run} && tee {run}/journal.jsonl > {readable} && chmod 0644 {readable}"
    planted = "\n".join(detector.patterns)
    try:
        subprocess.run([*argv, script], input=planted, text=True, check=True)
        wrong = " ".join(leaks.misplaced(leaks.search_host(f"{NAME}-{host}", detector)))
        assert "runs/planted/journal.jsonl holds" in wrong
        assert f"{readable}, readable by all" in wrong
        assert all(wrong.count(what) >= 2 for what in set(detector.patterns.values()))
    finally:
        on(host, f"rm -rf {run} {readable}; rmdir --ignore-fail-on-non-empty -p {run.rpartition('/')[0]} || true")
        assert on(host, "test -e /var/lib/rollback || echo absent") == existed


def test_capture(detector):
    assert watched(detector, "capture-restore-point")[0] == 0


def test_rollback_assessed(detector):
    assert watched(detector, "assess-rollback")[0] == 0


def test_rollback_planned(detector, word):
    status, text = watched(detector, "rollback-full")
    assert status != 0
    assert word.split()[1] in text


def test_rollback_in_check_mode(detector, word):
    status, text = watched(detector, "rollback-full", "--check", "--diff", word)
    assert status == 0, text[-6000:]


def test_rollback(detector, word):
    status, text = watched(detector, "rollback-full", "--diff", word)
    assert status == 0, text[-6000:]


def test_rollback_validated(detector):
    status, text = watched(detector, "validate-system")
    assert status == 0, text[-6000:]


# In check mode, because without it some would act: this is about what they tell.
@pytest.mark.parametrize("playbook", OTHERS)
def test_rollback_leaves_nothing_to_others(detector, playbook):
    watched(detector, playbook, "--check")


def test_undo(detector):
    status, text = watched(detector, "undo-rollback")
    assert status != 0
    asked = re.findall(r"rollback_confirm=\S+:\w+", text)
    status, text = watched(detector, "undo-rollback", "--diff", f"-e {asked[-1]}")
    assert status == 0, text[-6000:]
