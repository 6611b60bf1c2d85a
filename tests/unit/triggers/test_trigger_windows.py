"""The end of a log gives the same numbers as all of it, whatever its size, its files and where its lines break."""

from __future__ import annotations

import datetime
import io
import os
import pathlib
import random
import tempfile

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import trigger_access, trigger_laravel, trigger_windows
from ansible_collections.campaign.rollback.plugins.module_utils.errors import RollbackError
from ansible_collections.campaign.rollback.plugins.module_utils.log_windows import zone_of
from hypothesis import given
from hypothesis import strategies as st
from trigger_world import NOW, UTC, access, laravel, naive, summed, traffic, write

LINES = st.lists(
    st.tuples(
        st.integers(0, 90),  # seconds after the line before
        st.sampled_from((200, 200, 302, 404, 499, 500, 502)),
        st.sampled_from(("/api/campaigns", "/", "/api/health", "/login?next=/a")),
        st.sampled_from(("line", "line", "line", "line", "broken", "long", "early")),
    ),
    max_size=60,
)


def text_of(at, status, path, kind):
    if kind == "broken":
        return f'192.0.2.7 - - [{"9" * 20}] "half a line\n'
    if kind == "early":
        at -= 40  # written late, as with buffers
    return access(at, path, status, agent="x" * 400 if kind == "long" else "agent")


@given(LINES, st.integers(30, 700), st.lists(st.integers(0, 60), max_size=3), st.booleans(), st.booleans())
def test_window_is_what_a_full_scan_finds(lines, block, cuts, packed, torn):
    at = NOW - sum(line[0] for line in lines)
    written = []
    for gap, status, path, kind in lines:
        at += gap
        written.append((at, text_of(at, status, path, kind)))
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patched:
        patched.setattr(trigger_windows, "BLOCK", block)
        path, files = os.path.join(place, "access.log"), []
        cuts = [0, *sorted(min(cut, len(written)) for cut in cuts), len(written)]
        parts = [written[begin:end] for begin, end in zip(cuts, cuts[1:])]
        for number, part in enumerate(reversed(parts)):
            ending = f".{number}" + (".gz" if packed and number > 1 else "") if number else ""
            files.append(path + ending)
            write(files[-1], part, part[-1][0] if part else NOW)
        if torn:
            with open(path, "a") as stream:
                stream.write(access(NOW, status=500).rstrip("\n"))
            os.utime(path, (NOW, NOW))
        window = trigger_access.Window(NOW, 600, ["", "^/api/"], ["^/api/health"])
        series, _problem = trigger_access.read(path, window, NOW - 600)
        assert summed(one for one in series if not one.name) == naive(files, NOW, 600, "^/api/health")
        only = [one for one in series if one.name == "^/api/"]
        assert summed(only) == naive(files, NOW, 600, "^/api/health|^/(?!api/)")


def test_lines_that_were_written_late_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(trigger_windows, "BLOCK", 300)
    path = tmp_path / "access.log"
    late = [(NOW - 590, access(NOW - 590, status=500))] + [(NOW - 585, access(NOW - 585 - 40)) for _line in range(9)]
    write(path, [*late, (NOW - 5, access(NOW - 5))])
    series, _problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    assert summed(series) == naive([path], NOW, 600)


@pytest.mark.parametrize("part", [0.3, 0.5, 0.62, 0.7, 0.8, 0.9, 0.97])
def test_a_torn_line_takes_no_other_along(tmp_path, part):
    path, whole = tmp_path / "access.log", access(NOW - 9)
    torn = whole[: int(len(whole) * part)] + "\n"
    write(path, [(NOW - 9, whole), (NOW - 9, torn), (NOW - 5, access(NOW - 5, status=500)), (NOW - 1, access(NOW - 1))])
    series, _problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    found = summed(series)
    assert found["errors"] == 1
    # The torn one counts as far as it tells its status.
    assert found["requests"] == 3 + (part > 0.5)
    assert series[0].evidence[0].endswith(f"byte {len(whole) + len(torn)}")


@given(st.binary(max_size=3000), st.integers(1, 200), st.integers(5, 500))
def test_both_directions_give_whole_lines_with_their_places(data, block, most):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trigger_windows, "BLOCK", block)
        patched.setattr(trigger_windows, "MOST_LINE", 4000)
        whole = data[: data.rfind(b"\n") + 1]
        back = list(trigger_windows.backwards(io.BytesIO(data)))
        assert b"".join(lines for _offset, lines in reversed(back)) == whole
        forth = list(trigger_windows.forwards(io.BytesIO(data)))
        assert b"".join(lines for _offset, lines in forth) == whole
        for offset, lines in back + forth:
            assert data[offset : offset + len(lines)] == lines
        patched.setattr(trigger_windows, "MOST_LINE", most)
        for _offset, lines in trigger_windows.backwards(io.BytesIO(data)):
            assert len(lines) <= block + most + 1


def test_only_the_window_is_read(tmp_path, monkeypatch):
    path = tmp_path / "access.log"
    write(path, traffic(NOW - 86400, NOW, per_s=0.5))
    write(tmp_path / "access.log.1", traffic(NOW - 2 * 86400, NOW - 86400, per_s=0.01))
    (tmp_path / "access.log.2.gz").write_bytes(b"never opened")
    read = []
    monkeypatch.setattr(trigger_windows, "BLOCK", 4096)

    def taken(block):
        read.append(block)
        return window.take(block)

    window = trigger_access.Window(NOW, 600)
    files = trigger_windows.read(str(path), NOW - 600, taken)
    assert files == [str(path)]
    # The window, the disorder before it, and one block.
    assert sum(len(block.lines) for block in read) < 800 / 86400 * path.stat().st_size + 2 * 4096


@pytest.mark.parametrize("form", ["combined", "timed", "plain", "json"])
def test_every_format_gives_the_same_numbers(tmp_path, form):
    path = tmp_path / "access.log"
    write(path, traffic(NOW - 900, NOW, form=form, share=0.2))
    series, problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    other = tmp_path / "other.log"
    write(other, traffic(NOW - 900, NOW, form="timed", share=0.2))
    wanted = naive([other], NOW, 600)
    if form == "combined":
        wanted = {name: wanted[name] for name in ("requests", "errors")}
    assert (summed(series), problem) == (wanted, "")
    untimed = next(one for one in series if one.measure == "average_s")
    assert bool(untimed.rows) == (form != "combined")
    assert ("no times" in untimed.note) == (form == "combined")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ({"status": 503, "upstream": "-"}, (0, 0, 0)),  # a closed gate
        ({"status": 503, "upstream": "0.010"}, (1, 1, 0)),
        ({"status": 503, "upstream": "0.010, 0.004"}, (1, 1, 0)),
        ({"status": 503, "form": "plain", "upstream": "-"}, (0, 0, 0)),
        ({"status": 503, "form": "plain", "upstream": "0.01 : 0.02"}, (1, 1, 0)),
        ({"status": 503, "form": "json", "upstream": "-"}, (0, 0, 0)),
        ({"status": 503, "form": "combined"}, (0, 0, 1)),  # nobody says who gave it
        ({"status": 503, "path": "/held", "upstream": "0.01"}, (0, 0, 0)),
        ({"status": 499}, (0, 0, 0)),
        ({"status": 500, "path": "/api/health"}, (0, 0, 0)),
        ({"status": 500, "agent": "kube-probe/1.30"}, (0, 0, 0)),
        ({"status": 500, "agent": "kube-probe/1.30", "form": "json"}, (0, 0, 0)),
        ({"status": 500}, (1, 1, 0)),
        ({"status": 404}, (1, 0, 0)),
    ],
)
def test_what_counts(tmp_path, line, wanted):
    path = tmp_path / "access.log"
    write(path, [(NOW - 5, access(NOW - 5, **line))])
    window = trigger_access.Window(NOW, 600, [""], ["^/api/health"], ["kube-probe"], ["^/held"])
    series, _problem = trigger_access.read(str(path), window, NOW - 600)
    assert tuple(map(int, (series[0].rows or [[0] * 6])[0][2:5])) == wanted


def test_an_address_behind_the_client_is_no_time(tmp_path):
    path = tmp_path / "access.log"
    write(path, [(NOW, access(NOW, form="combined").rstrip("\n") + ' "10.5.0.1"\n')])
    series, _problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    assert not series[1].rows


def test_evidence_leads_to_the_line_and_names_nobody(tmp_path):
    path = tmp_path / "access.log"
    bad = access(NOW - 3, "/password/reset/0123456789abcdef?email=a@example.com", 500)
    write(path, [(NOW - 9, access(NOW - 9)), (NOW - 3, bad), (NOW - 1, access(NOW - 1))])
    series, _problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    text, _comma, place = series[0].evidence[0].partition(", ")
    assert text == "500 /password/reset/*"
    offset = int(place.rpartition(" ")[2])
    assert path.read_bytes()[offset:].startswith(bad.encode())


@pytest.mark.parametrize("lines", ["unknown format\n", "a\nb\nc\n"])
def test_a_format_that_is_not_known_is_no_silence(tmp_path, lines):
    path = tmp_path / "access.log"
    path.write_text(lines)
    _series, problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    assert "known format" in problem


def test_a_log_without_times_is_not_read_to_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(trigger_windows, "BLOCK", 1000)
    monkeypatch.setattr(trigger_windows, "MOST_UNDATED", 5000)
    taken = []
    (tmp_path / "a.log").write_bytes(b"what is this\n" * 10000)
    with pytest.raises(RollbackError, match="nowhere"):
        trigger_windows.read(str(tmp_path / "a.log"), NOW, lambda block: taken.append(block))
    assert sum(len(block.lines) for block in taken) < 7000


def test_a_missing_and_an_unreadable_log_are_told(tmp_path):
    window = trigger_access.Window(NOW, 600)
    with pytest.raises(RollbackError, match="no log"):
        trigger_access.read(str(tmp_path / "access.log"), window, NOW - 600)
    (tmp_path / "access.log").mkdir()
    with pytest.raises(RollbackError, match="cannot be read"):
        trigger_access.read(str(tmp_path / "access.log"), window, NOW - 600)


def test_a_torn_archive_is_told(tmp_path):
    write(tmp_path / "access.log", traffic(NOW - 100, NOW))
    packed = tmp_path / "access.log.1.gz"
    write(packed, traffic(NOW - 900, NOW - 100))
    packed.write_bytes(packed.read_bytes()[:-20])
    os.utime(packed, (NOW, NOW))
    with pytest.raises(RollbackError, match="not whole"):
        trigger_access.read(str(tmp_path / "access.log"), trigger_access.Window(NOW, 600), NOW - 600)


def test_a_file_rotated_while_it_is_read_counts_once(tmp_path):
    path = tmp_path / "access.log"
    write(path, traffic(NOW - 300, NOW))
    os.link(path, tmp_path / "access.log.1")
    series, _problem = trigger_access.read(str(path), trigger_access.Window(NOW, 600), NOW - 600)
    assert summed(series) == naive([path], NOW, 600)


def test_files_of_one_log(tmp_path):
    names = ("a.log", "a.log.1", "a.log.2", "a.log.2.gz", "a.log.10.gz", "a.log-20261121.gz", "a.log-20261120")
    daily = ("a-2026-11-22.log", "a-2026-11-21.log", "a-2026-11-20.log.gz")
    for name in (*names, *daily, "b.log", "a.log.bak", "a.logs", "a-old.log"):
        (tmp_path / name).touch()
    first, second = trigger_windows.series_of(str(tmp_path / "a.log"))
    assert [pathlib.Path(one).name for one in first] == [
        "a.log",
        "a.log-20261121.gz",
        "a.log-20261120",
        "a.log.1",
        "a.log.2",
        "a.log.10.gz",
    ]
    assert [pathlib.Path(one).name for one in second] == list(daily)


def errors(paths, now=NOW, zone=UTC, patterns=None, window_s=600):
    window = trigger_laravel.Window(now, window_s, zone, patterns or {})
    series, problem = trigger_laravel.read([str(path) for path in paths], window, now - window_s)
    return {
        one.name or one.measure: int(sum(row[3] for row in one.rows)) for one in series if one.measure == "errors"
    }, problem


def test_records_of_many_lines_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(trigger_windows, "BLOCK", 512)
    drawn = random.Random(3)
    at, records, wanted = NOW - 2000, [], {"errors": 0, "campaigns": 0}
    while at < NOW:
        level, text = drawn.choice(("ERROR", "INFO", "CRITICAL")), drawn.choice(("HybridCampaign lost", "no route"))
        records.append((at, laravel(at, level, text, trace=drawn.randrange(200))))
        if at > NOW - 600 and level != "INFO":
            wanted["errors"] += 1
            wanted["campaigns"] += text.startswith("Hybrid")
        at += drawn.randrange(1, 30)
    write(tmp_path / "laravel.log", records)
    assert errors([tmp_path / "laravel.log"], patterns={"campaigns": "hybridcampaign"}) == (wanted, "")


def test_daily_files_and_single_ones_add_up(tmp_path):
    midnight = datetime.datetime(2026, 11, 22, tzinfo=UTC).timestamp()
    now = midnight + 200
    write(tmp_path / "laravel-2026-11-21.log", [(midnight - 100, laravel(midnight - 100))])
    write(tmp_path / "laravel-2026-11-22.log", [(midnight + 100, laravel(midnight + 100))])
    write(tmp_path / "laravel.log", [(midnight - 300, laravel(midnight - 300))])
    assert errors([tmp_path / "laravel.log"], now) == ({"errors": 3}, "")


def test_a_quiet_log_has_no_errors(tmp_path):
    write(tmp_path / "laravel-2026-11-20.log", [(NOW - 90000, laravel(NOW - 90000))])
    assert errors([tmp_path / "laravel.log"]) == ({"errors": 0}, "")


BERLIN = zone_of("Europe/Berlin")
#: The clock goes back from 3 to 2 that night: 01:00 UTC.
BACK = datetime.datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp()
#: And from 2 to 3 that night.
FORTH = datetime.datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("minutes", range(-70, 75, 10))
@pytest.mark.parametrize("change", [BACK, FORTH])
def test_the_hour_that_is_there_twice_counts_once(tmp_path, monkeypatch, change, minutes):
    monkeypatch.setattr(trigger_windows, "BLOCK", 4096)
    now = change + 60 * minutes
    records = [(now - age, laravel(now - age, zone=BERLIN)) for age in range(7000, 0, -20)]
    write(tmp_path / "laravel.log", records)
    assert errors([tmp_path / "laravel.log"], now, BERLIN) == ({"errors": 29}, "")


def test_a_record_of_the_first_of_both_hours_is_not_of_the_second(tmp_path):
    write(tmp_path / "laravel.log", [(BACK - 1800, laravel(BACK - 1800, zone=BERLIN))])
    assert errors([tmp_path / "laravel.log"], BACK + 1900, BERLIN) == ({"errors": 0}, "")


def test_a_wrong_zone_is_told(tmp_path):
    write(tmp_path / "laravel.log", [(NOW, laravel(NOW, zone=BERLIN))])
    assert "zone" in errors([tmp_path / "laravel.log"])[1]
