"""Saving and sharing a backbone: the Hub's repository is the folder that `save_backbone` writes.

    backbone.save_pretrained(FOLDER)        config.json, model.safetensors, README.md
    backbone.push_to_hub("user/name")       the same, in a repository
    Mixer.from_pretrained("user/name")      or of a folder; strict, and never a pickle

These are the methods of huggingface_hub's `ModelHubMixin`, with its arguments, on its `HfApi`. Not
inherited from it: importing it would make `import core` slower, and its config.json is another.
`core/models/__init__.py` puts them on the networks (`add_sharing`), which know nothing of files.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from torch import nn

from core.errors import InputError, first_line
from core.files import whole_folder
from core.models.building import build_backbone, network_class
from core.models.weights.card import model_card
from core.models.weights.hub import hub_folder
from core.models.weights.names import is_kept, kept_folder
from core.models.weights.reading import read_stored

DOWNLOAD = ("revision", "token", "cache_dir", "force_download", "local_files_only")
ELSEWHERE = {  # words of others' `from_pretrained`, and where ours has them
    "num_classes": "a head comes with core.models.classifier.create_classifier",
    "in_channels": "the folder says it; others need create_backbone(name, in_channels=...)",
    "in_chans": "the folder says it; others need create_backbone(name, in_channels=...)",
    "img_size": "say image_size",
    "dtype": "say torch_dtype",
    "device_map": "move it with .to(device)",
    "config": "the folder says it",
}


def add_sharing(*networks: type[nn.Module]) -> None:
    """Give these classes save_pretrained, push_to_hub, from_pretrained, and an `origin`."""
    for network in networks:
        network.origin = ""  # what the weights were read from; of a run its checkpoint
        network.save_pretrained = save_backbone
        network.push_to_hub = push_to_hub
        network.from_pretrained = classmethod(from_pretrained)


def save_backbone(backbone: nn.Module, folder: str | Path) -> Path:
    """Write config.json, model.safetensors and README.md (a model card) into a new folder.

    Of a subclass of a network the state has its own parts too, and config.json its name. The
    folder appears whole or not at all. Raises InputError where it exists.
    """
    with whole_folder(folder) as draft:
        (draft / "config.json").write_text(json.dumps(_info(backbone), indent=2))
        state = {name: value.contiguous() for name, value in backbone.state_dict().items()}
        save_file(state, draft / "model.safetensors")
        (draft / "README.md").write_text(model_card(backbone))
    return Path(folder)


def push_to_hub(
    self: nn.Module,
    repo_id: str,
    *,
    commit_message: str = "Upload a backbone",
    private: bool | None = None,
    token: str | None = None,
    branch: str | None = None,
    create_pr: bool | None = None,
) -> str:
    """Write the folder into the repository, created where there is none; the commit's address.

    The model card tells what the run's record holds, its command and paths too: read it in a
    `save_pretrained` folder first. Raises InputError where the Hub refuses or is out of reach.
    """
    from huggingface_hub import HfApi  # slow to import

    with TemporaryDirectory() as parent:
        folder = self.save_pretrained(Path(parent, "backbone"))
        try:
            api = HfApi(token=token)
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
            )
        except Exception as error:
            raise InputError(
                f"{repo_id} could not be written ({first_line(error)}): log in with "
                "`hf auth login`, or save_pretrained(FOLDER) and upload that by hand"
            ) from error
    return str(commit)


def from_pretrained(
    cls: type[nn.Module],
    name_or_folder: str | Path,
    *,
    image_size=None,
    torch_dtype: torch.dtype | str | None = None,
    **download,
) -> nn.Module:
    """The network in a folder, of a kept name, or in the repository user/name, in eval mode.

    A subclass gets its own parts back too, if it is made from the same configuration as its
    parent, `MyNet(config)`. torch_dtype: of the parameters, torch.float16 or "float16"; as they
    are stored in full precision without it. download: DOWNLOAD, as `snapshot_download` of
    huggingface_hub takes them. Raises InputError for another class, and for other words.
    """
    _check_words(download)
    dtype = _dtype(torch_dtype)
    folder = _folder(name_or_folder, download)
    stored = read_stored(folder, image_size)
    network = network_class(stored.description)
    if not issubclass(cls, network):
        there = stored.owner or network.__name__
        raise InputError(
            f"{name_or_folder} holds a {there}, no {cls.__name__}: open it with "
            f"{there}.from_pretrained or core.load_backbone"
        )
    try:
        backbone = build_backbone(stored, image_size, kind=cls)
    except (InputError, TypeError) as error:
        reason = str(error) if isinstance(error, InputError) else first_line(error)
        raise InputError(f"{reason}{_way_out(cls, network, stored.owner)}") from error
    return (backbone if dtype is None else backbone.to(dtype)).eval()


def _info(backbone: nn.Module) -> dict:
    """config.json: how to build the backbone, and the class where it is one of somebody else's."""
    description, kind = backbone.describe(), type(backbone)
    known = kind is network_class(description)
    return {"backbone": description} | ({} if known else {"class": kind.__name__})


def _check_words(download: dict) -> None:
    for word in download:
        if word not in DOWNLOAD:
            hint = f"{ELSEWHERE[word]}; " if word in ELSEWHERE else ""
            raise InputError(
                f"from_pretrained knows no {word}: {hint}it takes image_size, torch_dtype, "
                f"{', '.join(DOWNLOAD)}"
            )


def _folder(name_or_folder: str | Path, download: dict) -> Path:
    if is_kept(name_or_folder):
        return kept_folder(name_or_folder)
    folder = Path(name_or_folder)
    if not folder.exists():
        return hub_folder(str(name_or_folder), **download)
    if download.get("revision"):
        raise InputError(
            f"{folder} is a folder here: revision={download['revision']!r} is of a repository"
        )
    return folder


def _dtype(name: torch.dtype | str | None) -> torch.dtype | None:
    if name is None:
        return None
    dtype = getattr(torch, name, None) if isinstance(name, str) else name
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(
            f"torch_dtype is {name!r}; choose torch.float32, torch.float16 or torch.bfloat16"
        )
    return dtype


def _way_out(cls: type, network: type, owner: str) -> str:
    """What to do where a class and a folder do not fit each other."""
    mine = cls.__name__
    if cls is not network:
        return (
            f"; {mine}.from_pretrained opens what a {mine} saved, and makes it as {mine} of what "
            f"{network.__name__} is made of: else build it yourself, and load_state_dict"
        )
    if owner:
        return (
            f"; it holds a {owner}: open it with {owner}.from_pretrained, or its backbone alone "
            "with core.load_backbone"
        )
    return ""
