"""The status page in a real Chromium: what a person sees of the triggers."""

from __future__ import annotations

import contextlib
import datetime
import functools
import http.server
import json
import os
import pathlib
import shutil
import stat
import threading

import pytest
from ansible_collections.campaign.rollback.plugins.module_utils import status_page
from monitoring_world import BROWSER, NOW, check

PAGE = pathlib.Path(__file__).parents[3] / "roles" / "monitoring" / "files" / "status.html"


def data(uses, minute=60, held=""):
    """The page's data after a check a minute that found these shares of memory used; None could not be told."""
    before = b""
    for number, used in enumerate(uses):
        now = NOW + minute * (number - len(uses) + 1)
        found = check(0.5 if used is None else used, now=now, held=held)
        if used is None:
            memory = next(rule for rule in found["rules"] if rule["name"] == "memory")
            memory.update(verdict="no_data", value=None)
        before = json.dumps(status_page.data(found, before, "drill", now, 21600)).encode()
    return json.loads(before)


def of(page, name):
    return next(rule for rule in page["rules"] if rule["name"] == name)


def test_values_of_the_last_hours_are_kept_and_older_ones_are_not():
    page = data([0.5, 0.6, None, 0.97], minute=10000)
    memory = of(page, "memory")
    assert [row[1:] for row in memory["points"]] == [[0.6, "ok"], [None, "no_data"], [0.97, "fired"]]
    assert memory["points"][-1][0] == page["checked"] == NOW
    assert (memory["limit"], memory["above"], memory["value"]) == (0.9, True, 0.97)
    assert of(page, "availability")["above"] is False
    assert "evidence" not in memory


def test_rules_that_are_gone_are_forgotten():
    found = check()
    before = json.dumps(status_page.data(found, b"", "drill", NOW - 60, 21600)).encode()
    found["rules"] = found["rules"][:2]
    page = status_page.data(found, before, "drill", NOW, 21600)
    assert [len(rule["points"]) for rule in page["rules"]] == [2, 2]


@pytest.mark.parametrize("before", [b"", b"{", b"[]", b'{"rules": [{}]}', b'{"rules": 7}'])
def test_what_cannot_be_read_begins_anew(before):
    assert len(status_page.data(check(), before, "drill", NOW, 21600)["rules"][0]["points"]) == 1


def test_the_module_writes_for_the_group_of_the_directory_alone(run_module, tmp_path):
    given = {"path": str(tmp_path / "data.json"), "found": check(), "environment": "drill"}
    run_module("monitoring_page", given, check=True)
    assert list(tmp_path.iterdir()) == []
    run_module("monitoring_page", given)
    assert run_module("monitoring_page", given)["points"] >= len(check()["rules"])
    status = os.stat(given["path"])
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, os.stat(tmp_path).st_gid)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Directory of the page, and its address."""
    place = tmp_path_factory.mktemp("page")
    shutil.copy(PAGE, place / "index.html")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=place))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield place, f"http://127.0.0.1:{httpd.server_port}/"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@contextlib.contextmanager
def opened(chromium, site, content, at=NOW + 30):
    """The page with this content, looked at at this time."""
    place, url = site
    (place / "data.json").write_text(content if isinstance(content, str) else json.dumps(content))
    page = chromium.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.clock.set_fixed_time(datetime.datetime.fromtimestamp(at, datetime.timezone.utc))
    page.goto(url)
    yield page
    page.close()
    assert wrong == []


def plot(page, name):
    return page.locator(f"#rule-{name} svg")


@BROWSER
def test_values_stand_beside_the_threshold(chromium, site):
    uses = [0.5] * 5 + [None] + [0.45] * 3
    with opened(chromium, site, data(uses)) as page:
        memory = plot(page, "memory")
        memory.wait_for()
        assert page.locator("section").count() == len(check()["rules"])
        assert memory.get_attribute("aria-label") == "memory: ✓ ok, value 0.45, wrong above 0.9"
        assert memory.locator("text").all_text_contents()[:2] == ["wrong above 0.9", "0.45"]
        # What was not told is a gap; of an SVG a larger y is lower.
        lines = [line.get_attribute("points").split() for line in memory.locator("polyline").all()]
        assert [len(line) for line in lines] == [5, 3]
        limit = float(memory.locator("line.limit").get_attribute("y1"))
        assert all(float(spot.split(",")[1]) > limit for line in lines for spot in line)
        assert page.locator("#alarm").inner_text() == ""
        assert "10 no data, 1 ok" in page.locator("#summary").inner_text()
        assert plot(page, "availability").get_attribute("aria-label").endswith("value none, wrong below 0.95")


@BROWSER
def test_a_fired_trigger_is_told_by_words_signs_and_place(chromium, site):
    with opened(chromium, site, data([0.5, 0.5, 0.97, 0.98])) as page:
        plot(page, "memory").wait_for()
        first = page.locator("section").first
        assert first.get_attribute("id") == "rule-memory"
        assert first.locator(".verdict").inner_text() == "▲ FIRED"
        assert "recommended level: partial" in first.inner_text()
        # A mark on each value that was judged so, above the threshold.
        assert first.locator("path.fired").count() == 2
        limit = float(first.locator("line.limit").get_attribute("y1"))
        spots = first.locator("polyline").get_attribute("points").split()
        assert [float(spot.split(",")[1]) < limit for spot in spots] == [False, False, True, True]
        assert page.locator("#alarm").inner_text() == "▲ Fired: memory"
        assert page.title().startswith("▲ 1 fired")
        thick = page.evaluate("getComputedStyle(document.querySelector('#rule-memory')).borderWidth")
        thin = page.evaluate("getComputedStyle(document.querySelector('#rule-availability')).borderWidth")
        assert (thick, thin) == ("4px", "1px")


@BROWSER
def test_old_values_do_not_look_well(chromium, site):
    with opened(chromium, site, data([0.5], held="somebody deploys"), at=NOW + 3600) as page:
        plot(page, "memory").wait_for()
        alarm = page.locator("#alarm").inner_text()
        assert "60 minutes old: nobody checks the triggers" in alarm
        assert "Nothing may fire: somebody deploys" in alarm


@BROWSER
def test_without_data_it_says_so(chromium, site):
    with opened(chromium, site, "{") as page:
        page.get_by_text("The values cannot be loaded").wait_for()


@BROWSER
def test_what_is_measured_is_text_and_never_markup(chromium, site):
    content = data([0.97])
    of(content, "memory").update(where="<img src=x onerror=alert(1)>", why="<script>alert(2)</script>")
    with opened(chromium, site, content) as page:
        plot(page, "memory").wait_for()
        assert page.locator("img").count() == 0
        assert "<img src=x" in page.locator("#rule-memory").inner_text()
