"""Two runs in one folder: the second is told who is in the first."""

import os
import signal

import pytest

from core import InputError
from core.training.files import lock
from core.training.files.folder import claim


def in_child(folder, wait: bool):
    """A process that takes the folder and says so; it is killed by its id."""
    ready, told = os.pipe()
    if not (child := os.fork()):
        try:
            lock.hold(folder)
            os.write(told, b"1")
            if wait:
                signal.pause()
        finally:
            os._exit(0)
    assert os.read(ready, 1) == b"1"
    return child


@pytest.mark.parametrize("resume", [False, True])
def test_the_second_is_told_who_holds_it(tmp_path, resume):
    (tmp_path / "config.yaml").touch()
    child = in_child(tmp_path, wait=True)
    try:
        with pytest.raises(InputError, match=rf"in use by process {child} on .* since .*--run\."):
            claim(tmp_path, resume)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    claim(tmp_path, True)  # it died with its process
    lock.release(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_process_may_come_back_to_its_own(tmp_path):
    lock.hold(tmp_path)
    lock.hold(tmp_path)
    lock.release(tmp_path)
    child = in_child(tmp_path, wait=False)
    os.waitpid(child, 0)


def test_a_forked_loader_does_not_hold_it(tmp_path):
    lock.hold(tmp_path)
    if not (child := os.fork()):
        try:
            lock.hold(tmp_path)
        except InputError:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    lock.release(tmp_path)


def test_a_folder_of_a_persons_own_gets_no_lock(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="is not the folder of a run"):
        claim(tmp_path, True)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
