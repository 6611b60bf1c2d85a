"""Data of the shape that the project is about, the same every time, made by the server itself."""

from __future__ import annotations

import threading

#: Rows for one GB of the server's files.
PER_GB = {"campaigns": 25_000, "contacts": 500_000, "campaign_logs": 3_000_000, "messages": 2_000_000}

COLUMNS = {
    "campaigns": "name VARCHAR(200) NOT NULL, note TEXT NULL, created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL",
    "contacts": "name VARCHAR(100) NOT NULL, address VARCHAR(64) NOT NULL, created_at TIMESTAMP NULL",
    "campaign_logs": (
        "campaign_id BIGINT UNSIGNED NOT NULL, contact_id BIGINT UNSIGNED NOT NULL, message_id CHAR(36) NOT NULL,"
        " status VARCHAR(20) NOT NULL DEFAULT 'pending', sent_at TIMESTAMP NULL, created_at TIMESTAMP NULL"
    ),
    "messages": "contact_id BIGINT UNSIGNED NOT NULL, body TEXT NOT NULL, created_at TIMESTAMP NULL",
}

ROWS = {
    "campaigns": "CONCAT('Campaign ', seq), IF(seq % 3, NULL, MD5(seq)), {at}, {at}",
    "contacts": "CONCAT('Contact ', MD5(seq)), CONCAT('address-', seq), {at}",
    "campaign_logs": (
        "1 + seq % {campaigns}, 1 + seq % {contacts}, CONCAT('wamid.', LEFT(MD5(seq), 30)),"
        " ELT(1 + seq % 4, 'sent', 'delivered', 'read', 'failed'), {at}, {at}"
    ),
    "messages": (
        "1 + seq % {contacts}, CONCAT('Your order ', seq, ' of ', MD5(seq), ' is on its way. Answer STOP to hear no"
        " more from us, or ', MD5(seq + 1), ' to see where it is, what it is, and when it arrives.'), {at}"
    ),
}
# Built after the rows, because that is by far the fastest.
KEYS = {
    "contacts": "ADD UNIQUE KEY (address)",
    "campaign_logs": (
        "ADD KEY (campaign_id, status), ADD UNIQUE KEY (message_id),"
        " ADD CONSTRAINT logs_of_campaign FOREIGN KEY (campaign_id) REFERENCES campaigns (id) ON DELETE CASCADE"
    ),
    "messages": "ADD KEY (contact_id)",
}


def rows_of(gb: float) -> dict[str, int]:
    """Table -> number of rows."""
    return {name: max(1000, int(rows * gb)) for name, rows in PER_GB.items()}


def build(server, schema: str, gb: float) -> dict[str, int]:
    """Create ``schema`` with about ``gb`` GB; returns its rows per table."""
    rows = rows_of(gb)
    with server.connect() as db:
        db.run(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4")
    failures: list[BaseException] = []

    def fill(*tables):
        try:
            with server.connect(lock_wait_s=600) as own:
                own.run("SET SESSION sql_log_bin=0, foreign_key_checks=0, time_zone='+00:00'")
                own.run(f"USE {schema}")
                for table in tables:
                    values = ROWS[table].format(at="'2026-01-01' + INTERVAL seq SECOND", **rows)
                    own.run(f"INSERT INTO {table} SELECT seq, {values} FROM seq_1_to_{rows[table]}")
                    if table in KEYS:
                        own.run(f"ALTER TABLE {table} {KEYS[table]}")
        except BaseException as error:
            failures.append(error)

    with server.connect() as db:
        db.run(f"USE {schema}")
        for table, columns in COLUMNS.items():
            db.run(f"CREATE TABLE {table} (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, {columns})")
        threads = [
            threading.Thread(target=fill, args=tables)
            for tables in (("campaigns", "campaign_logs"), ("messages", "contacts"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        db.rows(f"ANALYZE TABLE {', '.join(COLUMNS)}")
    return rows
