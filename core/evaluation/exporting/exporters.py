"""A network as a file of torch.export, ONNX, or ONNX in int8; each compared with the network.

Every writer makes its file in a hidden folder beside the path, opens it again, compares, and only
then gives it its name; nothing is overwritten.

int8 is onnxruntime's dynamic quantization: weights of matrix products in int8 with a scale for each
column, activations in uint8 with a scale found at run time. Products of two activations and
convolutions stay float32: convolutions in int8 lost more of the features and were slower than in
float32.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import InputError, first_line
from core.evaluation.exporting.graph import (
    Outputs,
    Size,
    as_tuple,
    free_axes,
    free_batch,
    graph_of,
    metadata,
    noise,
    other_sizes,
    output_names,
)
from core.evaluation.features import agreement
from core.files import check_new, room_for, unreadable

Network = Callable[[Tensor], Outputs]  # of images (B, 3, H, W)

BATCHES = (1, 5)  # at which a file is compared with the network
TOLERANCE = 1e-4  # largest difference, of values up to 1; above, relative to the largest value
QUANTIZED = ("MatMul", "Gemm")
# Bytes of weights: a protobuf ends at 2 GiB, beyond they get a second file.
LARGEST_PROTOBUF = 1.8e9


def export_program(network: nn.Module, path: str | Path) -> float:
    """Write what torch.export makes of the network; the largest difference to the network.

    `torch.export.load(path).module()` maps images of any batch size to tokens, of a classifier to
    (tokens, logits), and of any height and width where the backbone is a Mixer with `any_size`.
    The metadata is the extra file metadata.json. Raises InputError where it cannot be exported,
    differs by more than TOLERANCE, or where `path` exists.
    """
    with new_file(Path(path)) as draft:
        try:
            program = torch.export.export(
                graph_of(network), (noise(network, 2),), dynamic_shapes=(free_axes(network),)
            )
        except Exception as error:
            raise InputError(
                f"torch.export cannot take this network: {first_line(error)}"
            ) from error
        extra = {"metadata.json": json.dumps(metadata(network))}
        save_program(program, draft, extra)
        sizes = other_sizes(network)
        return _checked(network, torch.export.load(draft).module(), path, sizes)


def save_program(program: Any, path: Path, extra: dict[str, str]) -> None:
    """Write a file of torch.export. Torch's own writer aborts the process on a full disk."""
    content = io.BytesIO()
    torch.export.save(program, content, extra_files=extra)
    path.write_bytes(content.getbuffer())


def export_onnx(network: nn.Module, path: str | Path) -> float:
    """Write the network as ONNX; the largest difference of onnxruntime's outputs to its own.

    Beyond 2 GB the weights are beside it, in <path>.data. Raises InputError as `export_program`.
    """
    with new_file(Path(path)) as draft:
        _write_network(network, draft)
        return _checked(network, onnx_network(draft), path)


def export_int8(
    network: nn.Module,
    path: str | Path,
    images: Tensor,
    min_agreement: float = 0.99,
    batch_size: int = 8,
) -> dict[str, float]:
    """Write the network as ONNX in int8, and compare it on images (N, 3, H, W).

    {"agreement", "least_agreement"}: mean and least `agreement` with the features of float32; of a
    classifier "same_class" too, the share of the images whose likeliest class is the same.
    Raises InputError, and keeps no file, where the mean agreement is below `min_agreement` or
    there is nothing to quantize. Measured on the processor at hand: without VNNI instructions
    another one may round otherwise.
    """
    with new_file(Path(path)) as draft:
        plain = draft.with_name("float.onnx")
        _write_network(network, plain)
        quantize(plain, draft)
        figures = _compared(graph_of(network), onnx_network(draft), images, batch_size)
        if not figures["agreement"] >= min_agreement:
            raise InputError(
                f"{path} is not kept: its features agree with float32 to "
                f"{figures['agreement']:.4f}, below --min-agreement {min_agreement}; use the onnx "
                "format"
            )
        for file in draft.parent.glob("float.onnx*"):
            file.unlink()
    return figures


def _compared(
    network: Network, rounded: Network, images: Tensor, batch_size: int
) -> dict[str, float]:
    """The figures of `export_int8`."""
    features, *logits = pooled(network, images, batch_size)
    theirs, *their_logits = pooled(rounded, images, batch_size)
    cosines = agreement(features, theirs)
    figures = {"agreement": float(cosines.mean()), "least_agreement": float(cosines.min())}
    for ours, others in zip(logits, their_logits, strict=True):
        same = ours.argmax(1) == others.argmax(1)
        figures["same_class"] = float(same.float().mean())
    return figures


def onnx_network(path: str | Path) -> Network:
    """An ONNX file as a function from images to its outputs, on the CPU."""
    session = open_onnx(path)

    def network(images: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(None, {"images": images.numpy()})))

    return network


def pooled(network: Network, images: Tensor, batch_size: int) -> list[Tensor]:
    """Images (N, 3, H, W) -> the mean over the tokens (N, C), and what else there is (N, ...)."""
    parts = []
    with torch.inference_mode():
        for part in images.split(batch_size):
            tokens, *rest = as_tuple(network(part))
            parts.append([tokens.mean(1), *rest])
    return [torch.cat(values) for values in zip(*parts, strict=True)]


def _write_network(network: nn.Module, path: Path) -> None:
    """The graph of a network as ONNX, from `images` to its outputs."""
    example, names = noise(network, 2), output_names(network)
    write_onnx(graph_of(network), example, path, "images", names, metadata(network))


def write_onnx(
    network: nn.Module,
    example: Tensor,
    path: Path,
    input_name: str,
    output_names: list[str],
    about: dict[str, str],
) -> None:
    """Write a network of one input as ONNX, for batches of any size; ``about``: its metadata.

    Beyond 2 GB the weights are beside it, in <path>.data. Raises InputError where the network, or
    a package that is not installed, does not let it.
    """
    for package in ("onnx", "onnxscript"):
        import_onnx(package)
    names = {"input_names": [input_name], "output_names": output_names}
    try:
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: free_batch()},),
            **names,
        )
    except Exception as error:
        raise InputError(f"torch.onnx cannot take this network: {first_line(error)}") from error
    program.model.metadata_props.update(about)
    program.save(path, external_data=_is_large(network))


def quantize(plain: Path, path: Path) -> None:
    """An ONNX file with the weights of its matrix products in int8, a scale for each column.

    What they multiply is rounded to 8 bits as it comes, one scale for a whole batch. Raises
    InputError where there is no such product.
    """
    onnx, quantization = import_onnx("onnx"), import_onnx("onnxruntime.quantization")
    options = {"per_channel": True, "weight_type": quantization.QuantType.QInt8}
    large = plain.with_name(plain.name + ".data").exists()
    logging.disable(logging.WARNING)  # it advises shape inference, which the exporter has done
    try:
        quantization.quantize_dynamic(
            plain, path, list(QUANTIZED), use_external_data_format=large, **options
        )
    finally:
        logging.disable(logging.NOTSET)
    model = onnx.load(path, load_external_data=False)
    if not any(node.op_type == "MatMulInteger" for node in model.graph.node):
        raise InputError(
            "int8 would change nothing: this network has no matrix product with fixed weights, "
            "and convolutions stay float32; use the onnx format"
        )


def _checked(
    network: nn.Module, written: Network, path: str | Path, sizes: Sequence[Size] = ()
) -> float:
    """The largest difference, relative to an output's largest value where that is above 1.

    Over BATCHES at the network's own size, and over the other `sizes`.
    """
    graph = graph_of(network)
    inputs = [noise(network, batch) for batch in BATCHES]
    inputs += [noise(network, batch, size) for batch in BATCHES for size in sizes]
    differences = []
    for images in inputs:
        with torch.inference_mode():
            pairs = zip(as_tuple(graph(images)), as_tuple(written(images)), strict=True)
        for expected, found in pairs:
            scale = max(1.0, float(expected.abs().max()))
            differences.append(float((found - expected).abs().max()) / scale)
    if not max(differences) < TOLERANCE:
        raise InputError(
            f"{path} is not kept: it differs from the network by {max(differences):.2g}, more than "
            f"{TOLERANCE:.0e}"
        )
    return max(differences)


def _is_large(network: nn.Module) -> bool:
    return sum(p.numel() * p.element_size() for p in network.parameters()) > LARGEST_PROTOBUF


def import_onnx(package: str):
    """onnx, onnxscript or onnxruntime. Raises InputError where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"ONNX needs {package}: pip install -e '.[export]'") from error


def open_onnx(path: str | Path, cuda: bool = False):
    """onnxruntime's session of an ONNX file, on the CPU; ``cuda``: on a GPU where it has one.

    Raises InputError where there is no such file, or onnxruntime cannot open it.
    """
    onnxruntime = import_onnx("onnxruntime")
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist: give an ONNX file")
    wanted = ["CUDAExecutionProvider"] * cuda + ["CPUExecutionProvider"]
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # of onnxruntime's own kinds
        reason = unreadable(path, error)
        raise InputError(f"{path} cannot be opened by onnxruntime: {reason}") from error


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A path to write to; what is there and beside it at the end is moved to where it belongs.

    Raises InputError where there is something at ``path``, and where there is no room for it.
    """
    check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder,
        room_for(path),
    ):
        yield Path(folder) / path.name
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.with_name(file.name))
