"""The page on a port: nothing from elsewhere, nothing to elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it while it is imported

import gradio as gr
from starlette.middleware import Middleware

from core.errors import InputError
from core.training.session import Session
from page.crafts import clouds, naming, pose, streets, style
from page.layout import CSS, build_page
from page.networks import Networks
from page.working import Desk

CRAFTS = (pose.CRAFT, style.CRAFT, clouds.CRAFT, streets.CRAFT, naming.CRAFT)
WAITING = 200  # requests that may wait for their turn; one more is refused, in words
# what a browser may load: of this page itself. gradio's own scripts are inline, in part
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'"
)
FONT, MONO = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # the browser's own


def open_page(runs: Path, folder: Path, session: Session, most_mb: int) -> gr.Blocks:
    """The page over the runs of a folder; it works in ``folder``, a temporary one."""
    work = folder / "work"
    work.mkdir()
    page = build_page(CRAFTS, Desk(Networks(runs, session), work, most_mb * 1_000_000))
    return page.queue(max_size=WAITING)


def start(page: gr.Blocks, host: str, port: int, most_mb: int) -> str:
    """Serve it in threads of its own; returns its address. InputError where the port is taken."""
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            prevent_thread_lock=True,
            quiet=True,
            show_error=True,
            max_file_size=most_mb * 1_000_000,
            css=CSS,
            theme=gr.themes.Base(font=FONT, font_mono=MONO),
            footer_links=[],
            app_kwargs={"middleware": [Middleware(OnlyOwn)]},
        )
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({error}): give another --port") from error
    except ValueError as error:  # gradio looked for its own page, and had no answer in 3 seconds
        raise InputError(
            f"the page does not answer on {host}: try again when the machine is less busy, and "
            "without a proxy for this machine (NO_PROXY)"
        ) from error
    return address


class OnlyOwn:
    """Tells the browser, with every answer, to load nothing from other places."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        async def with_policy(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", POLICY.encode()))
            await send(message)

        await self.app(scope, receive, with_policy)
