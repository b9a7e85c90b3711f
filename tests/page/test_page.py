"""The page: its requests without a browser, and all of it through gradio's client."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")
pytest.importorskip("mmpose")

from apps.crossview.data.maps import CVUSA, as_palette
from apps.crossview.models.network import build_generator
from apps.crossview.presets import debug
from apps.pointcloud.geometry.cloud import Cloud
from apps.pose.data.dataset import read_image
from core.data.loading import BadSample
from core.errors import InputError
from core.training.session import Session
from page import serving
from page.__main__ import main
from page.crafts import clouds, naming, pose, streets, style
from page.crafts.craft import WITHOUT, Request
from page.layout import PICTURES, _preview
from page.networks import OPEN, Networks
from page.working import KEEP, Desk
from tests.apps.pose.toys import make_run, network
from tests.huge import huge

MB = 1_000_000


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "work").mkdir()
    make_run(tmp_path / "runs/pose/tiny", network())
    (tmp_path / "elsewhere").mkdir()
    return Desk(Networks(tmp_path / "runs", Session()), tmp_path / "work", MB)


@pytest.mark.parametrize(("words", "status"), [("--help", 0), ("--port 0", 2), ("--port x", 2)])
def test_the_command_reads_its_words(words, status, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["page", *words.split()])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == status
    printed = "".join(capsys.readouterr())
    assert "1 to 65,535" in printed if status else "--listen" in printed


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def ask(desk, craft, file, *words, said="", second=None):
    return desk.answers(craft, file, words, said, second)


def made(answer, desk):
    """The files of an answer by their ending; all lie in its own folder, below the desk's."""
    assert {path.parent.parent for path in answer.files} == {desk.root}
    return {path.suffix: path for path in answer.files}


def test_a_photograph_gets_its_classes_and_two_networks_an_answer_each(desk, photo):
    first, second = ask(desk, naming.CRAFT, photo, "photos", "photos")
    (record,) = json.loads(made(first, desk)[".json"].read_text())
    assert record["input"] == "photo.png"
    assert f"| {record['classes'][0]['name']} |" in first.words
    assert ("Unsure" in first.words) is record["unsure"]
    assert first.words == second.words
    assert first.files != second.files
    assert ask(desk, naming.CRAFT, photo, "photos", "")[1] is None


def test_boxes_have_a_skeleton_each(desk, photo):
    (answer,) = ask(desk, pose.CRAFT, photo, "pose/tiny", said="0 0 40 60\n\n40, 0, 40, 60")
    people = json.loads(made(answer, desk)[".json"].read_text())
    assert len(people) == 2
    assert answer.words.count("of 17") == 2
    assert "a program drew" in answer.words, "a network of drawn people on a photograph"
    assert Image.open(made(answer, desk)[".png"]).size == (80, 60)
    (answer,) = ask(desk, pose.CRAFT, photo, "pose/tiny", said="0 0 40 60\n-9 -9 2 2")
    assert "box [-9.0, -9.0, 2.0, 2.0] lies outside the 80 x 60 image" in answer.words
    (whole,) = ask(desk, pose.CRAFT, photo, "pose/tiny")
    assert pose.WHOLE in whole.words


def test_two_clicks_are_a_box(photo):
    words = pose.clicked("", 30, 50)
    assert words == "30 50"
    assert pose.preview(Path(photo), words).shape == (60, 80, 3)
    words = pose.clicked(words, 10, 20)
    assert words == "10 20 20 30"
    words = pose.clicked(pose.clicked(words + "\n", 1, 2), 4, 6)
    assert pose.boxes_of(words) == [[10, 20, 20, 30], [1, 2, 3, 4]]
    plain, boxed = (pose.preview(Path(photo), text) for text in ("x y", words))
    changed = (plain != boxed).any(2)
    assert changed[20, 10:31].all()
    assert not changed[30:40, 15:25].any()


def test_samples_are_used_as_they_are_given(desk):
    for craft in serving.CRAFTS:
        for file in desk.copies(craft.samples):
            assert file.parent.parent == desk.root
            assert file.stat().st_size
    assert len(pose.boxes_of(pose.CRAFT.sample_words())) == 3


def test_a_cloud_is_reconstructed_without_a_network(desk, tmp_path):
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "flat.xyz", np.c_[rng.random((400, 2)), 0.01 * rng.random(400)])
    (answer,) = ask(desk, clouds.CRAFT, str(tmp_path / "flat.xyz"), WITHOUT, said="mls")
    assert "400 points in, 1,600 out, by mls." in answer.words
    assert made(answer, desk)[".ply"].read_bytes()[:3] == b"ply"
    assert [len(trace.x) for trace in answer.figure.data] == [1600, 400]


def test_a_surveyed_cloud_is_shown_where_its_reconstruction_is():
    points = np.random.default_rng(0).random((400, 3)).astype(np.float32)
    survey, shift = np.array((4e5, 5e6, 100.0)), np.float32((0.25, -0.5, 1))
    before = Cloud(points, origin=survey)
    shown = clouds._shown(before, Cloud(points - shift, origin=survey + shift))
    np.testing.assert_allclose(shown["reconstruction"].points, points, atol=1e-6)
    shown = clouds._shown(Cloud(points), Cloud(points - shift, origin=shift.astype(np.float64)))
    np.testing.assert_allclose(shown["reconstruction"].points, points, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello", "file.png cannot be used: it is no picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "file.png"),
        (bytes(2 * MB), "has 2 MB, more than the 1 of a page"),
    ],
)
@pytest.mark.parametrize("craft", [pose.CRAFT, naming.CRAFT])
def test_a_bad_file_is_one_line_without_folders(desk, tmp_path, craft, content, reason, capsys):
    (tmp_path / "file.png").write_bytes(content)
    word = "pose/tiny" if craft is pose.CRAFT else "photos"
    with pytest.raises(InputError) as error:
        ask(desk, craft, str(tmp_path / "file.png"), word)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(("craft", "word"), [(pose.CRAFT, "pose/tiny"), (naming.CRAFT, "photos")])
def test_a_header_is_enough_to_refuse_a_picture(desk, tmp_path, craft, word, kind):
    """The page has no setting that could be raised, and names none."""
    path = tmp_path / "file.png"
    path.write_bytes(huge(kind))
    with pytest.raises(InputError) as error:
        ask(desk, craft, str(path), word)
    assert "60000 x 60000 pixels are more than 50,000,000: make it smaller" in str(error.value)
    assert str(error.value).startswith("file.png cannot be used: ")
    assert not _preview(craft, str(path), "")["visible"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_no_craft_names_a_setting_that_a_page_lacks(tmp_path, photo, kind):
    path, said = tmp_path / "huge", "60000 x 60000 .* 50,000,000: make it smaller"
    path.write_bytes(huge(kind))
    run = SimpleNamespace(config=debug(), network=build_generator(debug(), as_palette(CVUSA, "a")))
    for file, drawn in ((path, Path(photo)), (Path(photo), path)):
        with pytest.raises(BadSample, match=said):
            streets.answer(Session(), run, Request(file, tmp_path, second=drawn))
    with pytest.raises(BadSample, match=said):
        style.answer(Session(), run, Request(path, tmp_path))


@pytest.mark.parametrize(
    ("craft", "word", "said", "message"),
    [
        (pose.CRAFT, "../elsewhere", "", "../elsewhere lies outside of runs"),
        (pose.CRAFT, "/etc", "", "/etc lies outside of runs"),
        (pose.CRAFT, "pose/none", "", "pose/none is no folder below runs: make one: python"),
        (pose.CRAFT, "pose", "", "pose holds no checkpoint"),
        (pose.CRAFT, "pose/tiny", "1 2 3", "boxes, line 1: '1 2 3' is not x y width height"),
        (pose.CRAFT, "pose/tiny", "1 2 x 4", "boxes, line 1"),
        (pose.CRAFT, "pose/tiny", "500 500 9 9", "lies outside the 80 x 60 image"),
        (pose.CRAFT, "pose/tiny", "500 500 9 9\n" * 5, "; 2 more boxes that cannot be used"),
        (naming.CRAFT, "pose/tiny", "", "holds no classification head"),
        (streets.CRAFT, "pose/tiny", "", "is a network of apps/pose"),
        (style.CRAFT, "pose/tiny", "", "is a network of apps/pose"),
        (clouds.CRAFT, WITHOUT, "evil", "evil is no method: mls, poisson"),
    ],
)
def test_what_cannot_be_is_said(desk, photo, craft, word, said, message):
    with pytest.raises(InputError) as error:
        ask(desk, craft, photo, word, said=said)
    assert message in str(error.value)
    assert str(desk.networks.root) not in str(error.value)


def test_the_file_at_fault_is_named(desk, photo, tmp_path):
    (tmp_path / "map.png").write_text("no picture")
    craft = replace(pose.CRAFT, answer=lambda _session, _network, asked: read_image(asked.second))
    with pytest.raises(InputError, match=r"^map\.png cannot be used: it is no picture"):
        ask(desk, craft, photo, "pose/tiny", second=str(tmp_path / "map.png"))
    (tmp_path / "map.png").unlink()
    with pytest.raises(InputError, match=r"^map\.png is no longer there"):
        ask(desk, craft, photo, "pose/tiny", second=str(tmp_path / "map.png"))


def test_what_no_input_explains_is_printed_whole(desk, photo, capsys):
    def fail(*_):
        raise RuntimeError(f"{desk.root}/a and {desk.networks.root}/b\nmore")

    with pytest.raises(InputError, match=r"^pose/tiny cannot be opened: RuntimeError: a and b$"):
        ask(desk, replace(pose.CRAFT, open=fail), photo, "pose/tiny")
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"^photo\.png cannot be used: a and b$"):
        ask(desk, replace(pose.CRAFT, answer=fail), photo, "pose/tiny")
    assert "in fail" in capsys.readouterr().err
    with pytest.raises(InputError):
        ask(desk, pose.CRAFT, photo, "pose/tiny", said="1 2 3")
    assert "Traceback" not in capsys.readouterr().err


def test_memory_and_disk_are_bounded(desk, photo):
    for _ in range(KEEP + 3):
        desk._folder()
    assert len(list(desk.root.iterdir())) == KEEP
    opened = [desk.networks.open(pose.CRAFT, "pose/tiny")]
    assert desk.networks.open(pose.CRAFT, "pose/tiny") is opened[0], "read once"
    for number in range(OPEN):
        make_run(desk.networks.root / f"pose/{number}", network())
        desk.networks.open(pose.CRAFT, f"pose/{number}")
    assert desk.networks.open(pose.CRAFT, "pose/tiny") is not opened[0]


def test_runs_are_listed_after_kept_networks(desk):
    assert desk.networks.choices(pose.CRAFT)[-1] == "pose/tiny"
    assert desk.networks.choices(clouds.CRAFT)[:2] == ["scans", WITHOUT]
    assert desk.networks.choices(naming.CRAFT) == ["photos"]
    make_run(desk.root.parent / "elsewhere/run", network())
    (desk.networks.root / "pose/away").symlink_to(desk.root.parent / "elsewhere/run")
    assert "pose/away" not in desk.networks.choices(pose.CRAFT), "it would be refused"


def test_a_run_that_trains_on_is_opened_again(desk):
    opened = [desk.networks.open(pose.CRAFT, "pose/tiny") for _ in range(2)]
    assert opened[0] is opened[1]
    folder = opened[0].checkpoint
    shutil.copytree(folder, folder.with_name("step-00000002"))
    assert desk.networks.open(pose.CRAFT, "pose/tiny").checkpoint.name == "step-00000002"


def test_through_the_client(served, tmp_path, photo):
    """Served on loopback: an answer, a bad file, a file of the machine, and a foreign path."""
    import httpx
    from gradio_client import Client, handle_file

    assert served.startswith("http://127.0.0.1:")
    client = Client(served, verbose=False, download_files=str(tmp_path / "down"))

    def work(file, word="pose/tiny"):
        return client.predict(file, word, "", "", None, api_name="/pose")

    words, picture, *others = work(handle_file(photo))
    assert words.startswith("**photo.png**, by pose/tiny")
    assert "of 17" in words
    assert Image.open(picture["value"]).size == (80, 60)
    files = others[PICTURES]["value"]
    assert {Path(file).suffix for file in files} == {".png", ".json"}
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(Exception, match=r"^bad\.jpg cannot be used: it is no picture"):
        work(handle_file(str(tmp_path / "bad.jpg")))
    answer = httpx.get(served)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "https://fonts" not in answer.text
    for place in (f"{tmp_path}/runs/pose/tiny/config.yaml", "/etc/passwd", "pyproject.toml"):
        assert httpx.get(f"{served}gradio_api/file={place}").status_code in (403, 404)
