"""Run: the one object that knows about processes, precision, folders and time.

    run = Run(config.run, config)
    loader = run.loader(dataset, workers=2)
    model, optimizer = run.prepare(model=model, optimizer=optimizer)
    for batch in run.steps(loader):              # resume, learning rate, seeds, progress
        run.backward(losses(model(batch["image"]), batch))   # name -> (B,) per-sample losses
        run.step(optimizer)                      # accumulate, rescale, clip, EMA
        if run.due("eval"):
            with run.evaluating("model") as network:
                run.log(evaluate(run.session, network, val_loader))
        if run.due("save"):
            run.save()
    run.finish()

Nothing but the number of finished optimizer steps has to be remembered: learning rate, data order,
augmentation and dropout are pure functions of the seed and that number. A run that is killed and
resumed therefore gives the losses of one that was not.

`run.done` counts the steps whose last optimizer has stepped; `run.step_number`, from 1, is the step
that a micro-batch belongs to. Neither changes between the micro-batches of a step: what the loop
draws by them, a size for example, is one thing a step however it is accumulated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.data import Dataset

from core.checkpoints import step_of
from core.data.batched.held import HeldImages, HeldLoader
from core.data.loading import TrainLoader, seed_everything
from core.data.streams.loading import StreamLoader
from core.errors import InputError, did_you_mean
from core.memory import keep_freed_memory
from core.progress import Display
from core.ranges import check_ranges
from core.training import state
from core.training.feed import describe_order, follow_order
from core.training.files.run_files import RunFiles
from core.training.gradients import Gradients, Losses
from core.training.meter import Meter, NotFinite
from core.training.optim import lr_factor
from core.training.parts import Parts
from core.training.run_config import RunConfig as RunConfig
from core.training.session import Session, build_accelerator, end_processes
from core.training.stop import StopSignals
from core.training.together import EndedEverywhere, together


class Run:
    """One training run; the loop is in the module's docstring.

    ``config`` says how; ``app_config`` is the whole configuration to keep in the folder. Raises
    InputError for a folder in use, a batch that cannot be shared out, another network's checkpoint.
    """

    def __init__(self, config: RunConfig, app_config: Any = None):
        check_ranges(app_config or config)
        if config.steps and config.epochs:  # neither: what trains nothing, a probe
            raise InputError("give either --run.steps or --run.epochs, not both")
        self.config, self.folder = config, Path(config.folder)
        self.accelerator = build_accelerator(
            config.precision, config.accumulate, config.trackers, config.folder
        )
        self.session = Session(self.accelerator)
        if self.session.device.type == "cpu":
            keep_freed_memory()  # of one step, for the next
        self.micro_batch = self._micro_batch()
        self.files = RunFiles(config, app_config or config, self.session)
        self.resumed = self.files.resumed  # the checkpoint to go on from, or None
        self.done = step_of(self.resumed) if self.resumed else 0  # finished optimizer steps
        self.step_number = self.done  # the step that a micro-batch belongs to: done + 1 in the loop
        seed_everything(config.seed)  # for the networks that the app builds next
        self.parts = Parts(self.session, config)
        self._metrics: dict[str, float] = {}
        self._metrics_step = -1
        self._last_micro = True  # whether the micro-batch is the last of its optimizer step
        self._to_step: set[str] = set()  # optimizers that have not stepped in this one
        self._loader: TrainLoader | StreamLoader | HeldLoader | None = None  # that `steps` reads
        self.meter = Meter(self.session)
        self.gradients = Gradients(
            self.accelerator, config.batch_size, config.clip, self.session.sharding
        )

    def _micro_batch(self) -> int:
        size, world = self.config.batch_size, self.session.world
        parts = world * self.config.accumulate
        if size % parts:
            raise InputError(
                f"batch_size {size} cannot be shared by {world} process(es) x "
                f"{self.config.accumulate} accumulation step(s): choose a multiple of {parts}"
            )
        return size // parts

    # ---- building ----------------------------------------------------------------------------

    def loader(self, dataset: Dataset, **options: Any) -> TrainLoader | StreamLoader | HeldLoader:
        """Endless micro-batches for `steps`; options: workers, skip_bad, collate; size_of."""
        return self.session.train_loader(
            dataset,
            self.micro_batch,
            seed=self.config.seed,
            **({} if isinstance(dataset, HeldImages) else {"on_bad": self.note_bad}),
            **options,
        )

    def note_bad(self, path: str, reason: str) -> None:
        """Name a sample that cannot be read in the run's folder."""
        self.files.note_bad(path, reason)

    def prepare(self, **parts: Any) -> tuple:
        """Networks and optimizers by name, made ready for the processes, in the order given.

        A checkpoint names its files after them; a resumed run's weights are read here. A network
        without trainable parameters only moves to the device.
        """
        return self.parts.prepare(parts, self.micro_batch, self.resumed)

    # ---- the loop ----------------------------------------------------------------------------

    def total_steps(self, loader: TrainLoader | StreamLoader | HeldLoader) -> int:
        """Optimizer steps of the whole run."""
        if not (self.config.steps or self.config.epochs):
            raise InputError("give either --run.steps or --run.epochs, above 0")
        epochs = self.config.epochs * len(loader.dataset) / self.config.batch_size
        return self.config.steps or max(1, round(epochs))

    def _say_what(self, loader: TrainLoader | StreamLoader | HeldLoader) -> None:
        """What is trained, on which data and on what, before the first step."""
        networks = self.parts.trained_networks()
        counts = [sum(map(_count, network.parameters())) for network in networks]
        sizes = [f"{count / 1e6:.2f} M" for count in counts]
        self.session.print(
            f"{self.folder}: {self.total:,} steps of {self.config.batch_size} of "
            f"{len(loader.dataset):,} samples; "
            f"{' + '.join(sizes)} parameters; {self.session.describe()}"
        )

    def _say_warmup(self) -> None:
        warmup = self.config.schedule.warmup
        if warmup >= max(1, self.total):  # a preset's, in a short trial, or a mistake
            self.session.print(
                f"note: run.schedule.warmup is {warmup:g} steps, and the run has {self.total}: it "
                "does not reach its learning rate"
            )

    def steps(self, loader: TrainLoader | StreamLoader) -> Iterator[Any]:
        """Micro-batches on the device until the run is done, from where it stopped before.

        Samples that cannot be read, and a stream that ends early, leave a checkpoint of the last
        finished step: the InputError names it.
        """
        self.total, self._loader = self.total_steps(loader), loader
        self._say_what(loader)
        self._say_warmup()
        accumulate, networks = self.config.accumulate, self.parts.trained_networks()
        follow_order(loader, self.resumed, self.done, accumulate)
        batches = together(loader.batches(self.done * accumulate), self.session.world)
        self.display = Display(self.total, self.done, self.session.is_main)
        self.meter.restart()  # building the networks was no training time
        with StopSignals(self.session, self.config.log_every) as stop, self.display:
            while self.done < self.total:
                self.parts.set_lr(lr_factor(self.config.schedule, self.done, self.total))
                self.step_number, self._to_step = self.done + 1, set(self.parts.owned)
                for micro in range(accumulate):
                    batch = self.session.to_device(self._fetch(batches))
                    self.files.open()
                    # dropout and mixing: of this micro-batch of this process alone
                    seed_everything(self.config.seed, self.done, micro, self.session.rank)
                    self._last_micro = micro == accumulate - 1
                    with self.accelerator.accumulate(*networks):
                        yield batch
                self._end_step()
                if stop.requested(self.done):
                    self.stop(stop.signal)
        batches.close()

    def _fetch(self, batches: Iterator[Any]) -> Any:
        try:
            return self.meter.fetch(batches)
        except InputError as error:
            raise InputError(f"{error}. {self._save_before_the_end()}") from error

    def _save_before_the_end(self) -> str:
        """Keep the finished steps, not the micro-batches of one that began; says how to go on."""
        if not self._last_micro:
            self.meter.restart()
        if self.files.opened and self.done:
            self.save()
        self._close()
        latest = self.files.latest()
        return f"Go on from {latest} with --run.resume" if latest else "No step was finished"

    def backward(self, losses: Losses, valid: torch.Tensor | None = None) -> None:
        """Gradients of one micro-batch. ``losses``: name -> (B,), one number a sample.

        With ``valid`` (B,), the valid elements of each sample, a loss is the sum over them, and the
        step divides by all valid elements of all processes and micro-batches. One call for each
        optimizer and micro-batch.
        """
        self.meter.add(self.step_number, losses, valid)
        self.gradients.backward(losses, valid)

    def step(self, optimizer: Any) -> None:
        """Step this optimizer if the micro-batch is the last of its step, and move its averages."""
        norm = self.gradients.step(optimizer)
        if not self._last_micro:
            return
        if norm is not None:
            self.meter.norms.append(norm)
        name = self.parts.name_of(optimizer)
        self.parts.move_averages(name, self.step_number)
        self._to_step.discard(name)
        if not self._to_step:
            self.done = self.step_number

    def due(self, what: Literal["eval", "save"]) -> bool:
        """True after every N-th optimizer step (eval_every, save_every) and after the last one.

        Ask when the optimizers have stepped: the step counts as finished, also where the loop left
        one of them out.
        """
        if not self._last_micro:
            return False
        self.done = self.step_number
        every = getattr(self.config, f"{what}_every")
        return self.done == self.total or bool(every and self.done % every == 0)

    def _end_step(self) -> None:
        self.done = self.step_number  # also where the loop's body left the step out
        if self.done % self.config.log_every == 0 or self.done == self.total:
            self._flush()

    def _flush(self) -> None:
        """Write the means since the last line; stop if a loss was not finite."""
        try:
            row = self.meter.read()
        except NotFinite as error:
            raise InputError(self._diverged(str(error))) from error
        if row:
            row["lr"] = self.parts.lr
            self.record(row)
            speed = f"{row['images_per_second']:.0f} images/s  data {row['waiting']:.0%}"
            self.display.update(self.done, f"loss {row['loss']:.4f}  {speed}")

    def _diverged(self, what: str) -> str:
        latest = self.files.latest()
        good = f"the last good checkpoint is {latest}" if latest else "there is no checkpoint yet"
        return f"{what}: lower the learning rate or look at the data; {good}"

    def record(self, row: dict[str, float]) -> None:
        """One line of metrics.jsonl and of the trackers, at the last finished step."""
        self.files.record(self.done, row)

    # ---- evaluating, saving, ending ----------------------------------------------------------

    @contextmanager
    def evaluating(self, name: str = "model") -> Iterator[nn.Module]:
        """The network, or its moving average if it has one, in eval mode without gradients.

        It computes in the run's precision; metrics of what it gives are in full precision.
        """
        network = self.parts.to_evaluate(name)
        was_training = network.training
        with self.meter.pause(), torch.no_grad(), self.session.in_precision(network):
            network.eval()  # DeepSpeed's engine returns None
            try:
                yield network
            except Exception as error:
                self._end_evaluation(error)
                raise
        network.train(was_training)

    def _end_evaluation(self, error: Exception) -> None:
        """What an evaluation that fails costs: no step. A loss that was not finite is its cause."""
        everywhere = self.session.world == 1 or isinstance(error, EndedEverywhere)
        if not (self.files.opened and everywhere):
            return
        self._flush()
        if isinstance(error, InputError):
            raise InputError(f"{error}. {self._save_before_the_end()}") from error

    def check_best(self, names: Collection[str]) -> None:
        """Raise InputError for a `run.best` that is none of the metrics of the evaluations.

        To be called before the work, where they are known: the first evaluation is hours away.
        """
        if self.config.best and self.config.best not in names:
            known = did_you_mean(self.config.best, names)
            raise InputError(
                f"run.best is {self.config.best}: the evaluation has none such.{known}"
            )

    def log(self, metrics: dict[str, float]) -> None:
        """Record an evaluation in metrics.jsonl and the trackers, and show it."""
        self.files.open()
        self.check_best(metrics)
        self._metrics, self._metrics_step = dict(metrics), self.done
        self.record({f"eval/{name}": value for name, value in metrics.items()})
        words = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.session.print(f"step {self.done}  {words}")

    def save(self) -> None:
        """Write a checkpoint, unless this step has one. Nothing is written of a diverged run."""
        self.files.open()
        with self.meter.pause():
            latest = self.files.latest()
            if latest and step_of(latest) == self.done:
                self.files.prune()  # a kill may have come between, and this run be done
                return
            self._flush()
            # the loss of this step was finite, that of the next will not be
            if name := self.parts.not_finite():
                raise InputError(self._diverged(f"{name} is not finite after step {self.done}"))
            whole = self.parts.gather(self.folder)
            whole.order = describe_order(self._loader)
            fresh = self._metrics if self._metrics_step == self.done else {}
            info = {"step": self.done, "metrics": fresh, **state.describe(self.parts.plain)}
            self.files.save(self.done, partial(whole.write, info))

    def stop(self, signal: int) -> None:
        """Save, and leave with the status of a process that the signal ended."""
        self.save()
        self._close()
        self.session.print(f"stopped at step {self.done} of {self.total}: go on with --run.resume")
        raise SystemExit(128 + signal)

    def finish(self, keep_processes: bool = False) -> None:
        """Save what is not saved and close the trackers; keep_processes: more runs follow."""
        self.save()
        self._close(keep_processes)

    def _close(self, keep_processes: bool = False) -> None:
        self.files.close()
        if not keep_processes:
            end_processes()


def _count(parameter: nn.Parameter) -> int:
    """Its numbers; under ZeRO-3 this process holds none of them, and DeepSpeed knows how many."""
    return getattr(parameter, "ds_numel", parameter.numel())
