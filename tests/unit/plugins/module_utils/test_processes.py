"""Reading /proc: any command name, processes that end meanwhile, and none that has ended already."""

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils.processes import read
from hypothesis import given
from hypothesis import strategies as st

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def stat(command, state="S", utime=0, stime=0, pages=0):
    fields = [state, *["0"] * 10, str(utime), str(stime), *["0"] * 8, str(pages), *["0"] * 28]
    return f"7 ({command}) {' '.join(fields)}\n"


def root(tmp_path, texts):
    for number, text in enumerate(texts, 100):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "stat").write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "self").mkdir(exist_ok=True)
    (tmp_path / "99999").mkdir(exist_ok=True)
    return str(tmp_path)


def test_processes_are_summed_up_by_the_beginning_of_their_name(tmp_path):
    texts = [stat("nginx", utime=TICKS, stime=2 * TICKS, pages=3), stat("nginx", pages=1), stat("php-fpm8.2", pages=5)]
    found = read(["nginx", "php-fpm", "redis"], root(tmp_path, texts))
    found["nginx"]["pids"].sort()
    assert found["nginx"] == {"count": 2, "rss_bytes": 4 * PAGE, "cpu_s": 3.0, "pids": [100, 101]}
    assert (found["php-fpm"]["count"], found["php-fpm"]["rss_bytes"]) == (1, 5 * PAGE)
    assert found["redis"] == {"count": 0, "rss_bytes": 0, "cpu_s": 0.0, "pids": []}


@pytest.mark.parametrize("state", ["Z", "X"])
def test_what_has_ended_does_not_count_as_running(tmp_path, state):
    assert read(["nginx"], root(tmp_path, [stat("nginx", state)]))["nginx"]["count"] == 0


@given(st.text("()) \n\tnginx\udcff1", max_size=15))
def test_any_command_name_is_read(command):
    with tempfile.TemporaryDirectory() as directory:
        found = read(["nginx"], root(pathlib.Path(directory), [stat("nginx" + command, pages=2)]))
        assert (found["nginx"]["count"], found["nginx"]["rss_bytes"]) == (1, 2 * PAGE)


def test_a_name_with_parentheses_is_read_whole(tmp_path):
    found = read(["(sd-pam)"], root(tmp_path, [stat("(sd-pam)")]))
    assert found["(sd-pam)"]["count"] == 1


@pytest.mark.parametrize("text", ["", "7", "7 (nginx"])
def test_a_process_that_ends_while_it_is_read_is_left_out(tmp_path, text):
    assert read(["nginx"], root(tmp_path, [text]))["nginx"]["count"] == 0


def test_this_process_is_found():
    with open("/proc/self/comm", encoding="utf-8") as stream:
        command = stream.read().strip()
    found = read([command])[command]
    assert os.getpid() in found["pids"]
    assert found["rss_bytes"] > 0
