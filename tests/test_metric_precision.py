"""Metrics of the apps in half precision: a photograph against itself, and a network's figures."""

import pytest
import torch
import torch.nn.functional as F

from apps.crossview.evaluation.metrics import image_metrics
from core.evaluation.collect import collect
from core.training.session import Session, build_accelerator


class Photographs(torch.utils.data.Dataset):
    """Three smooth images in [0, 1]: the smoother, the more digits an SSIM takes."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(i))
        image = F.interpolate(image, (64, 64), mode="bilinear")[0]
        return {"image": 0.4 + 0.5 * image, "index": i}


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_photograph_is_like_itself_in_every_precision(half, monkeypatch):
    """Its SSIM has windows of 16-bit products under autocast: 0.6 in bfloat16, 0.97 in float16."""

    def predict(batch):
        return image_metrics(batch["image"], batch["image"])

    session = Session(build_accelerator("bf16"))
    monkeypatch.setattr(session.accelerator, "autocast", lambda: torch.autocast("cpu", half))
    with session.accelerator.autocast():  # as it was in `Run.evaluating`
        figures = collect(session, Photographs(), predict, 2)
    assert torch.allclose(figures["ssim"], torch.ones(3), atol=1e-5)
