"""Faults as data: what is broken when, how it is mended, and what a rollback has to make of it.

Commands run with bash in a container, those of ``engine`` on this machine, beside the Docker engine. They find in their
environment ``NAME`` and ``NETWORK`` of the system, ``POINT`` and ``COMMIT`` of the restore point, and ``RELEASE``, the
directory of that commit.

Verdicts: ``refused`` before anything was touched; ``taken back`` by the run itself, so the system is as before;
``success``; ``partly`` in place, and users are held back until the fault is mended and the run is undone.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from points import LOADING

Act = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault. Without ``at``, a part of a task's key, it is there from the start; with ``inside`` (as in
    inside/freeze.py, on the data host) it comes in the middle of that task."""

    name: str
    verdicts: frozenset[str]
    inject: tuple[Act, ...]
    repair: tuple[Act, ...]
    at: str = ""
    inside: str = ""
    playbook: str = "rollback-full"
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    before: tuple[Act, ...] = ()
    after: tuple[Act, ...] = ()
    #: Web hosts that the fault itself takes from the users.
    down: tuple[str, ...] = ()
    #: Connections have to time out.
    slow: bool = False


def one_of(*verdicts: str) -> frozenset[str]:
    """Verdicts that a fault may have."""
    return frozenset(verdicts)


WEB = ("web1", "web2")
BACKUP = "/var/lib/rollback/restore_points/$POINT/database/blazz/structure.sql"
PLAIN = "/backups/database/backup_20251114_0300.sql.gz"
LOAD = "Beside | Begin to load"
SWAP = "Beside | Swap the schemas"
#: A rollback to a plain dump, known by its date.
BY_DATE = {"rollback_target": "20251114", "rollback_commit": "$COMMIT", "rollback_confirm": "drill:20251114T000000Z"}

# Where backups of the environment are expected too; the right ones, so that the database's is all that is wrong.
ENVIRONMENT = """
mkdir -p /backups/config
for file in .env whatsapp.env; do
    kept=/var/lib/rollback/restore_points/$POINT/env/srv__campaign__shared__$file
    test ! -e "$kept" || cp -a "$kept" "/backups/config/$file.backup"
done
"""
KEPT_ENVIRONMENT = tuple((host, ENVIRONMENT) for host in ("web1", "web2", "wa1"))
NO_BACKUPS = tuple((host, "rm -rf /backups") for host in ("web1", "web2", "wa1", "data1"))

KEEP_BACKUP = f'cp -a "{BACKUP}" /root/kept-backup'
PUT_BACKUP_BACK = f'cp -a /root/kept-backup "{BACKUP}" && rm /root/kept-backup'
FLIP = "import sys; f = open(sys.argv[1], 'r+b'); d = f.read(); m = len(d) // 2; f.seek(m); f.write(bytes([d[m] ^ 1]))"

TAKE_RELEASE = 'mkdir /srv/kept && cd /srv/kept && touch stamp && mv "$RELEASE" release && echo "$RELEASE" >name'
# Whatever was checked out since then goes, so that the release there was is the only one of its commit again.
PUT_RELEASE_BACK = (
    "find /srv/campaign/releases -mindepth 1 -maxdepth 1 -newer /srv/kept/stamp"
    ' ! -samefile "$(readlink -f /srv/campaign/current)" -exec rm -rf {} +'
    ' && mv /srv/kept/release "$(cat /srv/kept/name)" && rm -r /srv/kept'
)
# The pipeline's, and those that captures and rollbacks have kept.
TAKE_BUILDS = 'mkdir /srv/kept/builds && mv /srv/campaign/shared/builds/"$COMMIT"* /srv/kept/builds'
PUT_BUILDS_BACK = 'cd /srv/campaign/shared/builds && rm -rf "$COMMIT"* && mv /srv/kept/builds/* .'

# A small file system of its own cannot fill the machine's.
DATA_ON_SMALL_DISK = """
systemctl stop mariadb
mkdir /var/lib/mysql-kept
cp -a /var/lib/mysql/. /var/lib/mysql-kept/
size=$(du --summarize --block-size=1M /var/lib/mysql | cut -f 1)
mount -t tmpfs -o "size=$((size + 700))m,mode=755,uid=$(id -u mysql),gid=$(id -g mysql)" tmpfs /var/lib/mysql
cp -a /var/lib/mysql-kept/. /var/lib/mysql/
systemctl start mariadb
"""
DATA_ON_OLD_DISK = """
systemctl stop mariadb
mkdir /var/lib/mysql-new
cp -a /var/lib/mysql/. /var/lib/mysql-new/
umount /var/lib/mysql
find /var/lib/mysql -mindepth 1 -delete
cp -a /var/lib/mysql-new/. /var/lib/mysql/
rm -r /var/lib/mysql-kept /var/lib/mysql-new
systemctl start mariadb
"""
FILL = """
free=$(df --output=avail --block-size=1M /var/lib/mysql | tail -n 1)
fallocate --length "$((free - 6))M" /var/lib/mysql/filler
"""

# Containers share the clock of the machine, so an hour is added where programs ask for the time: in Python and `date`.
CLOCK = """
cat >/usr/local/lib/python3.11/dist-packages/drill_clock.py <<'END'
import datetime
import time

actual = time.time
time.time = lambda: actual() + 3600


class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.utcfromtimestamp(time.time())


datetime.datetime = Shifted
END
echo import drill_clock >/usr/local/lib/python3.11/dist-packages/drill_clock.pth
printf '#!/bin/sh\\nexec /usr/bin/date --date="+1 hour" "$@"\\n' >/usr/local/bin/date
chmod +x /usr/local/bin/date
"""
CLOCK_BACK = "rm /usr/local/lib/python3.11/dist-packages/drill_clock.* /usr/local/bin/date"

FAULTS = (
    Fault(
        "host_dies_in_stage",
        one_of("taken back"),
        (("engine", 'docker pause "$NAME-web2"'),),
        (("engine", 'docker unpause "$NAME-web2"'),),
        at=LOAD,
        down=("web2",),
        slow=True,
    ),
    Fault(
        "network_of_web_host_cut_in_switch",
        one_of("partly"),
        (("engine", 'docker network disconnect "$NAME" "$NAME-web2"'),),
        (("engine", 'docker network connect --ip "$NETWORK.12" "$NAME" "$NAME-web2"'),),
        at=SWAP,
        down=("web2",),
        slow=True,
    ),
    Fault(
        "network_of_data_host_cut_in_switch",
        one_of("partly"),
        (("engine", 'docker network disconnect "$NAME" "$NAME-data1"'),),
        (("engine", 'docker network connect --ip "$NETWORK.21" "$NAME" "$NAME-data1"'),),
        at=SWAP,
        down=WEB,
        slow=True,
    ),
    Fault(
        "disk_full_in_backup",
        one_of("refused"),
        (("data1", "mount -t tmpfs -o size=64k,mode=700 tmpfs /var/lib/rollback/restore_points"),),
        (("data1", "umount /var/lib/rollback/restore_points"),),
        playbook="capture-restore-point",
    ),
    Fault(
        "disk_full_in_load",
        one_of("taken back"),
        (("data1", FILL),),
        (("data1", "rm /var/lib/mysql/filler"),),
        at=LOAD,
        before=(("data1", DATA_ON_SMALL_DISK),),
        after=(("data1", DATA_ON_OLD_DISK),),
    ),
    Fault(
        "database_restarts_in_load",
        one_of("taken back"),
        (("data1", "systemctl restart mariadb"),),
        (),
        at=LOAD,
        inside=LOADING,
        down=WEB,
    ),
    Fault(
        "database_refuses_connections",
        one_of("refused"),
        (("data1", "systemctl stop mariadb"),),
        (("data1", "systemctl start mariadb"),),
        down=WEB,
    ),
    Fault(
        "backup_truncated",
        one_of("refused"),
        (("data1", f'{KEEP_BACKUP} && truncate --size=-100 "{BACKUP}"'),),
        (("data1", PUT_BACKUP_BACK),),
    ),
    Fault(
        "backup_bit_flipped",
        one_of("refused"),
        (("data1", f'{KEEP_BACKUP} && python3 -c "{FLIP}" "{BACKUP}"'),),
        (("data1", PUT_BACKUP_BACK),),
    ),
    Fault(
        "backup_of_another_database",
        one_of("refused", "taken back"),
        (
            (
                "data1",
                "mkdir -p /backups/database; mariadb -e 'CREATE DATABASE other; CREATE TABLE other.invoices (id INT)'"
                f"; mariadb-dump other | gzip >{PLAIN}; mariadb -e 'DROP DATABASE other'",
            ),
        ),
        (),
        extra=BY_DATE,
        before=KEPT_ENVIRONMENT,
        after=NO_BACKUPS,
    ),
    Fault(
        "backup_of_a_newer_schema",
        one_of("refused", "taken back"),
        (("data1", f"mkdir -p /backups/database; mariadb-dump blazz | gzip >{PLAIN}"),),
        (),
        extra=BY_DATE,
        before=KEPT_ENVIRONMENT,
        after=NO_BACKUPS,
    ),
    Fault(
        "gzip_that_is_not_gzip",
        one_of("refused"),
        (("data1", f"mkdir -p /backups/database; mariadb-dump blazz >{PLAIN}"),),
        (),
        extra=BY_DATE,
        before=KEPT_ENVIRONMENT,
        after=NO_BACKUPS,
    ),
    Fault(
        "front_end_build_fails",
        one_of("taken back"),
        tuple((host, f"{TAKE_RELEASE} && {TAKE_BUILDS}") for host in WEB),
        tuple((host, f"{PUT_BUILDS_BACK} && {PUT_RELEASE_BACK}") for host in WEB),
        extra={"frontend_build_command": "node --eval process.exit(1)"},
    ),
    Fault(
        "target_commit_gone",
        one_of("refused"),
        (
            (
                "web1",
                f"{TAKE_RELEASE} && cd /srv/campaign && mv repo.git /srv/kept && git init --quiet --bare repo.git",
            ),
        ),
        (
            (
                "web1",
                f"cd /srv/campaign && rm -r repo.git && mv /srv/kept/repo.git repo.git && {PUT_RELEASE_BACK}",
            ),
        ),
    ),
    Fault(
        "nginx_configuration_invalid",
        one_of("refused", "taken back"),
        (("web2", "echo broken >/etc/nginx/conf.d/drill-broken.conf"),),
        (("web2", "rm /etc/nginx/conf.d/drill-broken.conf"),),
    ),
    Fault(
        "php_fpm_does_not_start",
        one_of("partly"),
        (("web2", "printf '[broken]\\nuser = nobody-there\\n' >/etc/php/8.2/fpm/pool.d/drill-broken.conf"),),
        (("web2", "rm /etc/php/8.2/fpm/pool.d/drill-broken.conf"),),
        at="Close | Hold users back",
        down=("web2",),
    ),
    Fault(
        "pm2_daemon_missing",
        one_of("success"),
        (("wa1", "systemctl stop pm2-whatsapp"),),
        (
            (
                "wa1",
                "runuser -u whatsapp -- env HOME=/home/whatsapp PM2_HOME=/home/whatsapp/.pm2 pm2 kill >/dev/null"
                " && systemctl start pm2-whatsapp",
            ),
        ),
    ),
    Fault(
        "redis_down",
        one_of("refused", "taken back"),
        (("data1", "systemctl stop redis-server"),),
        (("data1", "systemctl start redis-server"),),
    ),
    Fault(
        "git_origin_unreachable",
        one_of("success"),
        (("hub", "systemctl stop git-daemon"),),
        (("hub", "systemctl start git-daemon"),),
    ),
    Fault("clock_one_hour_off", one_of("refused"), (("web1", CLOCK),), (("web1", CLOCK_BACK),)),
)


def sample(size: int, seed: int) -> list[Fault]:
    """Some faults, the same for the same seed, one of them slow."""
    chooser = random.Random(seed)
    slow = chooser.sample([fault for fault in FAULTS if fault.slow], 1)
    quick = chooser.sample([fault for fault in FAULTS if not fault.slow], size - 1)
    return [fault for fault in FAULTS if fault in slow + quick]
