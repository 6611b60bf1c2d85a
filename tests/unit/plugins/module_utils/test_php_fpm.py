"""What PHP-FPM's own print of its configuration says about a reload."""

from __future__ import annotations

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.php_fpm import reload_waits

TITLE = "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)\0\0"


def root(tmp_path, title):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_text(title)
    (tmp_path / "7" / "exe").symlink_to("/usr/sbin/php-fpm8.2")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ("[22-Nov-2026 08:00:00] NOTICE: \tprocess_control_timeout = 15s\n", 15),
        ("NOTICE: \tprocess_control_timeout = 0s\n", 0),
        ("NOTICE: \tprocess.max = 0\n", None),
    ],
)
def test_it_is_asked_for_the_configuration_that_it_runs(tmp_path, said, waits):
    asked = []

    def run(argv):
        asked.append(argv)
        return 0, "", said

    assert reload_waits(run, 7, root(tmp_path, TITLE)) == waits
    assert asked == [["/usr/sbin/php-fpm8.2", "--fpm-config", "/etc/php/8.2/fpm/php-fpm.conf", "-tt"]]


def test_nothing_else_is_asked(tmp_path):
    assert reload_waits(None, 7, root(tmp_path, "nginx: master process /usr/sbin/nginx\0")) is None
    assert reload_waits(None, 8, str(tmp_path)) is None
