"""All crafts in the browser: python -m page [--runs FOLDER] [--port N] [--listen].

Serves this machine alone (127.0.0.1) unless --listen says otherwise: then everybody who reaches it
may use it and see the names of the runs. Nothing is fetched from elsewhere and nothing is sent;
what is uploaded and made lies in a temporary folder, which goes when the page ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import core  # noqa: F401 - before torch, so that OpenMP's threads sleep while they wait

# isort: split
from core.config import entry_point
from core.errors import InputError
from core.ranges import Count, Range, argument
from core.training.session import Session, build_accelerator

PORT = 7860
Port = Annotated[int, Range(1, 65535)]


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the only folder opened")
    parser.add_argument("--port", type=argument(Port), default=PORT, help="(%(default)s)")
    parser.add_argument("--listen", action="store_true", help="be reachable from other machines")
    parser.add_argument(
        "--most-mb", type=argument(Count), default=64, help="of a file (%(default)s)"
    )
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder goes then, too
    with tempfile.TemporaryDirectory(prefix="mixer-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # before gradio is imported
        serve = _serving()
        session = Session(build_accelerator())
        page = serve.open_page(words.runs, Path(folder), session, words.most_mb)
        host = "0.0.0.0" if words.listen else "127.0.0.1"
        address = serve.start(page, host, words.port, words.most_mb)
        print(f"the page: {address}  (on {session.device}; Ctrl-C ends it)", flush=True)
        page.block_thread()


def _serving():
    """The module that needs gradio. Raises InputError where that is not installed."""
    try:
        from page import serving
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "gradio":
            raise
        raise InputError("the page needs the package gradio: pip install 'gradio>=6'") from error
    return serving


if __name__ == "__main__":
    main()
