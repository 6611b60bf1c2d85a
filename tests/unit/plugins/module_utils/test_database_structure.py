"""The structure of a schema in two parts: its tables, and what runs, which has to stay inside the schema."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.database_structure import (
    objects_of,
    release_of,
    tables_of,
    without_counters,
)
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError

#: What the dump tool writes, shortened. The statements of triggers are those of whoever made them.
DUMP = b"""/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
-- Server version\t10.11.19-MariaDB-0+deb12u1

/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `a`;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `a` (
  `id` int(11) NOT NULL AUTO_INCREMENT COMMENT 'x;\\n) ENGINE=y',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COMMENT=' AUTO_INCREMENT=8';
/*!40101 SET character_set_client = @saved_cs_client */;
/*!50003 SET sql_mode = 'STRICT_TRANS_TABLES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 %s FOR EACH ROW BEGIN
CREATE TABLE `no_table` (id INT);
DROP TABLE IF EXISTS `no_table`;
END */;;
DELIMITER ;
DROP TABLE IF EXISTS `v`;
/*!50001 CREATE VIEW `v` AS SELECT
 1 AS `id` */;
/*!50106 DROP EVENT IF EXISTS `e` */;
DELIMITER ;;
/*!50003 SET time_zone = 'SYSTEM' */ ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ /*!50106 EVENT `e ENABLE` ON SCHEDULE %s DO
BEGIN END */ ;;
/*!50106 DROP EVENT IF EXISTS `f` */;;
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ /*!50106 EVENT `f` ON SCHEDULE AT '2030-01-01 00:00:00' \
ON COMPLETION NOT PRESERVE ENABLE DO SELECT 'ENABLE' */ ;;
DELIMITER ;
DELIMITER ;;
CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()
SELECT 'TRIGGER x' ;;
DELIMITER ;

-- Dump completed
"""
TRIGGER, EVENT = b"TRIGGER t AFTER INSERT ON a", b"EVERY 1 DAY STARTS '2026-01-01' ON COMPLETION PRESERVE ENABLE"


def dump(trigger=TRIGGER, event=EVENT):
    return DUMP % (trigger, event)


def test_tables_come_first_and_alone():
    text = tables_of(dump())
    assert text.count(b"CREATE TABLE") == 1
    assert b"CREATE TABLE `a`" in text
    assert text.endswith(b"COMMENT=' AUTO_INCREMENT=8';\n")
    for other in (b"DROP TABLE", b"TRIGGER", b"VIEW", b"EVENT", b"PROCEDURE", b"no_table", b"sandbox"):
        assert other not in text


def test_the_rest_makes_and_drops_no_table():
    text = objects_of(dump())
    for other in (b"CREATE TABLE `a`", b"DROP TABLE IF EXISTS `v`", b"sandbox"):
        assert other not in text
    for part in (b"TRIGGER t AFTER", b"CREATE TABLE `no_table`", b"DROP TABLE IF EXISTS `no_table`", b"PROCEDURE `p`"):
        assert part in text
    assert text.count(b"DELIMITER") == dump().count(b"DELIMITER")


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (EVENT, EVENT.replace(b"ENABLE", b"DISABLE ON SLAVE")),
        (EVENT.replace(b"ENABLE", b"DISABLE"), EVENT.replace(b"ENABLE", b"DISABLE")),
        (EVENT.replace(b"ENABLE", b"DISABLE ON SLAVE"), EVENT.replace(b"ENABLE", b"DISABLE ON SLAVE")),
        (EVENT + b" COMMENT 'ENABLE'", EVENT.replace(b"ENABLE", b"DISABLE ON SLAVE") + b" COMMENT 'ENABLE'"),
    ],
)
def test_no_event_is_enabled(given, made):
    text = objects_of(dump(event=given))
    assert b"EVENT `e ENABLE` ON SCHEDULE " + made + b" DO\n" in text
    assert b"ON COMPLETION NOT PRESERVE DISABLE ON SLAVE DO SELECT 'ENABLE'" in text


@pytest.mark.parametrize(
    "given",
    [
        b"TRIGGER t AFTER INSERT ON a",
        b"TRIGGER blazz.t AFTER INSERT ON blazz.a",
        b"TRIGGER `bl azz` . t AFTER INSERT ON `bl``azz`.a",
    ],
)
def test_a_trigger_stays_in_the_schema_it_is_loaded_into(given):
    assert b"/*!50003 TRIGGER t AFTER INSERT ON a FOR EACH ROW BEGIN\n" in objects_of(dump(given))


def test_a_trigger_may_be_written_in_any_way():
    given = b"trigger if not exists `blazz`.`a b`\n\tbefore\r\n delete ON `blazz`.`a`\n"
    assert b"trigger if not exists `a b`\n\tbefore\r\n delete ON `a`\n FOR EACH ROW" in objects_of(dump(given))


@pytest.mark.parametrize(
    ("trigger", "event"),
    [
        (b"TRIGGER blazz /* c */ . t AFTER INSERT ON a", EVENT),
        (b"TRIGGER t AFTER INSERT ON blazz.x.a", EVENT),
        (TRIGGER, b"EVERY 1 DAY ENABLE"),
    ],
)
def test_what_is_not_understood_is_refused(trigger, event):
    with pytest.raises(RollbackError, match="begins in a way that is not understood"):
        objects_of(dump(trigger, event))


def test_counters_do_not_count():
    other = dump().replace(b"AUTO_INCREMENT=7 ", b"AUTO_INCREMENT=99 ")
    assert without_counters(other) == without_counters(dump()) != dump()
    for change in (
        (b"AUTO_INCREMENT=8", b"AUTO_INCREMENT=9"),
        (b"1 DAY", b"2 DAY"),
        (b"BEGIN\nCREATE", b"BEGIN CREATE"),
    ):
        assert without_counters(dump().replace(*change)) != without_counters(dump())


def test_the_release_is_that_of_the_server():
    assert release_of(dump()) == (10, 11)
    assert release_of(b"-- MariaDB dump 10.19\n") is None
