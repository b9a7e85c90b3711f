"""Metrics are computed in full precision, whatever the network's: a network alone is in the run's.

The oracle is a metric that half precision cannot carry: the mean of squares of numbers near 1000.
"""

from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from core.app.runs import reopen
from core.data.loading import seed_everything
from core.evaluation.classification import top_predictions
from core.evaluation.collect import collect
from core.evaluation.features import head_features, pooled_features
from core.models.classifier import Classifier, create_classifier
from core.training.optim import create_optimizer
from core.training.run import Run
from core.training.session import Session, build_accelerator
from tests.core.toy import ToyConfig, ToyNet, toy_config, train

PRECISIONS = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Vectors(Dataset):
    """Six vectors whose sums 16 bits cannot hold."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return {"x": torch.linspace(1000, 1001, 6) + i, "index": i}


class Watched(ToyNet):
    """Notes in which type its first layer gives its results."""

    def forward(self, x):
        self.dtype = self.first(x).dtype
        return super().forward(x)


@pytest.fixture
def trained(tmp_path):
    """A run, made before the session that opens it."""
    train(toy_config(tmp_path / "run", steps=1))


@pytest.fixture(params=PRECISIONS)
def session(request, monkeypatch):
    """A session of each precision; fp16 too, which a run on a CPU is refused."""
    session = Session(build_accelerator("no"))
    if half := PRECISIONS[request.param]:

        @contextmanager
        def autocast():
            with torch.autocast("cpu", half):
                yield

        monkeypatch.setattr(session.accelerator, "autocast", autocast)
        monkeypatch.setattr(session.accelerator.state, "_mixed_precision", request.param)
    session.dtype = half or torch.float32
    return session


def metric(values):
    """Products and sums that autocast would do in 16 bits: (B, 6) -> (B,)."""
    return (values[:, None] @ values[:, :, None])[:, 0, 0]


def test_a_metric_inside_an_evaluation_has_full_precision(session):
    network = Watched().eval()

    def predict(batch):
        output = network(batch["x"])
        assert output.dtype == torch.float32
        return {"metric": metric(batch["x"])}

    with session.in_precision(network), torch.autocast("cpu", torch.bfloat16):  # a careless caller
        values = collect(session, Vectors(), predict, 4)["metric"]
    rows = torch.stack([Vectors()[i]["x"] for i in range(6)]).double()
    torch.testing.assert_close(values.double(), metric(rows), rtol=1e-6, atol=0)
    assert network.dtype == session.dtype


def test_the_precision_ends_with_the_block_and_with_an_error(session):
    network = Watched()
    with session.in_precision(network):
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 7))
        assert not torch.is_autocast_enabled("cpu")
        network(torch.zeros(1, 6))
    assert network.dtype == session.dtype
    assert network(torch.zeros(1, 6)).dtype == network.dtype == torch.float32


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_evaluates_in_its_precision_and_measures_in_full(tmp_path, precision, ema):
    config = toy_config(tmp_path / "run", steps=1, precision=precision, ema=ema)
    run, network = Run(config.run, config), Watched()
    run.prepare(model=network, optimizer=create_optimizer(config.optim, network))
    with run.evaluating() as network:
        x = Vectors()[0]["x"][None]
        assert network(x).dtype == torch.float32
        assert network.dtype == (PRECISIONS[precision] or torch.float32)
        assert metric(x).dtype == torch.float32
        torch.testing.assert_close(metric(x).double(), metric(x.double()), rtol=1e-6, atol=0)


def test_a_run_that_is_opened_again_is_in_the_sessions_precision(
    trained, tmp_path, session, monkeypatch
):
    monkeypatch.setattr(
        Watched, "from_description", classmethod(lambda cls, *_: Watched()), raising=False
    )
    network = reopen(tmp_path / "run", ToyConfig, Watched, session).network
    assert network(torch.zeros(1, 6)).dtype == torch.float32
    assert network.dtype == session.dtype


class Pictures(Dataset):
    """Six small images of two classes."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        image = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(i))
        return {"image": image, "label": i % 2, "index": i}


@pytest.mark.parametrize("evaluate", [top_predictions, head_features])
def test_classifiers_and_features_are_in_the_sessions_precision(session, evaluate):
    seen = _stem_types(classifier := _classifier())
    evaluate(session, classifier, Pictures(), 4)
    assert seen == {session.dtype}
    pooled_features(session, classifier.backbone, Pictures(), 4)
    assert seen == {session.dtype}


def _classifier() -> Classifier:
    seed_everything(0)
    return create_classifier("mixer_c16_l1_p8", 16, num_classes=2)


def _stem_types(classifier: Classifier) -> set:
    seen: set = set()
    stem = next(m for m in classifier.backbone.modules() if isinstance(m, nn.Conv2d))
    stem.register_forward_hook(lambda _m, _i, output: seen.add(output.dtype))
    return seen
