"""What other people's networks say of made images: Places labels, Inception statistics, LPIPS.

Each needs a file of weights, named below, in `checkpoints/` of torch's cache or of a folder that is
given. Nothing is downloaded and nothing stands in for a file that is missing: its metrics are
absent, and `missing` says which file to get. Legend: N samples, P their class probabilities (N, K).

    Places (365 scenes, AlexNet; the middle 224 of images resized to 256), by the field's scripts
        top1, top5       in %, how often the made image's likeliest class is the real one's, or
                         among the real one's five; `_sure`: where the real one's is above 0.5
        places_is        exp(mean KL(p_i || mean p)), one split; `_top1`, `_top5` with the other
                         probabilities set to 1e-9; `_field` as the tables have it, not renormalised
        places_kl        mean KL(P made || P real), 0 for the same; `places_kl_field` its exp, 1 for
                         the same, and `places_kl_field_std` the deviation that tables put beside it
    Inception (2,048 features, TensorFlow's network as torch-fidelity has it)
        fid, kid         Heusel et al. 2017; Binkowski et al. 2018, all samples at once
    AlexNet
        lpips            Zhang et al. 2018, v0.1, images as they are
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from core.errors import InputError, first_line

FILES = {
    "places": ("alexnet_places365.pth.tar", "places2.csail.mit.edu/models_places365/"),
    "inception": ("pt_inception-2015-12-05-6726825d.pth", "torch-fidelity's releases on GitHub"),
    "lpips": ("alexnet-owt-7be5be79.pth", "download.pytorch.org/models/"),
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TINY = 1e-9


@dataclass
class PerceptualNetworks:
    """The networks whose weights are there."""

    places: nn.Module | None = None
    inception: nn.Module | None = None
    lpips: nn.Module | None = None
    missing: list[str] = field(default_factory=list)  # what to say of those that are not

    def outputs(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Distance, probabilities and features of each sample, (B, ...).

        made, real: images (B, 3, H, W) in [0, 1].
        """
        outputs = {}
        if self.lpips is not None:
            outputs["lpips"] = self.lpips.net(2 * made - 1, 2 * real - 1).flatten()
        for name, network in (("places", self.places), ("inception", self.inception)):
            if network is not None:
                outputs[f"{name}_made"], outputs[f"{name}_real"] = network(made), network(real)
        return outputs


def open_perceptual(
    folder: str | Path = "", device: str | torch.device = "cpu"
) -> PerceptualNetworks:
    """The networks whose weights lie in folder/checkpoints (torch's cache where it is empty).

    Raises InputError for a file that holds other weights.
    """
    cache = Path(folder).expanduser() if folder else Path(torch.hub.get_dir())
    networks = PerceptualNetworks()
    openers = {"places": _open_places, "inception": _open_inception, "lpips": _open_lpips}
    for name, (file, source) in FILES.items():
        path = cache / "checkpoints" / file
        if not path.is_file():
            networks.missing.append(f"{name}: {path} is not there (it comes from {source})")
            continue
        setattr(networks, name, _opened(openers[name], path).to(device).eval())
    return networks


def _opened(opener: Callable[[Path], nn.Module], path: Path) -> nn.Module:
    try:
        return opener(path)
    except ImportError as error:
        raise InputError(f"{path} needs the package {error.name}: pip install it") from error
    except Exception as error:  # torch.load and load_state_dict raise many kinds
        raise InputError(f"{path} holds other weights ({first_line(error)})") from error


class Places(nn.Module):
    """Probabilities of 365 scenes: images (B, 3, H, W) in [0, 1] -> (B, 365)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        from torchvision.transforms.v2 import functional as T

        images = T.center_crop(T.resize(images, [256], antialias=True), [224, 224])
        return self.network((images - self.mean) / self.std).float().softmax(1)


def _open_places(path: Path) -> nn.Module:
    from torchvision.models import alexnet

    network = alexnet(num_classes=365)
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)  # trained under DataParallel
    network.load_state_dict({name.replace("module.", ""): v for name, v in state.items()})
    return Places(network)


class Inception(nn.Module):
    """2,048 features: images (B, 3, H, W) in [0, 1] -> (B, 2048)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network((255 * images).round().byte())[0].flatten(1)


def _open_inception(path: Path) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return Inception(FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path)))


def _open_lpips(path: Path) -> nn.Module:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    before = torch.hub.get_dir()
    torch.hub.set_dir(str(path.parents[1]))
    try:
        return LearnedPerceptualImagePatchSimilarity(net_type="alex")
    finally:
        torch.hub.set_dir(before)


def places_scores(made: Tensor, real: Tensor) -> dict[str, float]:
    """All figures of Places from probabilities (N, K) of the made and the real images."""
    made, real = made.double(), real.double()
    # tables count all samples, and those alone whose real image has a clear label
    best, sure = made.argmax(1), real.max(1).values > 0.5
    top1 = best == real.argmax(1)
    top5 = (real.topk(5, 1).indices == best[:, None]).any(1)
    kl = (made * (made.clamp(min=TINY).log() - real.clamp(min=TINY).log())).sum(1)
    scores = {
        "top1": _percent(top1),
        "top1_sure": _percent(top1[sure]),
        "top5": _percent(top5),
        "top5_sure": _percent(top5[sure]),
        "places_kl": float(kl.mean()),
        "places_kl_field": float(kl.mean().exp()),
        "places_kl_field_std": float(kl.std(correction=0)),
        "places_is": inception_score(made),
    }
    for k in (1, 5):
        largest = _largest(made, k)
        scores[f"places_is_top{k}"] = inception_score(largest / largest.sum(1, keepdim=True))
        scores[f"places_is_top{k}_field"] = inception_score(largest)
    return scores


def inception_score(probabilities: Tensor) -> float:
    """exp(mean_i KL(p_i || mean p)), one split, of (N, K); Salimans et al. 2016."""
    p = probabilities.clamp(min=TINY)
    return float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())


def _largest(probabilities: Tensor, k: int) -> Tensor:
    """All but the k largest of each row set to 1e-9."""
    top = probabilities.topk(k, 1)
    return torch.full_like(probabilities, TINY).scatter(1, top.indices, top.values)


def _percent(hits: Tensor) -> float:
    return 100 * float(hits.double().mean()) if len(hits) else float("nan")


def inception_scores(made: Tensor, real: Tensor) -> dict[str, float]:
    """fid and kid from features (N, 2048) of the made and the real images, float64."""
    made, real = made.double(), real.double()
    return {"fid": frechet_distance(made, real), "kid": kernel_distance(made, real)}


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|mean difference|^2 + trace(A + B - 2 (A B)^(1/2)) of two sets of features (N, F)."""
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)  # (F, F)
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    # trace of a root = sum of the roots of eigenvalues, which are real but for rounding
    root = torch.linalg.eigvals(cov_a @ cov_b).sqrt().real.sum()
    return float(apart + cov_a.trace() + cov_b.trace() - 2 * root)


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """The unbiased squared MMD with the kernel (x.y / F + 1)^3, over all samples at once."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        k = kernel(x, x)
        # a sample with itself does not count: that makes the estimate unbiased
        return (k.sum() - k.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())
