"""Keys apart from their tables, as far as the rows can do without them."""

from __future__ import annotations

from ansible_collections.campaign.rollback.plugins.module_utils.structure_keys import Later, keys_apart

TEXT = b"""SET SESSION x=1;
CREATE TABLE `a``b` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `x` int(11) DEFAULT NULL COMMENT 'KEY `x`',
  PRIMARY KEY (`id`),
  UNIQUE KEY `x` (`x`),
  KEY `also` (`id`,`x`),
  KEY `y` ((lower(`x`))) COMMENT 'a,',
  FULLTEXT KEY `f` (`x`),
  CONSTRAINT `fk``1` FOREIGN KEY (`x`) REFERENCES `c` (`id`) ON DELETE CASCADE,
  CONSTRAINT `small` CHECK (`x` < 7)
) ENGINE=InnoDB;
CREATE TABLE `keyless` (
  `x` int(11) NOT NULL,
  UNIQUE KEY `x` (`x`),
  CONSTRAINT `fk2` FOREIGN KEY (`x`) REFERENCES `c` (`id`)
) ENGINE=InnoDB
 PARTITION BY HASH (`x`);
"""


def test_small_tables_stay_as_they_are():
    assert keys_apart(TEXT, []) == (TEXT, {})


def test_what_the_rows_need_stays():
    text, later = keys_apart(TEXT, ["a`b", "keyless"])
    assert later == {
        "a`b": Later(
            ("UNIQUE KEY `x` (`x`)", "KEY `y` ((lower(`x`))) COMMENT 'a,'"),
            ("CONSTRAINT `fk``1` FOREIGN KEY (`x`) REFERENCES `c` (`id`) ON DELETE CASCADE",),
        ),
        "keyless": Later((), ("CONSTRAINT `fk2` FOREIGN KEY (`x`) REFERENCES `c` (`id`)",)),
    }
    gone = ("  UNIQUE KEY `x` (`x`),", "  KEY `y`", "  CONSTRAINT `fk")
    first, second = TEXT.split(b"CREATE TABLE `keyless`")
    kept = "".join(line for line in first.decode().splitlines(True) if not line.startswith(gone))
    assert text.decode().startswith(kept)
    assert text[len(kept) :] == b"CREATE TABLE `keyless`" + second.replace(
        b",\n  CONSTRAINT `fk2` FOREIGN KEY (`x`) REFERENCES `c` (`id`)", b""
    )
