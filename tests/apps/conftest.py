"""What the tests of the apps share."""

import sys

import pytest

from tests.core.launch import Finished


@pytest.fixture
def command(monkeypatch, capsys):
    """Call an entry point, main, in this process: command(main, *words)."""

    def call(main, *words):
        monkeypatch.setattr(sys, "argv", ["main", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code
        printed = capsys.readouterr()
        return Finished(status, printed.out + printed.err)

    return call
