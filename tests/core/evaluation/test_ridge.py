"""Ridge regression: refits and the normal equations as oracles, in numpy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.errors import InputError
from core.evaluation.features import head_features
from core.evaluation.ridge import SCALES, fit_ridge, fit_scale
from core.models.classifier import Classifier
from core.training.session import Session
from tests.core.evaluation.test_fewshot import Images, small_mixer

L2S = (0.3, 20.0, 900.0)


def examples(count=13, views=1, channels=6, signal=1.0):
    """Features (N, V, C) far from zero, of three unequal classes, and labels (N,)."""
    rng = np.random.default_rng(count + views)
    y = np.minimum(np.arange(count) % 5, 2)
    x = signal * np.eye(channels)[y][:, None] + rng.normal(2, 3, (count, views, channels))
    return x, y


def standardised(x):
    """Rows (R, C) by the mean and deviation of all of them, those of what is left out too."""
    rows = x.reshape(-1, x.shape[-1])
    return (rows - rows.mean(0)) / (rows.std(0) + 1e-5)


def solved(z, y, l2):
    """Weights (C, 3) and intercept (3,) by the normal equations, the intercept free."""
    padded = np.concatenate([z, np.ones((len(z), 1))], 1)
    penalty = l2 * np.eye(padded.shape[1])
    penalty[-1, -1] = 0
    solution = np.linalg.solve(padded.T @ padded + penalty, padded.T @ (2 * np.eye(3)[y] - 1))
    return solution[:-1], solution[-1]


def refitted(x, y, l2):
    """(N, 3): what a fit without an example, and all its views, says of its first view."""
    (count, views, channels), scores = x.shape, []
    z = standardised(x).reshape(x.shape)
    for n in range(count):
        others = np.arange(count) != n
        rest = z[others].reshape(-1, channels)
        weights, intercept = solved(rest, y[others].repeat(views), l2)
        scores.append(z[n, 0] @ weights + intercept)
    return np.stack(scores)


@pytest.mark.parametrize(("count", "views"), [(13, 1), (13, 2), (5, 1), (5, 2), (5, 3)])
def test_leave_one_out_is_that_of_refits(count, views):
    """With more features than rows, too: 6 of 5."""
    x, y = examples(count, views)
    ridge = fit_ridge(torch.from_numpy(x), torch.from_numpy(y), 3, L2S)
    scores = {l2: refitted(x, y, l2) for l2 in L2S}
    errors = {l2: ((s - (2 * np.eye(3)[y] - 1)) ** 2).mean() for l2, s in scores.items()}
    assert ridge.errors == pytest.approx(errors, rel=1e-9)
    assert ridge.l2 == min(errors, key=errors.get)
    np.testing.assert_allclose(ridge.left_out, scores[ridge.l2], rtol=0, atol=1e-9)


def test_the_least_error_is_taken_wherever_it_is():
    """Of noise the strongest l2, of features that tell the classes a weak one."""
    chosen = {}
    for signal in (0.0, 60.0):
        x, y = examples(40, signal=signal)
        chosen[signal] = fit_ridge(torch.from_numpy(x), torch.from_numpy(y), 3)
    shares = {signal: ridge.l2 / 40 for signal, ridge in chosen.items()}
    assert shares[0.0] > 1
    assert shares[60.0] < 0.1
    assert len(chosen[0.0].errors) == 17


@pytest.mark.parametrize("views", [1, 2])
def test_the_head_is_the_product_of_standardised_features(views):
    x, y = examples(30, views)
    ridge = fit_ridge(torch.from_numpy(x).float(), torch.from_numpy(y), 3, (7.0,))
    weights, intercept = solved(standardised(x), y.repeat(views), 7.0)
    asked = np.random.default_rng(9).normal(2, 3, (20, 6)).astype(np.float32)
    rows = x.reshape(-1, 6)
    z = (asked - rows.mean(0)) / (rows.std(0) + 1e-5)
    head = torch.nn.Linear(6, 3)
    head.load_state_dict(ridge.head())
    with torch.no_grad():
        logits = head(torch.from_numpy(asked))
    np.testing.assert_allclose(logits, ridge.scale * (z @ weights + intercept), rtol=0, atol=1e-5)
    assert head.weight.dtype == torch.float32


def test_a_feature_that_never_changes_has_no_part():
    x, y = (torch.from_numpy(values) for values in examples(20))
    constant = torch.cat([x, torch.full((20, 1, 1), 3.0)], 2)
    plain, padded = fit_ridge(x, y, 3), fit_ridge(constant, y, 3)
    torch.testing.assert_close(padded.weight[:, :6], plain.weight)
    torch.testing.assert_close(padded.bias, plain.bias)


def test_the_scale_has_the_least_cross_entropy():
    generator = torch.manual_seed(3)
    labels = torch.randint(4, (200,), generator=generator)
    scores = 0.2 * torch.randn(200, 4, generator=generator) + 0.1 * F.one_hot(labels, 4)
    scale = fit_scale(scores.double(), labels)
    assert SCALES[0] < scale < SCALES[1]
    nearby = [float(F.cross_entropy(scale * s * scores.double(), labels)) for s in (0.99, 1, 1.01)]
    assert nearby[1] == min(nearby)
    assert fit_scale(5 * scores.double(), labels) == pytest.approx(scale / 5)


def test_the_scale_stays_within_its_ends():
    """Nothing wrong: sure to float64's last digit; all wrong: as good as chance."""
    labels = torch.arange(4)
    right = torch.eye(4, dtype=torch.float64)
    scale = fit_scale(right, labels)
    assert scale < SCALES[1]
    assert float((scale * right).softmax(1).diagonal().min()) > 1 - 1e-12
    assert fit_scale(0.01 * right, labels) == pytest.approx(SCALES[1])
    assert fit_scale(-right, labels) == pytest.approx(SCALES[0])


def test_features_that_are_not_finite():
    x, y = (torch.from_numpy(values) for values in examples())
    x[4, 0, 2] = float("nan")
    with pytest.raises(InputError, match="features that are not finite"):
        fit_ridge(x, y, 3)


def test_features_are_what_the_head_sees_and_of_the_mirror_image():
    """Of a Mixer the mean over the tokens, of a backbone with a pooling of its own that one."""
    network, data = Classifier(small_mixer(), 3), Images()
    features, labels = head_features(Session(), network, data, 3, mirrored=True)
    assert labels.tolist() == list(range(10, 17))
    with torch.no_grad():
        tokens = [network.backbone(images) for images in (data.images, data.images.flip(3))]
        torch.testing.assert_close(features, torch.stack([t.mean(1) for t in tokens], 1))
        network.backbone.pooled = lambda images: tokens[0].amax(1)
        own, _ = head_features(Session(), network, data, 7)
    torch.testing.assert_close(own, tokens[0].amax(1)[:, None])
