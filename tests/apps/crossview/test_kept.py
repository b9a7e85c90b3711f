"""A generator kept under a name, and one that sees no map: what people with one picture have."""

import json
from functools import partial

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from apps.crossview import keep as view_keep
from apps.crossview import predict
from apps.crossview.config import CrossViewConfig, DataConfig, ModelConfig
from apps.crossview.data.maps import Palette
from apps.crossview.keep import keep
from apps.crossview.models.network import Generator, build_generator
from core import InputError
from core.app.kept import KeptNetworks
from core.app.runs import reopen
from core.config import save_config, to_plain
from core.training.files.checkpoint import save_weights, write_checkpoint
from core.training.session import Session

WORDS = {"trained_on": "Drawn towns.", "terms": "Free."}
BLIND = ModelConfig(
    generator="mixer", backbone="mixer_c16_l1_p8", width=4, fusion=1, norm="group", sees_map=False
)
CONFIG = CrossViewConfig(data=DataConfig(size=(32, 32)), model=BLIND)
TWO = Palette(("sky", "ground"), torch.tensor([[0, 0, 255], [0, 255, 0]], dtype=torch.uint8))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_generator(CONFIG, TWO)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with a picture, and an empty place for what is kept."""
    monkeypatch.setattr(Generator, "KEPT", KeptNetworks(tmp_path / "kept", "towns"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Image.effect_noise((40, 40), 80).convert("RGB").save("above.png")
    return tmp_path / "here"


@pytest.fixture
def run(network, tmp_path):
    """As training leaves it."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_config(CONFIG, folder / "config.yaml")

    def write(place):
        save_weights(network.state_dict(), place / "model.safetensors")
        (place / "config.json").write_text(json.dumps(to_plain({"step": 1, **network.describe()})))

    write_checkpoint(folder, 1, write)
    return folder


def test_what_sees_no_map_draws_both_from_the_source(network):
    source = torch.rand(2, 3, 32, 32) * 2 - 1
    maps = [torch.full((2, 2, 32, 32), value) for value in (-1.0, 1.0)]
    one, other = (network.eval()(source, each) for each in maps)
    for name, shape in {"image": (2, 3, 32, 32), "map": (2, 2, 32, 32)}.items():
        assert one[name].shape == shape
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)
    assert not network.needs_map
    sum(value.sum() for value in one.values()).backward()  # DDP waits for every parameter
    assert all(p.grad is not None for p in network.parameters())


def test_only_the_mixer_can_do_without():
    for generator, why in (("crossmlp", "made to draw along a map"), ("xfork", "never sees it")):
        config = CrossViewConfig(model=ModelConfig(generator=generator, sees_map=False))
        with pytest.raises(InputError, match=why):
            build_generator(config, TWO)


def test_a_round_trip_rounds_once(run, here):
    kept = keep(run, "towns", **WORDS)
    state = load_file(kept / "model.safetensors")
    assert {v.dtype for v in state.values()} == {torch.float16}
    opened = reopen("towns", CrossViewConfig, Generator, Session())
    assert (opened.kept, opened.config.data.size) == ("towns", (32, 32))
    assert all(torch.equal(v.half(), state[k]) for k, v in opened.network.state_dict().items())
    about = json.loads((kept / "config.json").read_text())["about"]
    assert 0 < about["rounding"] < 0.01
    card = (kept / "README.md").read_text()
    for words in (
        "predict.py towns aerial.png\n",
        "Drawn towns.",
        "Terms: Free.",
        "and nothing el",
    ):
        assert words in card, words
    assert "changed since" not in card
    assert str(run) not in card


def test_predict_takes_it_where_no_run_is_named(run, here, command):
    do = partial(command, predict.main)
    keep(run, "towns", **WORDS)
    drawn = []
    for number, words in enumerate((["above.png"], ["towns", "above.png"], [run, "above.png"])):
        done = do(*words, "--output", f"out{number}")
        assert done.returncode == 0, done.output
        drawn.append(Image.open(here / f"out{number}/above.png"))
    assert drawn[0].size == (32, 32)
    assert drawn[0].tobytes() == drawn[1].tobytes()


def test_of_a_kept_network_pictures_are_asked_for(run, here, command):
    keep(run, "towns", **WORDS)
    done = command(predict.main, "towns")
    assert done.returncode == 2
    assert "towns is a kept network, without data of its own: name images or" in done.output
    done = command(predict.main, "above.png", "--map", "above.png", "--output", "out")
    assert done.returncode == 0, done.output
    assert "above.png is not looked at: this network draws without a map" in done.output
    assert "learnt from towns that a program rendered alone" in done.output


def test_where_none_is_kept_a_run_is_asked_for(here, command):
    done = command(predict.main, "above.png")
    assert done.returncode == 2
    assert "no run is named, and no network is kept in this package" in done.output


def test_the_command_keeps_under_its_name_once(run, here, capsys):
    words = [str(run), "--data", "Drawn towns.", "--terms", "Free."]
    view_keep.main(words)
    assert "towns: 0." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        view_keep.main(words)
    assert "exists already" in capsys.readouterr().err
