import pytest

from core.training.session import Session
from tests.apps.pose.toys import make_run, network


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The address of a page over one tiny run, pose/tiny; a file may have 1 MB."""
    serving = pytest.importorskip("page.serving", reason="gradio is not installed")
    make_run(tmp_path / "runs/pose/tiny", network())
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    # gradio looks whether its page comes within 3 seconds, which other work may delay
    monkeypatch.setattr("gradio.networking.url_ok", lambda _url: True)
    page = serving.open_page(tmp_path / "runs", tmp_path / "temporary", Session(), 1)
    try:
        yield serving.start(page, "127.0.0.1", None, 1)
    finally:
        page.close()
