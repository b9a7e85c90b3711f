"""Evaluations of backbones: `python core/eval.py EVALUATION --model.backbone mixer_b16 ...`.

The first word chooses a module of core/evaluation or core/profiling; each has a frozen
dataclass `Config`, whose docstring says what it measures, and `run(config, session)`, which prints,
writes and returns it.
"""

from __future__ import annotations

import importlib
import sys

from core.config import cli, did_you_mean, entry_point
from core.errors import InputError
from core.training.session import Session

EVALUATIONS = {
    "classification": "top-1, top-5 and ReaL accuracy on an image folder or a Hub data set",
    "suite": "Avg 5 and VTAB-1k, the transfer suites of the paper",
    "fewshot": "few-shot linear probe in closed form, 1 to 25 images of each class",
    "shuffle": "accuracy where patches or pixels are shuffled (Figure 4)",
    "grids": "features and accuracy at other image sizes, by each way to resize token mixing",
    "mixing": "token-mixing weights as pictures (Figure 5)",
    "throughput": "images/s, latency, memory, MACs and share of the machine's peak, side by side",
    "memory": "what a GPU holds in training, by strategy, and the batch that fits: by arithmetic",
    "export": "torch.export, ONNX and int8, checked against eager",
}


@entry_point
def main(argv: list[str] | None = None) -> None:
    """Choose an evaluation by the first word, and its settings by the rest."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return
    if words[0] not in EVALUATIONS:
        raise InputError(f"no evaluation {words[0]!r}.{did_you_mean(words[0], EVALUATIONS)}")
    room = "profiling" if words[0] in ("throughput", "memory") else "evaluation"
    module = importlib.import_module(f"core.{room}.{words[0]}")
    session = Session()
    module.run(cli({words[0]: module.Config}, words), session)
    session.accelerator.end_training()


def _usage() -> str:
    rows = [f"  {name:15} {what}" for name, what in EVALUATIONS.items()]
    usage = "usage: python core/eval.py EVALUATION [--help] [--section.field value ...]"
    return "\n".join([usage, "", *rows])


if __name__ == "__main__":
    main()
