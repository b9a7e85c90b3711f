"""Everything that the age of mmpose 1.3.2 (July 2024) asks for, in one place.

The app imports mmpose's parts by name from here; each is looked up on first use, because
`mmpose.models` and `mmpose.visualization` take seconds.
Wherever the real package is installed and imports, it is used and no placeholder is made.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

_HOME = {  # name here -> module that defines it
    "BaseDataset": "mmengine.dataset",
    "MSRAHeatmap": "mmpose.codecs",
    "SimCCLabel": "mmpose.codecs",
    "UDPHeatmap": "mmpose.codecs",
    "AicDataset": "mmpose.datasets.datasets.body",
    "CocoDataset": "mmpose.datasets.datasets.body",
    "CrowdPoseDataset": "mmpose.datasets.datasets.body",
    "MpiiDataset": "mmpose.datasets.datasets.body",
    "OCHumanDataset": "mmpose.datasets.datasets.body",
    "LoadImage": "mmpose.datasets.transforms",
    "GetBBoxCenterScale": "mmpose.datasets.transforms",
    "RandomFlip": "mmpose.datasets.transforms",
    "RandomHalfBody": "mmpose.datasets.transforms",
    "RandomBBoxTransform": "mmpose.datasets.transforms",
    "TopdownAffine": "mmpose.datasets.transforms",
    "GenerateTarget": "mmpose.datasets.transforms",
    "PackPoseInputs": "mmpose.datasets.transforms",
    "oks_nms": "mmpose.evaluation.functional",
    "CocoMetric": "mmpose.evaluation.metrics",
    "MpiiPCKAccuracy": "mmpose.evaluation.metrics",
    "parse_pose_metainfo": "mmpose.datasets.datasets.utils",
}


def _imports(*names: str) -> bool:
    """Whether the real modules can be used."""
    try:
        for name in names:
            import_module(name)
    except (ImportError, ValueError):  # ValueError: a wheel built against numpy 1 under numpy 2
        return False
    return True


def _placeholder(name: str, **members: Any) -> None:
    """Make `import name` give a module with these members."""
    module = ModuleType(name, f"placeholder of {__name__}")
    module.__path__ = []  # a package, so that submodules which it lacks are an ImportError
    module.__spec__ = ModuleSpec(name, None)  # importlib.util.find_spec raises without one
    module.__dict__.update(members)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def _answer_mmcv_ops() -> None:
    # mmpose.models imports EDPose's head, which names one compiled operator. mmcv-lite has none,
    # and mmcv's operators do not compile against torch >= 2.14 (its build asks for C++17).
    if not _imports("mmcv.ops"):
        _placeholder("mmcv.ops", MultiScaleDeformableAttention=type("Unavailable", (), {}))


def _answer_mmdet() -> None:
    # mmpose.models imports RTMO's head, which takes two names of mmdet; nothing here runs them.
    if not _imports("mmdet.utils"):
        _placeholder("mmdet")
        _placeholder("mmdet.utils", ConfigType=dict, reduce_mean=lambda tensor: tensor)


def _answer_xtcocotools() -> None:
    # xtcocotools' wheel is built against numpy 1 ("numpy.dtype size changed"). It is a fork of
    # pycocotools that takes two more arguments, so pycocotools answers for it.
    if _imports("xtcocotools.coco", "xtcocotools.cocoeval", "xtcocotools.mask"):
        return
    from pycocotools import coco, cocoeval, mask

    class COCO(coco.COCO):
        def __init__(self, annotation_file=None, test_index=None):
            super().__init__(annotation_file)

    class COCOeval(cocoeval.COCOeval):
        def __init__(self, gt=None, dt=None, iouType="keypoints", sigmas=None, use_area=True):
            if not use_area:
                raise NotImplementedError("use_area=False is in the real xtcocotools only")
            super().__init__(gt, dt, iouType)
            if sigmas is not None:
                self.params.kpt_oks_sigmas = np.asarray(sigmas)

    _placeholder("xtcocotools", mask=mask)
    _placeholder("xtcocotools.coco", COCO=COCO)
    _placeholder("xtcocotools.cocoeval", COCOeval=COCOeval)
    sys.modules["xtcocotools.mask"] = mask


def _answer_torch_load() -> None:
    # Since torch 2.6 torch.load takes tensors alone, unless told what else is harmless. Checkpoints
    # of mmengine also hold its log: arrays, and HistoryBuffers with the names of their methods.
    import torch
    from mmengine.logging.history_buffer import HistoryBuffer

    def method(owner: type, name: str) -> Any:
        if owner is not HistoryBuffer:
            raise ValueError(f"this checkpoint asks for {name!r} of {owner}: it is not mmengine's")
        return getattr(owner, name)

    array, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    functions = [
        (function, f"{home}.{function.__name__}")
        for function in (array, scalar)
        for home in ("numpy.core.multiarray", "numpy._core.multiarray")  # of numpy 1, of numpy 2
    ]
    types = {type(np.dtype(code)) for code in np.typecodes["All"]}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (method, "builtins.getattr"),
            *functions,
            np.ndarray,
            np.dtype,
            *types,
            bytes,
        ]
    )


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        # mmengine warns that pkg_resources is deprecated, mmcv that it is the lite edition.
        warnings.simplefilter("ignore")
        value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _answer_mmcv_ops()
    _answer_mmdet()
    _answer_xtcocotools()
    _answer_torch_load()
