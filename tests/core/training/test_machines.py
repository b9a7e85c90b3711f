"""accelerate's launcher and configurations: two machines of one processor, and the files of docs/.

The machines are two launchers on the loopback device, each with its own processes on the CPU.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file

from tests.core import toy
from tests.core.launch import free_port, launch
from tests.core.training.test_strategies import losses

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "docs" / "accelerate"
TOY = ROOT / "tests" / "core" / "toy.py"


def launched_environment(config, *words):
    """What `accelerate launch` with a file of docs/accelerate tells its processes."""
    from accelerate.commands import launch as command
    from accelerate.utils import launch as environments

    given = ["--config_file", str(CONFIGS / config), *map(str, words), str(TOY)]
    args, *_ = command._validate_launch_command(command.launch_command_parser().parse_args(given))
    before = dict(os.environ)
    if args.use_deepspeed:
        args.deepspeed_fields_from_accelerate_config = ""  # as launch_command does
        now = environments.prepare_deepspeed_cmd_env(args)[1]
    else:
        now = environments.prepare_multi_gpu_env(args)
    return {name: value for name, value in now.items() if before.get(name) != value}


def machine(rank, processes, port, words, config="ddp.yaml"):
    """Start `accelerate launch` as machine `rank` of two, with its half of the processes."""
    place = ["--num_machines", 2, "--machine_rank", rank, "--num_processes", processes]
    meet = ["--main_process_ip", "127.0.0.1", "--main_process_port", port]
    start = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    options = ["--config_file", CONFIGS / config, "--mixed_precision", "no", *place, *meet]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*start, *map(str, [*options, TOY, *words])],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )


def test_two_machines_take_the_steps_of_one_process(tmp_path):
    """Two processes on each: what counts a machine's own processes is not what counts all."""
    processes = 4
    words = ["--dropout", 0, "--run.steps", 6]
    alone = launch(toy.main, "--run.folder", tmp_path / "one", *words)
    assert alone.returncode == 0, alone.output
    port, words = free_port(), [*words, "--run.folder", tmp_path / "two"]
    machines = [machine(rank, processes, port, words) for rank in (0, 1)]
    try:
        printed = [each.communicate(timeout=300)[0] for each in machines]
    finally:
        for each in machines:
            each.terminate()  # torchrun's agent ends its processes; one that is done is left alone
    assert [each.returncode for each in machines] == [0, 0], "\n".join(printed)
    assert f'"processes": {processes}' in (tmp_path / "two" / "about.jsonl").read_text()
    assert losses(tmp_path / "one") == pytest.approx(losses(tmp_path / "two"), abs=1e-5)
    a, b = (load_file(tmp_path / n / "checkpoints/last/model.safetensors") for n in ("one", "two"))
    assert all((a[name] - b[name]).abs().max() < 1e-5 for name in a)


AFTERWARDS = r"""
import sys
from pathlib import Path
from tests.core import toy

toy.main()
names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
sys.stdout.write(f"threads {names}\n")  # one piece: two processes write
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed by Linux")
def test_no_thread_of_the_process_group_outlives_the_run(tmp_path):
    """One that does may abort a process that has finished, when Python ends. In fresh processes:
    what was imported before the group decides."""
    (tmp_path / "program.py").write_text(AFTERWARDS)
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    start += ["--master_port", str(free_port()), str(tmp_path / "program.py")]
    words = ["--run.folder", str(tmp_path / "run"), "--run.steps", "2"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*start, *words], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("threads [") == 2
    assert "gloo" not in done.stdout


@pytest.mark.parametrize(
    ("config", "kind", "told"),
    [
        ("ddp.yaml", "MULTI_GPU", {}),
        ("fsdp2.yaml", "FSDP", {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}),
        ("deepspeed_zero2.yaml", "DEEPSPEED", {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}),
    ],
)
def test_the_configurations_say_what_they_promise(config, kind, told):
    """Read by accelerate's own parser, which refuses unknown fields, and by its launcher."""
    read = load_config_from_file(str(CONFIGS / config))
    assert (read.distributed_type, read.num_machines, read.mixed_precision) == (kind, 1, "bf16")
    environment = launched_environment(config)
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert told.items() <= environment.items()
    # accumulation and clipping are the run's: accelerate must not have a say
    assert environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1") in ("1", "auto")
    assert "ACCELERATE_GRADIENT_CLIPPING" not in environment


def test_a_misspelt_field_would_be_seen(tmp_path):
    text = (CONFIGS / "ddp.yaml").read_text().replace("num_machines", "num_machine")
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ValueError, match="num_machine"):
        load_config_from_file(str(tmp_path / "wrong.yaml"))
