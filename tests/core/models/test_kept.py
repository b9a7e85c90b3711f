"""Weights kept under a name: written from a run, opened by the name, listed, described."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import core
from core import InputError, Mixer, create_backbone, list_weights, load_backbone
from core.evaluation.classification import open_classifier
from core.evaluation.common import BackboneConfig, open_backbone
from core.evaluation.shuffle import model_config
from core.models.classifier import Classifier, load_classifier
from core.models.network import ClassifierConfig, build_classifier
from core.models.networks.mixer_config import mixer_name
from core.models.sharing import save_backbone
from core.models.weights import __main__ as table
from core.models.weights import keep as keeping
from core.models.weights import names, writing
from core.models.weights.evaluations import numbers, without_folders
from core.models.weights.keep import keep
from core.models.weights.reading import read_stored

NETWORK, SIZE = "mixer_c16_l2_p8", 24
CLASSES = ["cat", "dog", "hen"]
FILES = ("config.json", "model.safetensors", "README.md")
HALF_A_STEP = 2**-11  # of float16's last place, as a share of the number
WORDS = {"trained_on": "24 photographs.", "terms": "Free: example.org/terms."}
REAL = names.FOLDER
KEPT = names.kept_names()


def write_run(folder: Path, *, ema: float = 0.25, scale: float = 1.0, **options) -> Path:
    """A classifier's run as training writes it, of one checkpoint; its EMA is a bit larger."""
    torch.manual_seed(0)
    options = {"any_size": True, "stochastic_depth": 0.1} | options
    network = Classifier(create_backbone(NETWORK, SIZE, **options), len(CLASSES), CLASSES)
    torch.nn.init.normal_(network.head.weight)
    state = {key: scale * value for key, value in network.state_dict().items()}
    checkpoint = folder / "checkpoints" / "step-00000007"
    checkpoint.mkdir(parents=True)
    save_file(state, checkpoint / "model.safetensors")
    save_file({k: v * (1 + ema) for k, v in state.items()}, checkpoint / "ema.safetensors")
    info = {**network.describe(), "step": 7, "metrics": {"top1": 0.5, "top1@16": 0.25}}
    (checkpoint / "config.json").write_text(json.dumps(info))
    settings = {"model": {"sizes": [16, 24, 32]}, "train": {"root": "/home/me/photos/train.npz"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    about = {"command": "core/pretrain.py --train.root /home/me/photos", "commit": "abc1234"}
    (folder / "about.jsonl").write_text(json.dumps(about) + "\n")
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 7, "eval/top1": 0.5}) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty place for what is kept."""
    monkeypatch.setattr(names, "FOLDER", tmp_path / "kept")
    return tmp_path / "kept"


@pytest.fixture
def photos(run, folder):
    return keep(run, "photos", **WORDS)


def refused(*words: str):
    """An InputError of one line that has these words."""
    return pytest.raises(InputError, match=r"\A[^\n]*" + r"[^\n]*".join(words) + r"[^\n]*\Z")


def test_a_round_trip_rounds_once(run, photos):
    """From the moving average; each number is the nearest one of float16, in float32 again."""
    written = load_file(photos / "model.safetensors")
    assert {value.dtype for value in written.values()} == {torch.float16}
    expected = read_stored(run).state
    state = create_backbone(NETWORK, weights="photos").state_dict()
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        assert state[key].dtype == torch.float32
        assert torch.equal(state[key], value.half().float())
        torch.testing.assert_close(state[key], value, rtol=HALF_A_STEP, atol=2**-25)
    plain = load_file(run / "checkpoints" / "step-00000007" / "model.safetensors")
    assert not torch.allclose(plain["backbone.stem.weight"], state["stem.weight"], rtol=0.1)


def test_features_barely_change(run, photos):
    images = 2 * torch.rand(4, 3, SIZE, SIZE) - 1
    with torch.no_grad():
        exact, rounded = (
            net.eval()(images) for net in (load_backbone(run), load_backbone("photos"))
        )
    difference = float((exact - rounded).abs().max() / exact.abs().max())
    said = names.about("photos").rounding
    assert 0 < difference < 3 * said < 0.01


def test_bfloat16_is_coarser(run, folder, photos):
    keep(run, "coarse", dtype="bfloat16", **WORDS)
    assert load_file(folder / "coarse" / "model.safetensors")["head.bias"].dtype == torch.bfloat16
    assert next(load_backbone("coarse").parameters()).dtype == torch.float32
    assert names.about("coarse").rounding > 3 * names.about("photos").rounding


def test_whole_precision_is_read_as_it_is(tmp_path):
    mixer = create_backbone(NETWORK, 16)
    state = load_backbone(save_backbone(mixer, tmp_path / "whole")).state_dict()
    assert all(torch.equal(state[key], value) for key, value in mixer.state_dict().items())


@pytest.mark.parametrize("size", [16, 48, (64, 32)])
def test_every_size(photos, size):
    mixer = create_backbone(NETWORK, size, weights="photos")
    height, width = mixer.image_size
    tokens = mixer(torch.zeros(1, 3, height, width))
    assert tokens.shape == (1, height // 8 * width // 8, 16)
    assert mixer.config.any_size
    assert mixer(torch.zeros(1, 3, 40, 40)).shape == (1, 25, 16)


def test_wherever_weights_are_asked_for(photos):
    """The settings of core's commands too, with the network's name and without."""
    expected = load_backbone("photos").state_dict()
    for opened in (
        create_backbone(NETWORK, SIZE, weights="photos"),
        Mixer.from_pretrained("photos"),
        open_backbone(BackboneConfig(weights="photos")),
        open_backbone(BackboneConfig(NETWORK, (SIZE,), "photos")),
        open_classifier(BackboneConfig(weights="photos")).backbone,
        build_classifier(ClassifierConfig(NETWORK, (SIZE,), "photos"), CLASSES).backbone,
        open_backbone(model_config("photos")),
        open_backbone(model_config(f"{NETWORK}=photos", (SIZE,))),
    ):
        torch.testing.assert_close(opened.state_dict(), expected, rtol=0, atol=0)
        assert opened.config.stochastic_depth == 0


def test_the_origin_is_the_name(photos):
    assert load_backbone("photos").origin == "photos"


def test_a_head_is_kept_or_replaced(run, photos, folder, capsys):
    head = read_stored(run).head["weight"].half().float()
    for network in (
        load_classifier("photos"),
        build_classifier(ClassifierConfig(NETWORK, (16,), "photos"), CLASSES),
    ):
        assert network.classes == CLASSES
        assert torch.equal(network.head.weight, head)
    with refused("photos holds a head for 3 classes", "num_classes is 2", "new_head"):
        build_classifier(ClassifierConfig(NETWORK, (16,), "photos"), ["one", "two"])
    config = ClassifierConfig(NETWORK, (16,), "photos", new_head=True)
    assert not build_classifier(config, ["one", "two"]).head.weight.any()
    assert "photos: the head for 3 classes is replaced" in capsys.readouterr().out
    keep(run, "bare", head=False, **WORDS)
    with refused("bare holds no classification head"):
        load_classifier("bare")


def test_another_network_is_refused(photos):
    for name in ("mixer_b16", "mixer_c16_l3_p8", "s2mlp_deep", "timm:resnet18", "vit_c64_l2_p8"):
        with refused(f"'photos' are those of {NETWORK}, and not of {name}"):
            create_backbone(name, 32, weights="photos")
    with refused("photos holds a Mixer of channels_mlp_dim 64, but mixer_c16_l2_p8 has .* 32"):
        create_backbone(NETWORK, SIZE, weights="photos", channels_mlp_dim=32)


def test_a_name_that_is_not_there(photos):
    with refused("photo does not exist, by name or as a file. Did you mean photos.* Known: photos"):
        create_backbone(NETWORK, SIZE, weights="photo")
    with refused("imagenet1k is of several networks", r"create_backbone\('mixer_b16'"):
        load_backbone("imagenet1k")


def test_a_name_comes_before_a_folder(run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = save_backbone(create_backbone(NETWORK, 32), Path("photos"))
    assert load_backbone("photos").image_size == (SIZE, SIZE)
    for place in ("./photos", other):
        assert load_backbone(place).image_size == (32, 32)
        assert create_backbone(NETWORK, weights=place).image_size == (32, 32)


def test_the_list(photos):
    mine, *official = list_weights()
    assert (mine.name, mine.network, mine.classes, mine.download) == ("photos", NETWORK, 3, False)
    assert mine.parameters == sum(p.numel() for p in load_backbone("photos").parameters())
    assert mine.bytes == (photos / "model.safetensors").stat().st_size
    assert mine.image_sizes == ((16, 16), (24, 24), (32, 32))
    assert (mine.trained_on, mine.terms) == (WORDS["trained_on"], WORDS["terms"])
    assert mine.figures == {"top1": 0.5, "top1@16": 0.25}
    assert all(each.download for each in official)
    assert len({(each.name, each.network) for each in official}) == len(official) == 11
    (large,) = (w for w in official if (w.name, w.network) == ("imagenet21k", "mixer_l16"))
    assert (large.classes, round(large.parameters / 1e6, 1)) == (21_843, 207.2)
    assert "list_weights" in core.__all__


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("content", ["", "version https://git-lfs.github.com/spec/v1", "[]"])
def test_a_damaged_file_is_named(photos, name, content):
    (photos / name).write_text(content)
    for read in (list_weights, lambda: create_backbone(NETWORK, weights="photos")):
        with refused(f"photos/{name}"):
            read()


@pytest.mark.parametrize("words", [[], ["--markdown"]])
def test_the_command_prints_the_list(photos, words, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["weights", *words])
    table.main()
    line = next(line for line in capsys.readouterr().out.splitlines() if "photos" in line)
    for cell in (NETWORK, "3", "16-32", "50.0", "kept", WORDS["trained_on"]):
        assert cell in line


def test_what_is_kept_is_what_lies_there(photos, folder):
    (folder / ".draft.1.tmp").mkdir()
    (folder / "notes").mkdir()
    assert names.kept_names() == ["photos"]
    photos.rename(folder / "pictures")
    assert [each.name for each in list_weights() if not each.download] == ["pictures"]
    config = folder / "pictures" / "config.json"
    info = json.loads(config.read_text())
    config.write_text(json.dumps({**info, "about": {"terms": "none"}}))
    with refused("pictures/config.json", '"about" does not have the fields trained_on, terms'):
        list_weights()


def test_the_card(run, folder, tmp_path):
    scores = {
        "config": {"data": {"root": "/home/me/photos/val.npz", "split": "val"}},
        "top1": 0.375,
    }
    scores |= {"image_size": [16, 16], "per_class": {"cat": 0.5}, "seconds": float("nan")}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    rows = {"rows": [{"shots": 5, "mean": 0.125}]}
    (tmp_path / "few.json").write_text(json.dumps(rows))
    files = [tmp_path / "scores.json", tmp_path / "few.json"]
    options = {"limits": ["Faces."], "license": "other", "evaluations": files}
    card = (keep(run, "photos", **options, **WORDS) / "README.md").read_text()
    for words in (
        "license: other\n",
        f"# photos: {NETWORK}",
        f'create_backbone("{NETWORK}", 24, weights="photos")',
        'load_classifier("photos", 24)',
        "(B, 3, 24, 24) -> (B, 9, 16)",
        "mean [0.5, 0.5, 0.5]",
        "16x16, 24x24, 32x32 pixels",
        "multiple of its patch, 8x8",
        "24 photographs.",
        "Terms: Free: example.org/terms.",
        "- Faces.",
        "Stored in float16",
        "checkpoint `step-00000007` (the moving average)",
        "- command: `core/pretrain.py --train.root …/photos`",
        "- commit: `abc1234`",
        "| top1@16 | 0.25 |",
        "scores.json, data …/val.npz val, 16x16 pixels",
        "| top1 | 0.375 |",
        "| rows.shots 5.mean | 0.125 |",
    ):
        assert words in card, words
    assert "/home" not in card
    assert str(tmp_path) not in card
    assert "cat" not in card
    assert "nan" not in card


def test_figures_of_the_run_itself_are_taken(run, folder, tmp_path):
    own = write_run(tmp_path / "own")
    (own / "eval.json").write_text(json.dumps({"data": "val", "figures": {"accuracy": 0.75}}))
    (own / "transfer").mkdir()
    (own / "transfer" / "cifar10.json").write_text(
        json.dumps({"finetuned": {"scratch": {"0": 0.5}}})
    )
    keep(own, "photos", **WORDS)
    assert names.about("photos").evaluations == {
        "own/eval.json, on val": {"figures.accuracy": 0.75},
        "transfer/cifar10.json": {"finetuned.scratch.0": 0.5},
    }


def test_figures_of_rows_that_begin_alike_are_told_apart():
    """As core/eval.py grids writes them: two ways to resize to one size, neither lost."""
    rows = [
        {"size": 32, "grid": "4x4", "method": way, "top1": n}
        for way, n in (("pi", 0.5), ("area", 0.25))
    ]
    assert dict(numbers({"rows": rows})) == {
        "rows.size 32 grid 4x4 method pi.top1": 0.5,
        "rows.size 32 grid 4x4 method area.top1": 0.25,
    }
    (one,) = numbers({"rows": rows[:1]})
    assert one == ("rows.size 32.top1", 0.5)


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ("--root /a/b c", "--root …/b c"),
        ("root: '/a/b.npz'", "root: '…/b.npz'"),
        ("~/a/b", "…/b"),
        ("--root=/a/b/", "--root=…/b/"),
        ("runs/a/b ./a/b ../b", "runs/a/b ./a/b ../b"),
        ("https://a.org/b/c and/or 1 / 2", "https://a.org/b/c and/or 1 / 2"),
    ],
)
def test_paths_lose_their_folders(text, shorter):
    assert without_folders(text) == shorter


def test_all_or_nothing(run, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_text", full)
    with refused("No space left"):
        keep(run, "photos", **WORDS)
    assert list(folder.iterdir()) == []
    assert names.kept_names() == []


def test_what_cannot_be_kept(run, photos, folder, tmp_path, monkeypatch):
    with refused("photos exists already"):
        keep(run, "photos", **WORDS)
    for name in ("imagenet1k", "timm", "hub:me", "a/b", "Photos", ""):
        with refused("name is", "small letters"):
            keep(run, name, **WORDS)
    with refused("holds no checkpoint"):
        keep(tmp_path, "other", **WORDS)
    with refused(r"which float16 cannot hold: .*bfloat16"):
        keep(write_run(tmp_path / "huge", scale=1e6), "other", **WORDS)
    convmlp = save_backbone(create_backbone("convmlp_s", 32), tmp_path / "convmlp")
    with refused("no Mixer, but convmlp"):
        keep(convmlp, "other", **WORDS)
    with refused("channels_mlp_dim 32, but mixer_c16_l2_p8 has channels_mlp_dim 64"):
        keep(write_run(tmp_path / "odd", channels_mlp_dim=32), "other", **WORDS)
    with refused(r"none\.json is no evaluation's json"):
        keep(run, "other", evaluations=[tmp_path / "none.json"], **WORDS)
    monkeypatch.setattr(writing, "LIMIT", 1000)
    with refused("MB in float16, and at most 0.001 are kept"):
        keep(run, "other", **WORDS)
    assert names.kept_names() == ["photos"]


def test_the_command(run, tmp_path, capsys):
    words = [str(run), "--name", "small", "--data", "Few.", "--terms", "Free.", "--no-head"]
    keeping.main([*words, "--dtype", "bfloat16", "--out", str(tmp_path)])
    assert "small: 0.02 MB" in capsys.readouterr().out
    said = json.loads((tmp_path / "small" / "config.json").read_text())
    assert (said["about"]["precision"], said["about"]["terms"]) == ("bfloat16", "Free.")
    assert "head" not in said
    with pytest.raises(SystemExit) as left:
        keeping.main([*words, "--out", str(tmp_path)])
    assert left.value.code == 2


@pytest.mark.parametrize("name", ["mixer_s16", "mixer_l32", "mixer_c16_l2_p8", "mixer_c96_l4_p8x4"])
def test_networks_are_named_by_their_sizes(name):
    with torch.device("meta"):
        config = create_backbone(name, 64).config
    assert mixer_name(config.num_blocks, config.hidden_dim, config.patch_size) == name


def test_a_wheel_carries_them(tmp_path, monkeypatch):
    """pyproject.toml, over a tree of the same layout; an app's networks too."""
    setuptools = pytest.importorskip("setuptools")
    places = [Path("core/models/weights/kept/photos"), Path("apps/pose/weights/people")]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        for package in list(place.parents)[1:-1]:
            (tmp_path / package / "__init__.py").touch()
        for name in FILES:
            (tmp_path / place / name).touch()
    shutil.copy(Path(core.__file__).parents[1] / "pyproject.toml", tmp_path)
    (tmp_path / "README.md").touch()
    monkeypatch.chdir(tmp_path)
    wheel = setuptools.Distribution({"script_name": "setup.py"})
    wheel.parse_config_files(["pyproject.toml"])
    build = wheel.get_command_obj("build_py")
    build.finalize_options()
    carried = {Path(folder, name) for _, _, folder, files in build.data_files for name in files}
    assert carried == {Path("build/lib", place, name) for place in places for name in FILES}


@pytest.mark.parametrize("name", KEPT)
def test_what_the_repository_keeps(name):
    """Opens as its network, says what it should, is small."""
    said = names.about(name)
    network = create_backbone(names.kept_network(name), said.image_sizes[0], weights=name).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, *said.image_sizes[0])).isfinite().all()
    assert said.trained_on
    assert said.terms
    assert (REAL / name / "model.safetensors").stat().st_size <= writing.LIMIT
    card = (REAL / name / "README.md").read_text()
    for heading in ("## Use", "## Data", "## Not for", "## Training", "## Metrics"):
        assert heading in card
