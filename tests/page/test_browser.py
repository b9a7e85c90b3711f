"""The page as a person has it: in a headless Chromium, with the network cut."""

import pytest

pytest.importorskip("gradio")
pytest.importorskip("mmpose")

from tests.browser import Browser, chromium

pytestmark = pytest.mark.skipif(not chromium(), reason="no Chromium is installed")
SEEN_BUTTONS = "[...document.querySelectorAll('button')].filter(b => b.offsetParent)"
BUTTON = SEEN_BUTTONS + ".find(b => b.innerText.trim() == '{}')"
SEEN = "[...document.querySelectorAll('img')].filter(i => i.offsetParent && i.naturalWidth)"
SAID = "document.body.innerText"


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as opened:
        yield opened


def press(browser, label):
    button = BUTTON.format(label)
    browser.wait(f"!!{button}")
    browser.value(f"{button}.click()")


def test_a_sample_and_a_bad_file(served, browser, tmp_path):
    browser.size(420, 900)
    browser.open(served)
    press(browser, "Take a sample")
    boxes = "[...document.querySelectorAll('textarea')].find(t => t.offsetParent).value"
    browser.wait(f"{boxes}.split('\\n').length == 3 && {SEEN}.length == 1")
    press(browser, "Go")
    browser.wait(f"/people.jpg, by \\w/.test({SAID}) && {SEEN}.length == 2")
    assert browser.value(f"{SEEN}.map(i => i.naturalWidth)") == [320, 320]
    for width in (420, 1280):
        browser.size(width, 900)
        assert browser.value("document.documentElement.scrollWidth") <= width

    (tmp_path / "bad.jpg").write_text("no picture")
    browser.value("document.querySelector('button[aria-label=Clear]').click()")
    browser.wait(f"{boxes} == ''")
    browser.give("input[type=file]", tmp_path / "bad.jpg")
    browser.wait(f"{SAID}.includes('bad')")
    press(browser, "Go")
    browser.wait(f"{SAID}.includes('bad.jpg cannot be used: it is no picture')")

    assert browser.requests
    own = (served, "data:", "blob:")
    assert not [address for address in browser.requests if not address.startswith(own)]
    assert not browser.complaints
