"""The memory table: by hand, against real optimizers, and its largest micro-batch."""

import json
from dataclasses import replace

import pytest
import torch

from core import InputError
from core.eval import main
from core.models.classifier import create_classifier
from core.profiling.activations import peak_bytes
from core.profiling.cost import parameters, resident_bytes
from core.profiling.memory import GIB, STATE, Config, gathered_bytes, row, state_bytes
from core.training.optim import OptimConfig, create_optimizer

P = 59_880_472  # Mixer-B/16 with a head of 1,000 classes, as the official models_test.py has it
B16 = Config(models=("mixer_b16",), gpus=8)


@pytest.fixture(scope="module")
def mixer_b16():
    with torch.device("meta"):
        return create_classifier("mixer_b16", 224, 1000)


def totals(network, strategy, **changes):
    state = state_bytes(network, strategy, replace(B16, **changes))
    return [state[part] for part in ("weights", "gradients", "optimizer", "copies", "ema")]


def test_state_by_hand(mixer_b16):
    assert parameters(mixer_b16) == P
    assert totals(mixer_b16, "ddp", gpus=1) == [4 * P, 4 * P, 8 * P, 2 * P, 0]
    assert totals(mixer_b16, "ddp", ema=True) == [4 * P, 4 * P, 8 * P, 6 * P, 4 * P]
    assert totals(mixer_b16, "ddp", precision="fp32", optimizer="sgd")[2:4] == [4 * P, 4 * P]
    # ZeRO's paper, figure 1, K = 12: 4P + 12P/N, 2P + 14P/N, 16P/N
    sums = [sum(totals(mixer_b16, zero)[:3]) for zero in ("zero1", "zero2", "zero3")]
    assert sums == [4 * P + 12 * P // 8, 2 * P + 14 * P // 8, 16 * P // 8]
    assert sum(totals(mixer_b16, "fsdp2")[:3]) == 16 * P // 8


def test_shares_are_those_of_the_fullest_gpu(mixer_b16):
    share = P // 7 + 1
    assert P % 7
    assert totals(mixer_b16, "fsdp2", gpus=7)[:3] == [4 * share, 4 * share, 8 * share]


def test_of_one_block_there_is_no_second_to_gather():
    with torch.device("meta"):
        network = create_classifier("mixer_c16_l1_p8", 16, 10)
        three = create_classifier("mixer_c16_l3_p8", 16, 10)
    assert gathered_bytes(network, 2) == 2 * 2 * parameters(network)
    block = parameters(network.backbone.blocks[0])
    assert gathered_bytes(three, 4) == 2 * 4 * (parameters(three) - block)


@pytest.mark.parametrize("name", STATE)
def test_optimizer_state_is_that_of_the_optimizer(name):
    network = torch.nn.Linear(30, 40)
    optimizer = create_optimizer(OptimConfig(name), network)
    network(torch.ones(1, 30)).sum().backward()
    optimizer.step()
    measured = resident_bytes(network, optimizer) - resident_bytes(network)
    steps = 2 * 4 if name != "sgd" else 0  # a step count for each of the two parameters
    assert measured - steps == STATE[name] * parameters(network)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "zero1", "zero2", "zero3"])
def test_the_largest_micro_batch_fits_and_one_more_does_not(strategy):
    config = replace(B16, memory=(24,))
    largest = row(config, "mixer_b16", strategy, False).largest[24]
    there, more = (
        row(replace(config, micro_batch=n), "mixer_b16", strategy, False).total
        for n in (largest, largest + 1)
    )
    assert there <= 24 * GIB < more
    assert row(replace(config, memory=(1,)), "mixer_h14", "ddp", True).largest == {1: 0}


def test_bf16_and_checkpointing_use_the_activations_of_their_kind(mixer_b16):
    config, batch = mixer_b16.backbone.config, B16.micro_batch
    checkpointed = replace(config, grad_checkpointing=True)
    found = row(B16, "mixer_b16", "ddp", True).activations
    assert found == peak_bytes(checkpointed, 1000, batch, 2, 4)
    found = row(replace(B16, precision="fp32"), "mixer_b16", "fsdp2", False).activations
    assert found == peak_bytes(config, 1000, batch, 4, 4)
    found = row(B16, "mixer_b16", "zero2", False).activations  # DeepSpeed's norms in bfloat16
    assert found == peak_bytes(config, 1000, batch, 2, 2)


def test_the_command_prints_three_digits_and_writes_json(tmp_path, capsys):
    words = ["memory", "--models", "mixer_c64_l2_p16", "--strategies", "ddp", "--gpus", "1"]
    main([*words, "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "memory.json").read_text())["rows"]
    assert [each["checkpointing"] for each in rows] == [False, True]
    for each in rows:
        assert f"{each['total'] / GIB:#.3g}" in printed
    with pytest.raises(SystemExit, match="2"):
        main(["memory", "--models", "s2mlp_wide", "--out", str(tmp_path)])
    assert "memory is known of mixer_ names alone: s2mlp_wide" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["memory", "--ema", "--out", str(tmp_path)])
    assert "only ddp has a moving average" in capsys.readouterr().err


def test_counts_below_one_are_refused():
    from core.profiling.memory import run

    with pytest.raises(InputError, match=r"--micro-batch is 0"):
        run(replace(B16, micro_batch=0), None)
