"""A schema with everything that a rename of tables does not move, in two versions, and what it looks like."""

from __future__ import annotations

import pymysql
from ansible_collections.campaign.rollback.plugins.module_utils.database import (
    operating_system_user,
    qualified,
    read_foreign_keys,
    read_objects,
    table_digests,
)
from ansible_collections.campaign.rollback.plugins.module_utils.database_handover import moveable
from ansible_collections.campaign.rollback.plugins.module_utils.database_objects import read_definitions
from ansible_collections.campaign.rollback.plugins.module_utils.database_prepare import Request
from ansible_collections.campaign.rollback.plugins.module_utils.database_relations import in_full

LIVE, SHADOW, ATTIC = "blazz", "blazz__shadow_1", "blazz__attic_1"
UNDO = "blazz__attic_undo_1"
# Long waits, because a busy machine is no reason to give up; what is given up in time has tests of its own.
REQUEST = Request(LIVE, SHADOW, ATTIC, keep=("sessions",), lock_wait_s=30, freeze_s=60)

# {s} is the schema, {v} its version, {n} a default. Sessions stay; keys cross the border in both directions.
TABLES = """
CREATE TABLE {s}.users (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL,
  shout VARCHAR(50) AS (UPPER(name)), number BIGINT NOT NULL DEFAULT {n}, KEY (shout));
CREATE TABLE {s}.posts (id INT AUTO_INCREMENT PRIMARY KEY, user INT NOT NULL, text VARCHAR(50) NOT NULL DEFAULT '',
  v{v} INT, FOREIGN KEY (user) REFERENCES {s}.users (id) ON DELETE CASCADE);
CREATE TABLE {s}.audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(80) NOT NULL);
CREATE TABLE {s}.sessions (id INT AUTO_INCREMENT PRIMARY KEY, user INT NULL,
  CONSTRAINT sessions_user FOREIGN KEY (user) REFERENCES {s}.users (id) ON DELETE SET NULL);
CREATE TABLE {s}.logins (id INT AUTO_INCREMENT PRIMARY KEY, session INT NULL,
  CONSTRAINT logins_session FOREIGN KEY (session) REFERENCES {s}.sessions (id) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE {s}.metrics (day INT NOT NULL, value INT, PRIMARY KEY (day))
  PARTITION BY RANGE (day) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE TABLE {s}.swapped_{v} (id INT PRIMARY KEY);
INSERT INTO {s}.users (name, number) VALUES ('ann', 1), ('bob of v{v}', 2);
INSERT INTO {s}.posts (user, text) VALUES (1, 'of v{v}'), (2, 'two');
INSERT INTO {s}.metrics VALUES (1, {v}), (20, {v});
"""

BODIES = """
CREATE FUNCTION {s}.version_of(x INT) RETURNS INT DETERMINISTIC RETURN x + {v};
CREATE PROCEDURE {s}.told(IN what VARCHAR(50)) MODIFIES SQL DATA INSERT INTO audit (what) VALUES (CONCAT(what, {v}));
CREATE PROCEDURE {s}.only_in_{v}() SELECT {v};
CREATE FUNCTION {s}.steady() RETURNS INT DETERMINISTIC RETURN 7;
CREATE VIEW {s}.z_base AS SELECT id, name FROM users WHERE id < {v}000;
CREATE VIEW {s}.m_fixed AS SELECT id FROM users;
CREATE VIEW {s}.a_top AS SELECT id, version_of(id) AS was, name FROM z_base WHERE id > 0 WITH CASCADED CHECK OPTION;
CREATE SQL SECURITY INVOKER VIEW {s}.swapped_{o} AS SELECT 1 AS one;
CREATE TRIGGER {s}.second BEFORE INSERT ON {s}.posts FOR EACH ROW SET NEW.text = CONCAT(NEW.text, '/2v{v}');
CREATE TRIGGER {s}.first BEFORE INSERT ON {s}.posts FOR EACH ROW PRECEDES second SET NEW.text = CONCAT(NEW.text, '/1');
CREATE TRIGGER {s}.told AFTER INSERT ON {s}.posts FOR EACH ROW CALL told(NEW.text);
CREATE TRIGGER {s}.only_in_{v} AFTER UPDATE ON {s}.users FOR EACH ROW INSERT INTO audit (what) VALUES (OLD.name);
CREATE TRIGGER {s}.stays BEFORE INSERT ON {s}.sessions FOR EACH ROW SET @sessions = 1;
CREATE EVENT {s}.nightly ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 00:00:00' COMMENT 'v{v}' DO DELETE FROM audit;
CREATE EVENT {s}.paused ON SCHEDULE EVERY {v} DAY STARTS '2035-01-01 00:00:00' DISABLE DO DELETE FROM audit;
CREATE EVENT {s}.only_in_{v} ON SCHEDULE AT '2035-01-01 00:00:00' ON COMPLETION PRESERVE DO DELETE FROM audit;
"""


def run_script(server, script):
    """Run statements that end in ``;`` at the end of a line, all in one go: a test may do this a hundred times."""
    connection = pymysql.connect(
        unix_socket=server.socket,
        user=operating_system_user(),
        charset="utf8mb4",
        autocommit=True,
        client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode='STRICT_TRANS_TABLES', foreign_key_checks=0;\n" + script)
        while cursor.nextset():
            pass


REST = """
CREATE USER IF NOT EXISTS caller@localhost;
GRANT EXECUTE ON PROCEDURE blazz.told TO caller@localhost;
GRANT EXECUTE ON FUNCTION blazz.version_of TO caller@localhost;
GRANT EXECUTE ON PROCEDURE blazz.only_in_2 TO caller@localhost;
INSERT INTO blazz.sessions (user) VALUES (1), (2);
INSERT INTO blazz.logins (session) VALUES (1);
INSERT INTO blazz__shadow_1.sessions (id) VALUES (7);
CREATE DATABASE other;
CREATE TABLE other.notes (id INT PRIMARY KEY, user INT,
  CONSTRAINT note FOREIGN KEY (user) REFERENCES blazz.users (id));
INSERT INTO other.notes VALUES (1, 1);
"""
CLEAR = """
SET GLOBAL read_only=0;
DROP DATABASE IF EXISTS blazz;
DROP DATABASE IF EXISTS blazz__shadow_1;
DROP DATABASE IF EXISTS blazz__attic_1;
DROP DATABASE IF EXISTS blazz__attic_undo_1;
DROP DATABASE IF EXISTS blazz__attic_undo_1_2;
DROP DATABASE IF EXISTS other;
DROP USER IF EXISTS caller@localhost;
"""


def furnish(server):
    """Version 2 is live, version 1 in the shadow, both anew; another schema refers to the live one."""
    script = CLEAR
    for schema, version in ((LIVE, 2), (SHADOW, 1)):
        parts = [f"CREATE DATABASE {schema} CHARACTER SET utf8mb4;\nUSE {schema};\n", TABLES, BODIES]
        default = "0"
        if has_sequences(server):
            parts.insert(1, "CREATE SEQUENCE {s}.numbers START WITH {v}00 CACHE 1;\n")
            default = f"NEXTVAL({schema}.numbers)"
        script += "".join(parts).format(s=schema, v=version, o=3 - version, n=default)
    run_script(server, script + REST)


def has_sequences(server):
    with server.connect() as db:
        return db.engine == "mariadb"


def clear(server):
    """Drop all that furnish made, and what became of it."""
    run_script(server, CLEAR)


def seen(db):
    """Everything about the live schema that must be completely old or completely new."""
    tables = moveable(db, [LIVE])[LIVE]
    definitions = {}
    for definition in read_definitions(db, LIVE, read_objects(db, [LIVE])[LIVE]):
        definitions[f"{definition.kind} {definition.name}"] = (definition.sql, definition.sql_mode, definition.grants)
    keys = [key for key in read_foreign_keys(db) if {key.child[0], key.parent[0]} & {LIVE, "other"}]
    rows = {
        table: sorted(map(str, db.rows(f"SELECT * FROM {qualified(LIVE, table)}"))) for table in tables - {"numbers"}
    }
    return {
        "read_only": int(db.value("SELECT @@GLOBAL.read_only")),
        "tables": table_digests(db, LIVE),
        "sequences": sorted(tables & {"numbers"}),
        "rows": rows,
        "order": [name for name in definitions if name.startswith("TRIGGER")],
        "definitions": definitions,
        "keys": sorted(map(repr, in_full(db, keys))),
    }
