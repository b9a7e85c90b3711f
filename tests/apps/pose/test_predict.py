"""Prediction on images, folders, videos and cameras; and what is said of bad ones."""

import json
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from apps.pose import predict as pose_predict
from apps.pose.people import make_people
from apps.pose.people.film import draw_film
from apps.pose.prediction import video
from apps.pose.prediction.boxes import BoxFile, usable, whole_image
from apps.pose.prediction.detector import Detector, open_detector
from apps.pose.prediction.drawing import draw_people
from apps.pose.prediction.outputs import film, image_ids, place_outputs, relative_names
from apps.pose.prediction.pipeline import Clock, Frame
from apps.pose.prediction.refining import Refining
from apps.pose.prediction.stages import Stages, video_frames
from apps.pose.prediction.video import Camera, VideoReader, VideoWriter
from core.data.loading import BadSample
from core.errors import InputError
from tests.apps.pose.toys import COCO, SIMCC, centres, cut, make_film, make_run, network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", network())


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """walk.mp4 of 12 frames with the json of its boxes, and walk.avi, which can be cut."""
    folder = tmp_path_factory.mktemp("films")
    boxes = make_film(folder / "walk.mp4", 12)
    (folder / "boxes.json").write_text(json.dumps(boxes))
    writer = cv2.VideoWriter(
        str(folder / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120)
    )
    for image, _ in draw_film(3, 40, 160, 120):
        writer.write(image)
    writer.release()
    return folder


@pytest.fixture
def predict(command):
    """The command in this process: its exit status and what it printed."""
    return partial(command, pose_predict.main)


def stages(boxes, lines=None, **options):
    lines = [] if lines is None else lines
    return Stages(boxes, centres, SIMCC, COCO, lines.append, **options)


def read(path):
    reader = VideoReader(path)
    return [image for _, image in reader], reader


class Kept:
    """An output that keeps what it is given."""

    def __init__(self):
        self.frames, self.pictures = [], []

    def encode(self, frame, picture):
        return picture

    def add(self, frame, picture):
        self.frames.append(frame)
        self.pictures.append(picture)


def numbered(count, shape=(60, 80, 3)):
    for number in range(count):
        yield Frame(Path("a.mp4"), number, np.full(shape, number, np.uint8), video=True)


# ---- whole commands ----------------------------------------------------------------------------


def test_a_video(predict, run, films, tmp_path):
    source, out = shutil.copy(films / "walk.mp4", tmp_path / "walk.mp4"), tmp_path / "out"
    before = (films / "walk.mp4").read_bytes()
    words = ["--boxes", films / "boxes.json", "--output", out, "--min-score", 0, "--flip-test"]
    done = predict(run, source, *words)
    assert done.returncode == 0, done.output
    assert "12 frames, 24 people" in done.output
    assert all(stage in done.output for stage in ("decode", "crop", "network", "draw", "encode"))
    drawn, reader = read(out / "walk.mp4")
    plain, _ = read(films / "walk.mp4")
    assert (len(drawn), reader.fps, drawn[0].shape) == (12, 25, (120, 160, 3))
    assert all(np.abs(a.astype(int) - b).max() > 60 for a, b in zip(drawn, plain, strict=True))
    records = json.loads((out / "walk.json").read_text())
    assert [r["frame"] for r in records] == [n for n in range(12) for _ in range(2)]
    assert {r["file_name"] for r in records} == {"walk.mp4"}
    assert all(r["image_id"] == r["frame"] and len(r["keypoints"]) == 51 for r in records)
    assert sorted(p.name for p in out.iterdir()) == ["walk.json", "walk.mp4"], "nothing half done"
    assert (tmp_path / "walk.mp4").read_bytes() == before


def test_boxes_of_which_none_can_be_used_are_no_success(predict, run, tmp_path):
    Image.new("RGB", (40, 60), (9, 99, 200)).save(tmp_path / "good.jpg")
    box = {"file_name": "good.jpg", "bbox": [500, 0, 5, 5], "score": 1}
    (tmp_path / "boxes.json").write_text(json.dumps([box, box]))
    words = "--boxes", tmp_path / "boxes.json", "--output", tmp_path / "out"
    done = predict(run, tmp_path / "good.jpg", *words)
    assert done.returncode == 2, done.output
    assert "error: none of the 2 boxes could be used" in done.output
    assert done.output.count("[500, 0, 5, 5] lies outside") == 2


def test_bad_inputs_are_named_and_the_others_go_on(predict, run, films, tmp_path):
    """Each is said in a line, what can be predicted is, and the exit status is 2."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (40, 60), (9, 99, 200)).save(folder / "good.jpg")
    cut(folder / "good.jpg", folder / "half.jpg")
    (folder / "text.png").write_text("no image")
    (folder / "text.mp4").write_text("no video")
    (folder / "notes.xyz").write_text("neither")
    (folder / "empty.webm").touch()
    cut(films / "walk.avi", folder / "early.avi")
    shutil.copy(films / "walk.mp4", folder)
    done = predict(run, folder, folder / "notes.xyz", "--output", tmp_path / "out")
    assert done.returncode == 2, done.output
    assert "error: 6 of 8 inputs could not be used" in done.output
    for name in ("half.jpg", "text.png", "text.mp4", "notes.xyz", "empty.webm"):
        (line,) = [x for x in done.output.splitlines() if f"{name}:" in x]
        assert line.startswith("left out"), line
    assert "is no image, and no video (.mp4" in done.output
    assert len(read(tmp_path / "out/walk.mp4")[0]) == 12
    kept = len(read(tmp_path / "out/early.mp4")[0])
    assert 10 < kept < 30
    early = f"early.avi: ends early, {40 - kept} frames are missing: {kept} of 40 frames"
    assert early in done.output
    assert {r["frame"] for r in json.loads((tmp_path / "out/early.json").read_text())} == set(
        range(kept)
    )
    assert (tmp_path / "out/good.png").is_file()
    (record,) = json.loads((tmp_path / "out/predictions.json").read_text())
    assert record["file_name"] == "good.jpg"
    assert Path(record["input"]).name == "good.jpg"
    assert record["output"] == "good.png"


def test_nothing_can_be_read(predict, run, tmp_path):
    (tmp_path / "a.jpg").write_text("text")
    done = predict(run, tmp_path / "a.jpg", "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "1 of 1 inputs could not be used" in done.output
    assert not (tmp_path / "out").exists()


def test_inputs_are_not_overwritten(predict, run, tmp_path):
    Image.new("RGB", (20, 30)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    done = predict(run, tmp_path / "a.png", "--output", tmp_path)
    assert done.returncode == 2
    assert "a.png would be overwritten: choose another --output" in done.output
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_camera_until_ctrl_c(predict, run, tmp_path, monkeypatch):
    """The signal ends the recording and not the program; the video is whole."""
    plain, start = cv2.VideoCapture, time.monotonic()
    before = signal.getsignal(signal.SIGINT)  # a shell's background job starts with it ignored

    class Endless(FakeCapture):
        def read(self):
            time.sleep(0.01)
            if time.monotonic() > start + 60:
                return False, None
            self.reads += 1
            if self.reads == 15:
                signal.raise_signal(signal.SIGINT)
            return True, np.full((40, 60, 3), 90, np.uint8)

    camera = Endless([0.0], [])
    camera.reads = 0
    monkeypatch.setattr(
        video.cv2, "VideoCapture", lambda what, *api: camera if what == 0 else plain(what, *api)
    )
    done = predict(run, "--webcam", 0, "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    (recorded,) = (tmp_path / "out").glob("webcam-0-*.mp4")
    monkeypatch.undo()
    records = json.loads(recorded.with_suffix(".json").read_text())
    assert len(read(recorded)[0]) == records[-1]["frame"] + 1 > 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_missing_camera(predict, run, tmp_path):
    done = predict(run, "--webcam", 77, "--output", tmp_path)
    assert done.returncode == 2
    assert "there is no camera 77" in done.output


# ---- stages ------------------------------------------------------------------------------------


def test_people_of_several_frames_share_batches_and_return_to_their_frames():
    counts = [2, 0, 1, 5, 0, 3] * 8
    boxes = [
        [([10.0 + n, 5.0 * i, 20.0, 30.0], 1.0 - 0.1 * i) for i in range(c)]
        for n, c in enumerate(counts)
    ]
    sizes, kept = [], Kept()

    def batch_centres(batch):
        sizes.append(len(batch["image"]))
        return centres(batch)

    def of(frames):
        return [boxes[frame.number] for frame in frames]

    still = Refining(smooth=False)
    work = Stages(of, batch_centres, SIMCC, COCO, print, still, batch_size=10)
    seen = [frame.number for frame in work(numbered(len(counts), (60, 120, 3)), kept)]
    assert seen == list(range(len(counts)))
    assert sum(sizes) == sum(counts)
    assert max(sizes) == 10, "at most batch_size people"
    assert len(sizes) < len(counts) / 2, "people of several frames together"
    for frame, expected in zip(kept.frames, boxes, strict=True):
        if not expected:
            assert frame.points is None
            assert (kept.pictures[frame.number] == frame.number).all(), "nothing is drawn"
            continue
        middles = [[x + w / 2, y + min(h, 60 - y) / 2] for (x, y, w, h), _ in expected]
        np.testing.assert_allclose(frame.points[:, 0], middles, atol=1e-4)


def test_unusable_boxes():
    image = np.zeros((100, 200, 3), np.uint8)
    boxes = [
        ([-10, -10, 50, 50], 0.9),  # partly outside: cut
        ([150, 50, 500, 20], 0.8),
        ([300, 10, 20, 20], 1.0),  # outside
        ([10, 10, 0, 20], 1.0),
        ([float("nan"), 0, 5, 5], 1.0),
    ]
    kept, wrong = usable(boxes, image)
    assert kept == [([0, 0, 40, 40], 0.9), ([150, 50, 50, 20], 0.8)]
    assert "[300, 10, 20, 20] lies outside the 200 x 100 image" in wrong[0]
    assert "no area" in wrong[1]
    assert "not finite" in wrong[2]


def test_unusable_boxes_are_reported_a_few_times():
    lines, kept = [], Kept()
    work = stages(lambda frames: [[([500, 0, 5, 5], 1.0)] for _ in frames], lines)
    assert len(list(work(numbered(20), kept))) == 20
    work.report_unusable()
    assert len(lines) == 4
    assert lines[0].startswith("left out: a.mp4 frame 0: box [500, 0, 5, 5] lies outside")
    assert "17 more boxes" in lines[3]


def test_a_failing_network_ends_the_work_and_leaves_no_file(tmp_path):
    def fail(batch):
        raise RuntimeError("out of memory")

    work = Stages(whole_image, fail, SIMCC, COCO, print)
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="out of memory"), film(tmp_path / "a.mp4", 25) as output:
        list(work(numbered(100), output))
    assert not list(tmp_path.iterdir())
    assert threading.active_count() == before


def test_a_stopped_film_leaves_no_file(films, tmp_path):
    reader, work = VideoReader(films / "walk.mp4"), stages(whole_image)

    def until_stopped():
        with film(tmp_path / "a.mp4", 25) as output:
            for frame in work(video_frames(films / "walk.mp4", reader, work.clock), output):
                if frame.number == 5:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        until_stopped()
    assert not list(tmp_path.iterdir())


# ---- boxes -------------------------------------------------------------------------------------


def box_file(tmp_path, records, *inputs):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(records))
    return BoxFile(path, [tmp_path / name for name in inputs], 0.3)


def ask(source, tmp_path, name, number, is_video):
    frame = Frame(tmp_path / name, number, np.zeros((9, 9, 3), np.uint8), video=is_video)
    (found,) = source([frame])
    return [box[0] for box, _ in found]


def test_whose_box_is_it(tmp_path):
    records = [
        {"file_name": "a.jpg", "bbox": [1, 0, 5, 5], "image_id": 12},
        {"image_id": 785, "bbox": [2, 0, 5, 5], "score": 0.5},
        {"image_id": 785, "bbox": [3, 0, 5, 5], "score": 0.1},  # below the minimum
        {"file_name": "b.mp4", "frame": 3, "bbox": [4, 0, 5, 5]},
        {"file_name": "c.mp4", "image_id": 3, "bbox": [5, 0, 5, 5]},
    ]
    inputs = ["a.jpg", "coco_000000000785.jpg", "b.mp4"]
    source = box_file(tmp_path, records, *inputs)
    assert ask(source, tmp_path, "a.jpg", 0, False) == [1]
    assert ask(source, tmp_path, "coco_000000000785.jpg", 1, False) == [2]
    assert ask(source, tmp_path, "b.mp4", 3, True) == [4]
    assert ask(source, tmp_path, "c.mp4", 3, True) == [5]
    assert ask(source, tmp_path, "b.mp4", 2, True) == []
    assert source.last_frame(tmp_path / "b.mp4") == 785, "a record without name is of the video"
    with pytest.raises(InputError, match=r"could be of b\.mp4 or of c\.mp4: add file_name"):
        box_file(tmp_path, records, *inputs, "c.mp4")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"frame": 1}, "expected a list"),
        ([7], "record 0 is 7"),
        ([{"frame": 1, "bbox": [1, 2, 3]}], r"record 0: bbox \[1, 2, 3\]"),
        ([{"frame": 1, "bbox": [1, 2, "3", 4]}], "must be 4 numbers"),
        ([{"frame": 1, "bbox": [1, 2, 3, 4], "score": "high"}], "score 'high'"),
        ([{"bbox": [1, 2, 3, 4]}], "is of no image"),
        (
            [{"frame": 1, "bbox": [1, 2, 3, 4], "category_id": c} for c in (1, 3)],
            r"categories \['1', '3'\]: keep only",
        ),
        ([{"file_name": "a.mp4", "bbox": [1, 2, 3, 4]}], "must be a whole number"),
        ([{"file_name": "other.mp4", "frame": 1, "bbox": [1, 2, 3, 4]}], "no box for any"),
        ([], "no box for any"),
        (
            [{"frame": 1, "bbox": [1, 2, 3, 4], "score": 0.2}] * 2,
            "all 2 boxes have",
        ),
        ([{"frame": 1, "bbox": [1, 2, 3, 4], "score": float("nan")}], "score nan"),
        ([{"file_name": 7, "bbox": [1, 2, 3, 4]}], "file_name is 7, no name"),
    ],
)
def test_wrong_box_files(tmp_path, records, message):
    with pytest.raises(InputError, match=message):
        box_file(tmp_path, records, "a.mp4")


def test_folders_of_a_name_count(tmp_path):
    inputs = [f"{folder}/{name}.jpg" for folder in "ab" for name in ("1", "caf\u00e9")]
    names = {"a/1.jpg": 1, "b\\cafe\u0301.jpg": 2}
    records = [{"file_name": n, "bbox": [x, 0, 5, 5]} for n, x in names.items()]
    source = box_file(tmp_path, records, *inputs)
    found = [ask(source, tmp_path, name, 0, False) for name in inputs]
    assert found == [[1], [], [], [2]]
    for record in ({"file_name": "1.jpg"}, {"image_id": 1}):
        with pytest.raises(InputError, match=r"could be of .*a/1\.jpg or of .*b/1\.jpg: write"):
            box_file(tmp_path, [{**record, "bbox": [1, 0, 5, 5]}], *inputs)
    exact = [*records, {"file_name": "1.jpg", "bbox": [3, 0, 5, 5]}]
    assert ask(box_file(tmp_path, exact, *inputs), tmp_path, "b/1.jpg", 0, False) == [3]


def test_ids_and_names_of_images():
    paths = [Path(name) for name in ("x/a/5.jpg", "x/a/c.jpg", "x/b/7.jpg")]
    assert list(image_ids(paths).values()) == [5, 1, 7]
    assert list(image_ids([*paths, Path("x/b/5.jpg")]).values()) == [0, 1, 2, 3]
    assert list(relative_names(paths).values()) == ["a/5.jpg", "a/c.jpg", "b/7.jpg"]


def test_frames_counted_from_one_are_noticed(predict, run, films, tmp_path):
    boxes = [{"frame": 12, "bbox": [0, 0, 50, 50]}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    words = ["--boxes", tmp_path / "boxes.json", "--output", tmp_path / "out"]
    done = predict(run, films / "walk.mp4", *words)
    assert done.returncode == 0, done.output
    assert "boxes up to frame 12, but" in done.output
    assert "has 12 frames, counted from 0" in done.output
    assert json.loads((tmp_path / "out/walk.json").read_text()) == [], "nobody in any frame"


def test_inputs_of_the_same_name_get_pictures_of_their_own(tmp_path):
    inputs = [tmp_path / name for name in ("a/x.jpg", "b/x.png", "x.mp4", "sheet.jpg")]
    names = place_outputs(inputs, tmp_path / "out", [])
    assert list(names.values()) == ["x", "x-2", "x-3", "sheet-2"]
    with pytest.raises(InputError, match=r"predictions\.json would be overwritten"):
        place_outputs(inputs, tmp_path, [str(tmp_path / "predictions.json")])


class TwoPeople(torch.nn.Module):
    """Answers as torchvision's detectors do: a person, a doubtful one, and a bicycle."""

    def forward(self, images):
        assert all(image.max() <= 1 and image.shape[0] == 3 for image in images)
        boxes = torch.tensor([[1.0, 2, 11, 22], [3, 3, 9, 9], [0, 0, 5, 5]])
        labels, scores = torch.tensor([1, 1, 2]), torch.tensor([0.9, 0.2, 0.8])
        return [
            {"boxes": boxes + i, "labels": labels, "scores": scores} for i in range(len(images))
        ]


def test_a_detectors_people():
    found = Detector(TwoPeople(), "cpu", 0.3)(list(numbered(2)))
    assert [[box for box, _ in boxes] for boxes in found] == [[[1, 2, 10, 20]], [[2, 3, 10, 20]]]
    assert found[0][0][1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in", "--detector-weights", "w.pth"], "say of which detector, with --detector NAME"),
        (["in", "--boxes", "b.json", "--detector", "d.onnx"], "give one of them"),
        (["--detector", "d.onnx"], "are for inputs: name images, videos or a folder"),
    ],
)
def test_no_word_about_boxes_is_passed_over(predict, run, tmp_path, words, message):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "in/a.png")
    words = [tmp_path / word if word == "in" else word for word in words]
    done = predict(run, *words, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert message in " ".join(done.output.split())


def test_detector_weights(tmp_path, monkeypatch):
    """Nothing is downloaded unasked; a file of the wrong kind is named."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError, match=r"-dd69338a\.pth is missing.*--detector-weights FILE"):
        open_detector("fasterrcnn_resnet50_fpn_v2")
    with pytest.raises(InputError, match="Did you mean fasterrcnn_resnet50_fpn_v2"):
        open_detector("fasterrcnn_resnet50_fpn_v3")
    name, path = "ssdlite320_mobilenet_v3_large", tmp_path / "weights.pth"
    with pytest.raises(InputError, match="no such file"):
        open_detector(name, str(path))
    for content in (b"text", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"holds no weights of torchvision's {name}"):
            open_detector(name, str(path))
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="holds no weights"):
        open_detector(name, str(path))


def test_a_detector_of_a_file(tmp_path):
    from torchvision.models import get_model

    name = "ssdlite320_mobilenet_v3_large"
    saved = get_model(name, weights=None, weights_backbone=None, num_classes=91)
    torch.save(saved.state_dict(), tmp_path / "weights.pth")
    network = open_detector(name, str(tmp_path / "weights.pth"))
    assert len(Detector(network, "cpu", 0.99)(list(numbered(2)))) == 2


# ---- videos and drawing ------------------------------------------------------------------------


def test_gaps_are_filled_and_sizes_kept(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 12.5) as writer:
        for number in (0, 1, 4):
            writer.write(number, np.full((61, 81, 3), 60 * number, np.uint8))
        writer.write(5, np.full((30, 40, 3), 0, np.uint8))
    images, reader = read(tmp_path / "a.mp4")
    assert reader.fps == 12.5
    means = [round(float(image.mean()) / 60) for image in images]
    assert means == [0, 1, 1, 1, 4, 0]
    assert images[0].shape == (60, 80, 3)


def test_a_full_disk(tmp_path):
    """What was written is not what is there."""
    writer = VideoWriter(tmp_path / "a.mp4", 25)
    for number in range(10):
        writer.write(number, np.zeros((40, 40, 3), np.uint8))
    writer.written += 2
    with pytest.raises(InputError, match="2 of 12 frames could not be written"):
        writer.__exit__(None, None, None)


class FakeCapture:
    """A camera of 30 frames/s that gives a frame whenever it is asked, and is unplugged in time."""

    def __init__(self, clock, steps):
        self.clock, self.steps, self.released = clock, list(steps), False

    def isOpened(self):
        return True

    def get(self, which):
        return 30.0

    def read(self):
        if not self.steps:
            return False, None
        self.clock[0] += self.steps.pop(0)
        return True, np.zeros((6, 8, 3), np.uint8)

    def release(self):
        self.released = True


def test_a_cameras_frames_keep_their_time(monkeypatch):
    clock = [100.0]
    capture = FakeCapture(clock, [0.001, 0.1, 0.01, 0.2, 0.034])
    monkeypatch.setattr(video.cv2, "VideoCapture", lambda index: capture)
    monkeypatch.setattr(video.time, "monotonic", lambda: clock[0])
    frames = [number for number, _ in Camera(0, threading.Event())]
    assert frames == [0, 3, 9, 10], "at 0.001, 0.101, (0.111: the same frame), 0.311, 0.345 s"
    assert capture.released
    stop = threading.Event()
    stop.set()
    with pytest.raises(InputError, match="gave no picture"):
        list(Camera(0, stop))


def test_a_video_that_is_none(tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(BadSample, match=r"a\.mp4: is no video"):
        VideoReader(tmp_path / "a.mp4")


def test_points_that_are_nowhere_are_not_drawn():
    grey = np.full((50, 60, 3), 50, np.uint8)
    points = np.full((2, 17, 2), np.nan)
    points[1] = 1e300
    assert (draw_people(grey, points, np.ones((2, 17)), COCO) == 50).all()
    points[1, 0] = 20, 30
    assert draw_people(grey, points, np.ones((2, 17)), COCO)[30, 20].tolist() == [51, 153, 255]


def test_a_film_is_a_pure_function_and_its_people_move():
    one, two = (list(draw_film(4, 20, 160, 120)) for _ in range(2))
    assert all((a[0] == b[0]).all() and a[1] == b[1] for a, b in zip(one, two, strict=True))
    boxes = [labels[0]["bbox"] for _, labels in one if labels]
    assert len({tuple(box) for box in boxes}) > 10


def test_whose_the_records_are(predict, run, films, tmp_path):
    """The id in a picture's name, its place among the images without one; a video's frames."""
    names = ["000000000785.jpg", "plain.jpg", "val_42.png"]
    for name in names:
        Image.new("RGB", (40, 60), (9, 99, 200)).save(tmp_path / name)
    inputs = [tmp_path / name for name in names]
    done = predict(run, *inputs, films / "walk.mp4", "--output", tmp_path / "out")
    assert done.returncode == 0, done.output
    records = json.loads((tmp_path / "out/predictions.json").read_text())
    assert {r["file_name"]: r["image_id"] for r in records} == dict(
        zip(names, (785, 1, 42), strict=True)
    )
    assert not any("frame" in r for r in records)
    of_video = json.loads((tmp_path / "out/walk.json").read_text())
    assert [(r["image_id"], r["frame"]) for r in of_video] == [(n, n) for n in range(12)]
    assert [r["time"] for r in of_video] == pytest.approx([n / 25 for n in range(12)])


def test_frames_of_a_varying_rate_keep_their_times(films, monkeypatch):
    """10 frames a second, then one; where a file gives no time, the number by the mean rate."""
    stamps = iter([0.0, 100.0, 200.0, 1200.0, 1200.0, float("nan")])
    reader = VideoReader(films / "walk.mp4")
    monkeypatch.setattr(VideoReader, "_stamp", lambda _: next(stamps))
    frames = zip(range(6), video_frames(films / "walk.mp4", reader, Clock()), strict=False)
    assert [f.seconds for _, f in frames] == pytest.approx([0, 0.1, 0.2, 1.2, 4 / 25, 5 / 25])


def test_a_constant_rate_stays(films):
    assert video.uneven_rate(films / "walk.mp4") is None


@pytest.mark.parametrize(
    ("gaps", "rate"),
    [
        ([1 / 30] * 10 + [0.2] * 9, 30),  # a phone in the dark, by the rate of its closest frames
        ([0.033, 0.034, 0.033] * 9, None),  # whole milliseconds of 30 a second
        ([0.1] * 20 + [700] + [0.2] * 20, None),  # no times that frames were seen
        ([0.1, -0.1] * 20, None),
        ([0.001] * 5 + [0.05] * 40, 120),
        ([0.001] * 5 + [1.0] * 40, None),  # a burst in a time lapse: 4,800 frames of 45
        ([0.5], None),
    ],
)
def test_the_rate_of_a_film_whose_rate_varies(monkeypatch, gaps, rate):
    monkeypatch.setattr(video, "_gaps", lambda *_: np.array(gaps))
    assert video.uneven_rate(Path("a.mp4")) == (rate and pytest.approx(rate))


def test_frames_of_a_varying_rate_are_seen_at_their_times(tmp_path):
    """Three frames at 10 a second from second 4 on, then one a second later."""
    with film(tmp_path / "a.mp4", 3.3, rate=10.0) as output:
        for frame, frame.time in zip(numbered(4), (4, 4.1, 4.2, 5.2), strict=True):
            output.add(frame, 60 * frame.image)
    images, reader = read(tmp_path / "a.mp4")
    assert reader.fps == 10
    assert [round(float(image.mean()) / 60) for image in images] == [0, 1] + [2] * 10 + [3]


def test_predictions_lie_in_the_run_and_are_spread_over_the_data(predict, tmp_path):
    """Without inputs and --output."""
    run = make_run(tmp_path / "run", network())
    people = make_people(tmp_path / "people", 1, 5, seed=5, workers=1)
    content = json.loads((people / "annotations/val.json").read_text())
    crowd = {**content["annotations"][0], "id": 999, "iscrowd": 1}
    everybody = len(content["annotations"])
    content["annotations"].append(crowd)  # nobody can be cut out of a crowd
    content["categories"] = [{**content["categories"][0], "id": i} for i in (3, 4)]
    for annotation in content["annotations"]:
        annotation["category_id"] = 3 + annotation["id"] % 2
        annotation["image_id"] += 500
    for image in content["images"]:
        image["id"] += 500
    (people / "annotations/val.json").write_text(json.dumps(content))
    settings = (run / "config.yaml").read_text()
    files = {
        "root: ''": f"root: {people}",
        "person_keypoints_val2017": "val",
        "val_images: val2017": "val_images: images/val",
    }
    for old, new in files.items():
        assert old in settings
        settings = settings.replace(old, new)
    (run / "config.yaml").write_text(settings)
    done = predict(run, "--count", 3)
    assert done.returncode == 0, done.output
    pictures = sorted(p.stem for p in (run / "predictions").glob("*.png"))
    assert pictures == ["000000", "000002", "000004", "sheet"]
    done = predict(run, "--count", 5)
    assert f"5 frames, {everybody} people" in done.output
    records = json.loads((run / "predictions/predictions.json").read_text())
    said = [(r["file_name"], r["image_id"], r["category_id"]) for r in records]
    names = {i["id"]: i["file_name"] for i in content["images"]}
    own = [a for a in content["annotations"] if not a["iscrowd"]]
    right = [(names[a["image_id"]], a["image_id"], a["category_id"]) for a in own]
    assert sorted(said) == sorted(right)
