"""One request of the page: a file, one network or two, an answer of each, or one line why not."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from core.data.images.files import FORMATS
from core.data.loading import BadSample
from core.errors import InputError, first_line
from page.crafts.craft import Answer, Craft, Request
from page.networks import Networks

KEEP = 100  # answers whose files stay to be taken away


class Desk:
    """Where requests are worked on: folders of their own below ``root``, a temporary one."""

    def __init__(self, networks: Networks, root: Path, most_bytes: int):
        self.networks, self.root, self.most_bytes = networks, root, most_bytes
        self._folders: deque[Path] = deque()

    def answers(
        self, craft: Craft, file: str | None, words: Sequence[str], said: str, second: str | None
    ) -> list[Answer | None]:
        """An answer for each network that is named by ``words``; none for an empty one.

        Raises InputError, one line without the names of folders, for whatever cannot be used.
        """
        if not file:
            raise InputError(f"give a file first: {craft.takes}")
        paths = [Path(path) for path in (file, second) if path]
        try:
            for path in paths:
                self._check(path)
            return [self._answer(craft, paths, word, said) for word in words]
        except Exception as error:  # decoders raise many kinds, and a person needs one line
            raise InputError(_without_folders(_line(error, paths[0]), paths)) from error

    def _check(self, path: Path) -> None:
        size = path.stat().st_size
        if not size:
            raise InputError(f"{path} is empty (0 bytes)")
        if size > self.most_bytes:
            most = self.most_bytes / 1e6
            raise InputError(f"{path} has {size / 1e6:.0f} MB, more than the {most:.0f} of a page")

    def _answer(self, craft: Craft, paths: list[Path], word: str, said: str) -> Answer | None:
        if not word:
            return None
        network = self.networks.open(craft, word)
        request = Request(paths[0], self._folder(), said, paths[1] if paths[1:] else None)
        return craft.answer(self.networks.session, network, request)

    def _folder(self) -> Path:
        """A new folder; of more than KEEP the oldest one goes."""
        folder = Path(tempfile.mkdtemp(dir=self.root))
        self._folders.append(folder)
        if len(self._folders) > KEEP:
            shutil.rmtree(self._folders.popleft(), ignore_errors=True)
        return folder


def _line(error: Exception, path: Path) -> str:
    """What a person is told; a decoder's words without the names of its classes."""
    if isinstance(error, InputError):
        return str(error)
    reason = error.reason if isinstance(error, BadSample) else str(error)
    if "cannot identify image file" in reason:
        return f"{path} is no picture, or of a kind that is not read ({', '.join(FORMATS)})"
    return f"{path} cannot be used: {reason.splitlines()[0] if reason else first_line(error)}"


def _without_folders(line: str, paths: Sequence[Path]) -> str:
    for path in paths:
        line = line.replace(str(path), path.name).replace(f"{path.parent}/", "")
    return " ".join(line.split())
