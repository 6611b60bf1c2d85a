"""Imports of physical backups against a real server: broken off at every point, repeated, refused."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import database_import, database_load
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    Database,
    existing_schemas,
    read_objects,
    read_tables,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_files import checkpoint, lsn, place
from ansible_collections.campaign.rollback.plugins.module_utils.database_load import Expected, load_beside, remove
from ansible_collections.campaign.rollback.plugins.module_utils.database_verify import verify_copy
from ansible_collections.campaign.rollback.plugins.module_utils.dump import Progress
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from conftest import SHADOW, checksums, running

pytestmark = pytest.mark.only("mariadb", reason="physical backups are MariaDB's")

#: Where an import may be broken off: before or after the statement or call whose text begins so.
POINTS = [
    ("before", "ALTER TABLE `campaigns` DISCARD"),
    ("after", "ALTER TABLE `campaigns` DISCARD"),
    ("after", "place campaigns.ibd"),
    ("before", "ALTER TABLE `campaigns` IMPORT"),
    ("after", "ALTER TABLE `campaigns` IMPORT"),
    ("before", "checkpoint"),
    ("after", "checkpoint"),
    ("before", "ALTER DATABASE"),
    ("after", "ALTER DATABASE"),
]


@pytest.fixture
def killed(server):
    """Run something in a process of its own that is killed at a point of the import, perhaps with the server."""

    def kill(act, when, text, server_too):
        process = os.fork()
        if process:
            assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
            return

        def watched(real, described):
            def call(*arguments, **more):
                at_point = described(*arguments).startswith(text)
                result = None if at_point and when == "before" else real(*arguments, **more)
                if at_point:
                    if server_too:
                        # Not its child, so only by its number.
                        os.kill(server.process.pid, signal.SIGKILL)
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        try:
            Database.run = watched(Database.run, lambda _db, sql: sql)
            database_import.checkpoint = watched(checkpoint, lambda _db: "checkpoint")
            database_import.place = watched(place, lambda source, *_rest: f"place {os.path.basename(source)}")
            act()
        finally:
            os._exit(1)

    return kill


@pytest.mark.parametrize("server_too", [False, True], ids=["client", "server"])
@pytest.mark.parametrize(("when", "text"), POINTS)
def test_an_import_killed_anywhere_can_be_repeated(server, db, plain, load, killed, when, text, server_too):
    src, files, expected = plain
    killed(lambda: load(files, expected, src=src), when, text, server_too)
    if server_too:
        server.process.wait()
        server.start()
    with server.connect() as after:
        assert existing_schemas(after, [SHADOW])
        # Only what was marked as complete is used as it is.
        assert load(files, expected, src=src)["changed"] is ((when, text) != ("after", "ALTER DATABASE"))
        assert verify_copy(after, SHADOW, expected.checksums).wrong == []
        assert sorted(read_tables(after, [SHADOW])[SHADOW]) == sorted(expected.tables)
        assert read_objects(after, [SHADOW])[SHADOW]["triggers"] == ["fires"]


@pytest.mark.parametrize(("when", "text"), POINTS)
def test_what_a_killed_import_left_can_be_dropped(server, db, plain, load, killed, when, text):
    src, files, expected = plain
    killed(lambda: load(files, expected, src=src), when, text, False)
    assert remove(db, SHADOW)["changed"]
    assert not existing_schemas(db, [SHADOW])
    assert not (pathlib.Path(str(db.value("SELECT @@datadir"))) / SHADOW).exists()


def test_what_an_import_left_in_the_directory_is_removed_with_the_schema(db, fill):
    fill(SHADOW)
    directory = pathlib.Path(str(db.value("SELECT @@datadir"))) / SHADOW
    for name in ("gone.cfg", "gone.ibd", "campaigns.cfg"):
        (directory / name).write_bytes(b"x")
    assert remove(db, SHADOW)["changed"]
    assert not directory.exists()
    # Files of others are nobody's to remove.
    fill(SHADOW)
    (directory / "notes.txt").write_bytes(b"x")
    with pytest.raises(RollbackError, match="1010"):
        remove(db, SHADOW)
    (directory / "notes.txt").unlink()
    assert remove(db, SHADOW)["changed"]


def left_alone(orphan):
    """What the server does with a statement whose client is gone, up to the moment when it is told to stop."""
    with contextlib.suppress(RollbackError):
        orphan.run("ALTER TABLE campaigns DISCARD TABLESPACE")


def test_a_statement_that_the_server_goes_on_with_does_not_hold_up_the_next_attempt(server, db, plain, load):
    src, files, _expected = plain
    load(files, src=src)
    with server.connect() as reader, server.connect() as orphan:
        orphan.run(f"USE {SHADOW}")
        reader.run("START TRANSACTION")
        reader.rows(f"SELECT * FROM {SHADOW}.campaigns")
        waiting = threading.Thread(target=left_alone, args=(orphan,))
        waiting.start()
        shown = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'ALTER TABLE %'"
        while not db.rows(shown):
            assert waiting.is_alive()
        loading = threading.Thread(target=load, args=(files,), kwargs={"src": src})
        loading.start()
        waiting.join()
        reader.run("COMMIT")
        loading.join()
    assert db.value(f"SELECT COUNT(*) FROM {SHADOW}.campaigns") == 2


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE {}.campaigns SET name = 'other' WHERE id = 1",
        "DELETE FROM {}.campaign_logs LIMIT 1",
        "DROP TABLE {}.migrations",
        "ALTER DATABASE {} COMMENT ''",
    ],
)
def test_a_whole_copy_is_reused_and_any_other_built_again(db, plain, load, damage):
    src, files, expected = plain
    assert load(files, expected, src=src)["changed"]
    before, again = checksums(db, SHADOW), load(files, expected, src=src)
    assert (again["changed"], again["tables"]["campaigns"]) == (False, {"rows": 2})
    db.run(damage.format(SHADOW))
    assert load(files, expected, src=src, check=True)["changed"]
    assert load(files, expected, src=src)["changed"]
    assert checksums(db, SHADOW) == before


def test_a_standby_is_replaced_by_a_newer_one(db, fill, made, load):
    fill()
    load(made("older"), schema="blazz__standby", src="older")
    db.run("INSERT INTO blazz.sessions VALUES ('new', '')")
    assert load(made("newer"), schema="blazz__standby", src="newer")["tables"]["sessions"] == {"rows": 1}
    fill("blazz__attic_1")
    for name in ("blazz", "blazz__attic_1"):
        with pytest.raises(RollbackError):
            load(None, schema=name, src="newer")


@pytest.mark.parametrize("where", ["backup", "import"])
def test_a_full_disk_leaves_nothing_half_done(server, db, fill, made, load, tmp_path, where):
    """A limit on the size of files stands in for it: the system refuses the same writes with a similar error."""
    fill()
    files = made() if where == "import" else []
    process = os.fork()
    if not process:
        code = 1
        try:
            # As a shell would leave it to the backup tool.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
            with pytest.raises(RollbackError, match=r"cannot be placed|mariadb-backup failed"):
                load(files) if where == "import" else made()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert sorted(os.listdir(tmp_path)) == (["backup"] if where == "import" else [])
    assert existing_schemas(db, ["blazz", SHADOW]) == {"blazz"}


def test_a_server_that_cannot_import_is_told_before_anything_is_touched(db, plain, load, tmp_path, monkeypatch):
    shutil.copytree(plain[0], tmp_path / "backup")
    structure = tmp_path / "backup" / "structure.sql"
    text = structure.read_bytes()
    structure.write_bytes(text.replace(b"Server version\t10.", b"Server version\t9."))
    with pytest.raises(RollbackError, match=r"cannot import.*is of MariaDB 9\.11.*strategy=logical"):
        load(None)
    structure.write_bytes(text)
    db.run("SET GLOBAL innodb_file_per_table=OFF")
    try:
        with pytest.raises(RollbackError, match="innodb_file_per_table is off"):
            load(None, check=True)
    finally:
        db.run("SET GLOBAL innodb_file_per_table=ON")
    monkeypatch.setattr(database_import, "schema_directory", lambda _db, schema: str(tmp_path / schema))
    with pytest.raises(RollbackError, match=r"does not keep its files where it says.*strategy=logical"):
        load(None)
    assert not existing_schemas(db, [SHADOW])


def test_an_import_stays_out_of_the_binary_log_and_is_refused_where_it_is_read(plain, tmp_path):
    src, files, _expected = plain
    with running("mariadb", "--skip-networking", "--log-bin", "--server-id=1") as logging, logging.connect() as own:
        own.run("FLUSH BINARY LOGS")
        (name, *_rest) = own.rows("SHOW MASTER STATUS")[0]
        load_beside(own, logging.arguments, src, SHADOW, Expected(), files)
        logged = [str(row[5]) for row in own.rows(f"SHOW BINLOG EVENTS IN '{name}'")]
        assert not [text for text in logged if "TABLE" in text or "TRIGGER" in text]
        command = [
            "mariadb-binlog",
            "--no-defaults",
            f"--socket={logging.socket}",
            "--read-from-remote-server",
            "--raw",
        ]
        command += ["--stop-never", f"--result-file={tmp_path}/", name]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as replica:
            shown = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'"
            while not own.rows(shown):
                assert replica.poll() is None
            with pytest.raises(RollbackError, match="a replica is connected"):
                load_beside(own, logging.arguments, src, "blazz__shadow_2", Expected(), files)
            replica.kill()
        assert existing_schemas(own, [SHADOW, "blazz__shadow_2"]) == {SHADOW}


def test_a_checkpoint_does_not_wait_for_writers_to_pause(server, db, fill):
    """The server's statement chases the end of the log, but what was done before it is safe much sooner."""
    fill()
    db.run("INSERT INTO blazz.sessions VALUES ('x', '')")
    wanted, let_go, real = lsn(db, "current"), threading.Event(), db.again

    class Chasing:
        def __enter__(self):
            return self

        def __exit__(self, *unused):
            pass

        def run(self, sql):
            with real() as own:
                own.run(sql)
            let_go.wait()

    db.again = Chasing
    checkpoint(db)
    let_go.set()
    # The record of the checkpoint itself is the only one after it.
    assert lsn(db, "last_checkpoint") >= wanted


def test_a_server_that_refuses_a_checkpoint_gets_no_swap(server, db, fill, monkeypatch):
    refused = RollbackError("The database refused a statement", found="(1227) Access denied")
    monkeypatch.setattr(db, "again", lambda: (_ for _ in ()).throw(refused))
    with pytest.raises(RollbackError, match="cannot be asked for a checkpoint"):
        checkpoint(db)


def test_the_bandwidth_of_an_import_is_limited(db, plain, load, monkeypatch):
    (src, files, _expected), slept = plain, []
    monkeypatch.setattr(database_load, "Progress", functools.partial(Progress, sleep=slept.append))
    load(files, src=src, limit=1e5)
    size = sum(entry["bytes"] for entry in files if not entry["path"].endswith(".sql"))
    # Whatever the copy itself took is not waited for once more.
    assert size / 1e5 / 2 < sum(slept) <= size / 1e5
