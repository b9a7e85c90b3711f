"""Turns, ratios and rows on clocks of our own; the command on tiny models."""

import csv
import gc
import json

import pytest
import torch
from torch import nn

from core.errors import InputError
from core.eval import main
from core.profiling import plots, timing
from core.profiling.cost import resident_bytes
from core.profiling.plots import measured_points
from core.profiling.rows import Entry, Row, add_memory, open_entry, rows_table, summary
from core.profiling.subjects import Setting, best_batch, fp32_products, open_subject
from core.profiling.subjects import split_options as split
from core.profiling.throughput import Config, _write, run, settings
from core.profiling.timing import Work, interleave, percentile, ratios, spread
from core.training.session import Session

CPU = torch.device("cpu")


class Clock:
    """Time passes where a work says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def takes(clock, seconds, log=None, name=""):
    """A call that lasts: one number, or one after the other."""
    times = iter(seconds) if isinstance(seconds, list) else None

    def call():
        clock.now += next(times) if times else seconds
        if log is not None:
            log.append(name)

    return call


def test_works_take_turns():
    clock, log = Clock(), []
    works = [Work(name, takes(clock, 0.5, log, name), 10) for name in "ABC"]
    interleave(works, repeats=2, seconds=0.5, clock=clock)
    assert "".join(log) == "AAABBBCCC" + "ABC" * 2
    assert [work.rates for work in works] == [[20.0, 20.0]] * 3


def test_calls_fill_the_time_and_the_first_is_left_out():
    clock = Clock()
    slow, fast = Work("slow", takes(clock, 3.0), 8), Work("fast", takes(clock, 0.25), 8)
    compiled = Work("compiled", takes(clock, [60.0] + [0.5] * 99), 8)
    interleave([slow, fast, compiled], repeats=3, seconds=1.0, clock=clock)
    assert (slow.calls, fast.calls, compiled.calls) == (1, 4, 2)
    assert (slow.rate.median, fast.rate.median, compiled.rate.median) == (8 / 3, 32.0, 16.0)
    assert compiled.first_seconds == 60.0


def test_ratios_are_taken_round_by_round():
    """The machine is half as fast in the second round: each rate halves, no ratio changes."""
    clock = Clock()
    ours = Work("ours", takes(clock, [1.0] * 3 + [1.0, 2.0, 1.0]), 6)
    theirs = Work("theirs", takes(clock, [2.0] * 3 + [2.0, 4.0, 1.0]), 6)
    interleave([ours, theirs], repeats=3, seconds=1.0, clock=clock)
    assert ours.rates == [6.0, 3.0, 6.0]
    ratio = ratios(ours, theirs)
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.0, 2.0)
    assert spread(ours.rates).median / spread(theirs.rates).median == 2.0


def test_rounds_are_not_interrupted_by_the_garbage_collector():
    clock, collecting = Clock(), []

    def call():
        clock.now += 1.0
        collecting.append(gc.isenabled())

    interleave([Work("a", call, 1)], repeats=2, seconds=1.0, clock=clock)
    assert collecting == [True] * 3 + [False] * 2
    assert gc.isenabled()


def test_single_calls_are_timed_one_by_one():
    clock = Clock()
    work = Work("one image", takes(clock, [0.5] * 3 + [0.1, 0.2, 0.3, 0.4]), 1, single=True)
    interleave([work], repeats=2, seconds=1.0, clock=clock)
    assert [round(1 / rate, 9) for rate in work.rates] == [0.1, 0.2, 0.3, 0.4]


def test_percentiles():
    assert percentile(range(1, 101), 0.95) == 95
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([7], 0.95) == 7


@pytest.mark.parametrize("calls_before", [0, 4])
def test_a_failure_does_not_lose_the_others(calls_before):
    clock, calls = Clock(), []

    def fail():
        clock.now += 1
        calls.append(1)
        if len(calls) > calls_before:
            raise torch.OutOfMemoryError("out of memory\nand more")

    works = [Work("bad", fail, 1), Work("good", takes(clock, 1.0), 1)]
    interleave(works, repeats=3, seconds=1.0, clock=clock)
    assert works[0].error == "OutOfMemoryError: out of memory"
    assert (works[0].rates, works[1].rates) == ([], [1.0] * 3)
    assert len(calls) == calls_before + 1


def entry(model, rates, gmacs=2, single=(), error="") -> Entry:
    row = Row(model, "inference", "eager", "fp32", 4, parameters=10, macs=gmacs * 10**9)
    one = Work(model, None, 1, rates=list(single)) if single else None
    return Entry(row, None, Work(model, None, 4, rates=list(rates), error=error), one)


def test_rows_by_hand():
    rivals = [Work("a", None, 1, rates=[4e11, 8e11, 8e11]), Work("b", None, 1, error="no memory")]
    entries = [
        entry("base", [100.0, 50.0, 100.0], single=[10.0] * 19 + [5.0]),
        entry("fast", [200.0, 150.0, 100.0], gmacs=1, single=[10.0] * 18 + [5.0] * 2),
        entry("bad", [], error="it broke"),
        Entry(Row("worse", "inference", "eager", "fp32", error="no such model")),
    ]
    measured = summary(Setting(), rivals, entries, "base")
    base, fast, bad, worse = measured["rows"]
    assert measured["peak"] == 8e11
    assert (base.images_per_second, base.images_per_second_low) == (100.0, 50.0)
    assert (base.ratio, base.ratio_low, base.ratio_high) == (1.0, 1.0, 1.0)
    assert (fast.ratio, fast.ratio_low, fast.ratio_high) == (2.0, 1.0, 3.0)
    assert (base.macs_per_second, base.share_of_peak) == (2e11, 0.25)
    assert (fast.macs_per_second, fast.share_of_peak) == (1.5e11, 0.1875)
    assert (base.latency_ms, base.latency_p95_ms, fast.latency_p95_ms) == (100.0, 100.0, 200.0)
    assert (bad.images_per_second, bad.error) == (None, "it broke")
    text = str(rows_table(measured))
    assert "inference, eager, fp32; peak of matrix products 800.0 GMAC/s" in text
    assert "100.0 (50.0 to 100.0)" in text
    assert "2.000 (1.000 to 3.000)" in text
    assert "failed: it broke" in text
    assert "failed: no such model" in text
    assert worse.error == "no such model"


def test_rows_where_the_reference_fails():
    entries = [entry("base", [], error="it broke"), entry("other", [3.0])]
    _, other = summary(Setting(), [], entries, "base")["rows"]
    assert (other.images_per_second, other.ratio, other.share_of_peak) == (3.0, None, None)
    assert "no peak" in str(rows_table(summary(Setting(), [], entries, "base")))


def test_a_training_row_has_the_macs_of_training_and_the_memory_of_its_batch():
    entries = [
        open_entry("mixer_c16_l1_p8", Setting(mode), (16, 24), CPU, Clock(), batch_size=3)
        for mode in ("inference", "train")
    ]
    inference, train = (entry.row.macs for entry in entries)
    assert 2 * inference < train <= 3 * inference
    asked = []
    entries[0].subject.memory = lambda batch: asked.append(batch) or 2**21
    add_memory(entries[0])
    assert asked == [3]
    assert entries[0].row.peak_memory_mib == 2


class Steps:
    """A subject whose step of n images takes seconds(n)."""

    device = CPU

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.tried = clock, seconds, []

    def step(self, size):
        self.tried.append(size)
        return takes(self.clock, self.seconds(size))


def test_best_batch_is_where_images_per_second_stop_growing():
    clock = Clock()
    steps = Steps(clock, lambda size: 0.01 * max(size, 8))  # 800 images/s beyond 8
    assert best_batch(steps, clock) == 8
    assert steps.tried == [1, 2, 4, 8, 16, 32]


def test_best_batch_without_memory():
    clock = Clock()

    def seconds(size):
        if size >= largest:
            raise torch.OutOfMemoryError("no memory")
        return 0.01

    largest = 8
    assert best_batch(Steps(clock, seconds), clock) == 4
    largest = 1
    with pytest.raises(torch.OutOfMemoryError):
        best_batch(Steps(clock, seconds), clock)


@pytest.mark.parametrize("precision", ["fp32", "bf16-autocast", "bf16-pure"])
def test_precisions_are_what_they_say(precision):
    subject = open_subject("mixer_c16_l1_p8", Setting(precision=precision), (16, 24), CPU)
    products = []
    subject.network.head.register_forward_hook(lambda *args: products.append(args[-1].dtype))
    subject.step(2)()
    pure = precision == "bf16-pure"
    assert products == [torch.float32 if precision == "fp32" else torch.bfloat16]
    assert {p.dtype for p in subject.network.parameters()} == {
        torch.bfloat16 if pure else torch.float32
    }
    assert products == [subject.setting.dtype]


def test_a_training_step_trains_and_leaves_no_gradient():
    subject = open_subject("mixer_c16_l1_p8", Setting(mode="train"), (16, 24), CPU)
    before = [parameter.detach().clone() for parameter in subject.network.parameters()]
    step = subject.step(2)
    step()
    step()  # the zero head gives the backbone no gradient in the first
    changed = [not torch.equal(a, b) for a, b in zip(before, subject.network.parameters())]  # noqa: B905
    assert all(changed)
    assert all(parameter.grad is None for parameter in subject.network.parameters())
    state = resident_bytes(subject.network, subject.optimizer)
    assert subject.memory(2) > state + 2 * 3 * 16 * 24 * 4


def test_channels_last_reaches_images_and_convolutions():
    subject = open_subject("timm:test_resnet", Setting(), (32, 32), CPU, channels_last=True)
    layout = {"memory_format": torch.channels_last}
    assert subject.images(2).is_contiguous(**layout)
    weights = [m.weight for m in subject.network.modules() if isinstance(m, nn.Conv2d)]
    assert all(weight.is_contiguous(**layout) for weight in weights)


def test_tf32_is_put_back():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with fp32_products(tf32=not before[1]):
        assert torch.backends.cudnn.allow_tf32 is not before[1]
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_every_combination_is_a_setting():
    config = Config(
        modes=("train",), compile=("eager", "compiled"), precisions=("fp32", "bf16-pure")
    )
    assert [str(setting) for setting in settings(config)] == [
        "train, eager, fp32",
        "train, eager, bf16-pure",
        "train, compiled, fp32",
        "train, compiled, bf16-pure",
    ]


@pytest.fixture
def small_products(monkeypatch):
    monkeypatch.setattr(timing, "SQUARES", {"cpu": (32,)})
    monkeypatch.setattr(timing, "MIXER_IMAGES", {"cpu": 1})


def test_command(tmp_path, small_products, capsys):
    words = "throughput --models mixer_c16_l1_p8 nonsense timm:test_vit --image-size 16 32"
    words += " --reference timm:test_vit --modes inference train --precisions fp32 bf16-autocast"
    words += " --repeats 2 --seconds 0.002 --batch-size 2 --tokens 16 32"
    main([*words.split(), "--out", str(tmp_path)])
    names = ["accuracy.png", "rates.png", "throughput.csv", "throughput.json", "tokens.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in ("accuracy.png", "rates.png", "tokens.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    record = json.loads((tmp_path / "throughput.json").read_text())
    assert len(record["settings"]) == 4
    assert all(len(measured["products"]) == 3 for measured in record["settings"])
    with (tmp_path / "throughput.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["mixer_c16_l1_p8", "nonsense", "timm:test_vit"] * 4
    for row in rows:
        check_row(row)
    assert len(record["tokens"]) == 6
    for point in record["tokens"]:
        if point["model"] != "nonsense":
            assert (
                point["tokens"] == (point["side"] // (8 if point["model"][0] == "m" else 16)) ** 2
            )
            ms = point["us_per_token"] * point["tokens"] / 1e3
            assert point["ms_per_image"] == pytest.approx(ms)
    assert "failed: InputError: unknown backbone 'nonsense'" in capsys.readouterr().out


def check_row(row):
    if row["model"] == "nonsense":
        assert row["images_per_second"] == ""
        assert "unknown backbone" in row["error"]
        return
    assert row["error"] == ""
    figures = {key: float(row[key]) for key in list(row)[4:-1] if row[key]}
    rate, ratio = figures["images_per_second"], figures["ratio"]
    assert figures["images_per_second_low"] <= rate <= figures["images_per_second_high"]
    assert figures["ratio_low"] <= ratio <= figures["ratio_high"]
    assert (ratio == 1.0) == (row["model"] == "timm:test_vit")
    assert figures["macs_per_second"] == pytest.approx(rate * figures["macs"])
    assert figures["peak_memory_mib"] * 2**20 > 4 * figures["parameters"]
    assert ("latency_ms" in figures) == (row["mode"] == "inference")


def test_a_compiled_network_is_compiled_once_for_every_shape(tmp_path, small_products, monkeypatch):
    asked = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: asked.append(options))
    config = Config(
        models=("mixer_c16_l1_p8",),
        image_size=(16, 24),
        batch_size=2,
        modes=("inference",),
        compile=("eager", "compiled"),
        precisions=("fp32",),
        repeats=1,
        seconds=0.001,
        out=str(tmp_path),
    )
    run(config, Session())
    assert asked == [{"dynamic": False}]


def test_measured_speeds_meet_reported_accuracies():
    rows = [
        Row("mixer_s32", "inference", "eager", "fp32", images_per_second=5.0),
        Row("timm:mixer_s32_224", "inference", "compiled", "fp32", images_per_second=7.0),
        Row("mixer_b16", "train", "eager", "fp32", images_per_second=9.0),
        Row("mixer_l16", "inference", "eager", "fp32", error="failed"),
        Row("timm:vit_base_patch16_224", "inference", "eager", "fp32", images_per_second=3.0),
    ]
    assert measured_points(rows) == [("JFT-300M", "Mixer-S/32", 68.70, 7.0)]


def test_the_best_speed_of_an_architecture_stands_for_it():
    rates = {"mixer_s32": 7.0, "mixer_s32,gelu=exact": 5.0}
    rows = [
        Row(name, "inference", "eager", "fp32", images_per_second=rate)
        for name, rate in rates.items()
    ]
    for order in (rows, rows[::-1]):
        assert measured_points(order) == [("JFT-300M", "Mixer-S/32", 68.70, 7.0)]


@pytest.mark.parametrize("size", [224, 192])
def test_accuracies_are_those_of_224_pixels(tmp_path, monkeypatch, size):
    pytest.importorskip("matplotlib")
    drawn, draw = [], plots.plot_accuracy
    monkeypatch.setattr(
        plots, "plot_accuracy", lambda rows, *args: (drawn.append(rows), draw(rows, *args))[1]
    )
    row = Row("mixer_s32", "inference", "eager", "fp32", images_per_second=7.0)
    row.images_per_second_low = row.images_per_second_high = 7.0
    record = {"config": Config(image_size=(size, size)), "machine": {"device": "a device"}}
    _write(str(tmp_path), {**record, "settings": [{"rows": [row]}]})
    assert drawn == [[row] if size == 224 else []]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ()}, "no models given"),
        ({"reference": "mixer_b32"}, r"'mixer_b32' is not one of the models.*mixer_b16"),
        ({"repeats": 0}, "--repeats is 0"),
        ({"seconds": 0.0}, r"--seconds is 0\.0"),
    ],
)
def test_wrong_settings(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        run(Config(**changes, out=str(tmp_path / "out")), Session())
    assert not (tmp_path / "out").exists()


def test_no_model_at_all_is_an_error(tmp_path, small_products):
    config = Config(models=("nonsense",), modes=("inference",), seconds=0.001, out=str(tmp_path))
    with pytest.raises(InputError, match=r"no model could be measured.*nonsense.*unknown backbone"):
        run(config, Session())


def test_options_behind_a_name():
    found = split("mixer_b16,gelu=exact,dropout=0.1")
    assert found == ("mixer_b16", {"gelu": "exact", "dropout": 0.1})
    subject = open_subject("mixer_c16_l1_p8,gelu=exact", Setting(), (16, 16), CPU)
    assert subject.network.backbone.config.gelu == "exact"
    with pytest.raises(InputError, match="'exact' is no option"):
        split("mixer_b16,exact")
