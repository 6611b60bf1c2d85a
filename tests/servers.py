"""Private servers for the tests and the benchmark: own data directory, socket only, gone afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from ansible_collections.campaign.rollback.plugins.module_utils.database import Database
from ansible_collections.campaign.rollback.plugins.module_utils.dump import (
    connection_arguments,
    dump_command,
    zstd,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

ROOT = pathlib.Path(__file__).parents[1]


@dataclasses.dataclass
class Server:
    """A private server; tests may take it down if they bring it up again."""

    engine: str
    command: list[str]
    socket: str
    log: pathlib.Path

    def start(self):
        self.process = subprocess.Popen(self.command)
        while True:
            try:
                Database(socket=self.socket)
                return
            except RollbackError:
                if self.process.poll() is not None:
                    raise RuntimeError(
                        f"{self.command[0]} ended with {self.process.returncode}: {self.log.read_text()[-2000:]}"
                    ) from None
                # Not up yet, and a connection is the only thing that tells when it is.
                time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def connect(self, **options):
        return Database(socket=self.socket, **options)

    @property
    def arguments(self):
        return connection_arguments(None, self.socket)

    def dump(self, schema, path):
        """A dump as operators make one; returns its path."""
        command = dump_command(self.engine, self.arguments, schema)
        with zstd(str(path)) as sink:
            sink.write(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return str(path)


def program(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        raise RuntimeError(f"{name} is missing; tests/install-packages installs what is needed")
    return found


def mariadb(base, user):
    """Install an empty MariaDB in ``base``; returns the start of its command."""
    program("mariadb-backup")
    command = [program("mariadb-install-db"), "--no-defaults", f"--datadir={base}/data", f"--user={user}"]
    command += ["--skip-test-db", "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [program("mariadbd"), "--no-defaults", "--innodb-log-file-size=16M"]


def mysql(base, user):
    """The same for MySQL, which is not installed on this host: it is unpacked, and found first from now on."""
    place = subprocess.run([ROOT / "tests" / "unpack-mysql"], stdout=subprocess.PIPE, text=True)
    if place.returncode:
        raise RuntimeError(
            "tests/unpack-mysql failed; tests/install-packages installs what it needs, -k mariadb does without"
        )
    unpacked = place.stdout.strip()
    os.environ["PATH"] = f"{unpacked}/bin:{os.environ['PATH']}"
    command = [program("mysqld"), "--no-defaults", f"--basedir={unpacked}/usr"]
    new = [*command, "--initialize-insecure", f"--datadir={base}/data", f"--user={user}"]
    subprocess.run([*new, f"--log-error={base}/server.log"], check=True)
    # MariaDB's ways: whoever has the socket's account needs no password.
    (base / "start.sql").write_text(
        f"CREATE USER IF NOT EXISTS `{user}`@localhost;\nALTER USER `{user}`@localhost IDENTIFIED WITH auth_socket;\n"
        f"GRANT ALL ON *.* TO `{user}`@localhost WITH GRANT OPTION;\n"
    )
    command += ["--plugin-load-add=auth_socket.so", f"--init-file={base}/start.sql", f"--secure-file-priv={base}"]
    return [*command, "--mysqlx=OFF", "--innodb-redo-log-capacity=16M"]


@contextlib.contextmanager
def running(engine, *options):
    """A new, empty server; ``options`` are its own."""
    user = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    # Not pytest's own directory: a socket's path is limited to about 100 characters.
    base = pathlib.Path(tempfile.mkdtemp(prefix="rollback-db-"))
    socket, log = base / "s", base / "server.log"
    try:
        command = {"mariadb": mariadb, "mysql": mysql}[engine](base, user)
        command += [f"--datadir={base}/data", f"--socket={socket}", f"--user={user}", f"--log-error={log}"]
        # In a directory that servers share each one that starts deletes the temporary tables of the others.
        (base / "tmp").mkdir()
        command.append(f"--tmpdir={base}/tmp")
        found = Server(engine, [*command, "--innodb-buffer-pool-size=64M", *options], str(socket), log)
        try:
            found.start()
            yield found
        finally:
            found.process.terminate()
            found.process.wait()
    finally:
        shutil.rmtree(base)
