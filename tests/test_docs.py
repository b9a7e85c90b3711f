"""The documentation: pages and links that are there, docstrings, and the site without a warning."""

import ast
import re
import shutil
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.browser import Browser, chromium

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
WRITTEN = [*PAGES, *ROOT.glob("*.md"), *ROOT.glob("apps/*/*.md"), ROOT / "core/README.md"]
# What need not say what it is: a script's main (its module does), a network's forward (its class).
UNSAID = {"main", "forward"}
# The site's search lies in a shadow tree: what it shows, and whether one types into it
SHOWN_TEXT = (
    "[...document.querySelectorAll('*')].filter(e => e.shadowRoot)"
    ".map(e => e.shadowRoot.textContent).join()"
)
FOCUSED = "document.activeElement.shadowRoot?.activeElement?.tagName == 'INPUT'"
MOST = 24  # lines of an app's README: one screen
# Scripts, styles, pictures, frames of a page, and fonts of a style sheet
LOADED = re.compile(
    r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="?(https?:)?//|@import|url\(http'
)


def pages_of(nav):
    """Every page of mkdocs.yml's nav."""
    for entry in nav if isinstance(nav, list) else nav.values():
        yield from [entry] if isinstance(entry, str) else pages_of(entry)


def test_the_site_has_every_page():
    nav = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(nav) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def anchors(path):
    """What headings of a page are called in links to it."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
        if page.is_relative_to(DOCS):  # a site cannot link out of its folder
            assert file.is_relative_to(DOCS), target


def test_pages_from_elsewhere_have_no_relative_link():
    """`--8<--` puts them into docs/, from where a link would lead astray."""
    for page in PAGES:
        for name in re.findall(r'^--8<-- "(.+)"', page.read_text(), re.M):
            links = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", (ROOT / name).read_text())
            assert not links, name


@pytest.mark.parametrize("page", sorted(ROOT.glob("apps/*/README.md")), ids=lambda p: p.parent.name)
def test_a_readme_is_one_screen(page):
    text = page.read_text()
    assert len(text.splitlines()) <= MOST
    assert f"docs/{page.parent.name}.md" in text


def public(body, prefix=""):
    """(name, node) of what a module or class offers: functions, classes and their methods."""
    for node in body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if named and not node.name.startswith("_") and node.name not in UNSAID:
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def test_every_public_name_has_a_docstring():
    silent, seen = [], 0
    for path in [*ROOT.glob("core/**/*.py"), *ROOT.glob("apps/**/*.py"), ROOT / "hubconf.py"]:
        tree = ast.parse(path.read_text())
        names = list(public(tree.body))
        names += [("", tree)] if tree.body else []
        silent += [f"{path}: {name}" for name, node in names if not ast.get_docstring(node)]
        seen += len(names)
    assert not silent
    assert seen > 1500


def test_api_pages_name_modules_that_are_there():
    for page in DOCS.glob("api/*.md"):
        modules = re.findall(r"^::: ([\w.]+)$", page.read_text(), re.M)
        assert modules, page
        for module in modules:
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


def generator():
    """zensical of `make docs`, or of the environment; None where it is not installed."""
    own = ROOT / ".venv-docs/bin/zensical"
    return str(own) if own.is_file() else shutil.which("zensical")


def check_search(site, folder):
    """In a browser, with the network cut: a word typed into the site's search is found."""
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, Browser(folder) as browser:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        browser.size(1280, 900)
        browser.open(f"{address}index.html")
        browser.wait("!!document.querySelector('.md-search__button')")
        browser.wait("document.readyState == 'complete'")
        found = f"({SHOWN_TEXT}).includes('create_backbone(')"
        assert not browser.value(found)
        browser.value("document.querySelector('.md-search__button').click()")
        browser.wait(FOCUSED)
        browser.send("Input.insertText", text="create_backbone")
        browser.wait(found)
        server.shutdown()
    asked = [request for request in browser.requests if not request.startswith(("data:", "blob:"))]
    assert asked
    assert all(request.startswith(address) for request in asked)


@pytest.mark.skipif(not generator(), reason="zensical is not installed: make docs")
def test_the_site_is_built_without_a_warning(tmp_path):
    """And loads nothing from elsewhere; its search index has what the pages say."""
    for name in ("core", "apps"):
        (tmp_path / name).symlink_to(ROOT / name)
    # the site and the cache come to lie beside its configuration
    shutil.copytree(DOCS, tmp_path / "docs")
    for name in ("mkdocs.yml", "RESULTS.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    command = [generator(), "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    site = tmp_path / "site"
    for page in [*site.glob("**/*.html"), *site.glob("**/*.css")]:
        assert not LOADED.search(page.read_text()), page
    if chromium():
        check_search(site, tmp_path)
    index = (site / "search.json").read_text()
    for words in ("create_backbone", "token mixing", "pretrain on your own pictures"):
        assert words.lower() in index.lower()
