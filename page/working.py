"""One request of the page: a file, one network or two, an answer of each, or one line why not."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from core.data.loading import BadSample
from core.errors import InputError, first_line
from page.crafts.craft import Answer, Craft, Request
from page.networks import Networks

KEEP = 100  # answers whose files stay to be taken away
EXPECTED = (BadSample, InputError, OSError)  # what inputs raise; all else is printed whole


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
        for path in paths:
            self._check(path)
        opened = {word: self._open(craft, word) for word in words if word}
        answer = partial(self._answer, craft, paths, said)
        try:
            return [answer(opened[word]) if word else None for word in words]
        except Exception as error:  # decoders raise many kinds, and a person needs one line
            raise self._told(error, _line(error, paths), paths) from error

    def _check(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path.name} is no longer there: give it again")
        size, most = path.stat().st_size, self.most_bytes
        if not size:
            raise InputError(f"{path.name} is empty (0 bytes)")
        if size > most:
            sizes = f"{size / 1e6:.0f} MB, more than the {most / 1e6:.0f} of a page"
            raise InputError(f"{path.name} has {sizes}")

    def _open(self, craft: Craft, word: str) -> Any:
        try:
            return self.networks.open(craft, word)
        except InputError as error:
            raise self._told(error, str(error)) from error
        except Exception as error:
            raise self._told(error, f"{word} cannot be opened: {first_line(error)}") from error

    def _answer(self, craft: Craft, paths: list[Path], said: str, network: Any) -> Answer:
        request = Request(paths[0], self._folder(), said, paths[1] if paths[1:] else None)
        return craft.answer(self.networks.session, network, request)

    def _told(self, error: Exception, line: str, paths: Sequence[Path] = ()) -> InputError:
        """The line for a person, without folders; what no input explains is printed whole."""
        if not isinstance(error, EXPECTED):
            traceback.print_exception(error)
        for path in paths:
            line = line.replace(str(path), path.name)
        for root in (self.networks.root, self.root):
            line = line.replace(f"{root}/", "").replace(str(root), root.name or "/")
        for path in paths:
            line = line.replace(f"{path.parent}/", "")
        return InputError(" ".join(line.split()))

    def copies(self, files: Sequence[Path]) -> list[Path]:
        """Copies of files of ours, where the page may serve them."""
        folder = self._folder()
        return [Path(shutil.copy(file, folder)) for file in files]

    def _folder(self) -> Path:
        """A new folder; of more than KEEP the oldest one goes."""
        folder = Path(tempfile.mkdtemp(dir=self.root))
        self._folders.append(folder)
        if len(self._folders) > KEEP:
            shutil.rmtree(self._folders.popleft(), ignore_errors=True)
        return folder


def _line(error: Exception, paths: Sequence[Path]) -> str:
    """What a person is told; a decoder's words without the names of its classes."""
    if isinstance(error, InputError):
        return str(error)
    reason = error.reason if isinstance(error, BadSample) else str(error)
    blamed = (path for text in (reason, str(error)) for path in paths if str(path) in text)
    path = next(blamed, paths[0])
    return f"{path} cannot be used: {reason.splitlines()[0] if reason else first_line(error)}"
