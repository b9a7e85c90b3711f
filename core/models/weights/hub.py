"""Sharing a backbone: the Hub's repository is the folder that `save_backbone` writes.

    backbone.save_pretrained(FOLDER)        config.json, model.safetensors, README.md
    backbone.push_to_hub("user/name")       the same, in a repository
    Mixer.from_pretrained("user/name")      or of a folder; strict, and never a pickle

These are the methods of huggingface_hub's `ModelHubMixin`, with its arguments, on its `HfApi`. Not
inherited from it: importing it would make `import core` slower, and its config.json is another.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import InputError, first_line

PREFIX = "hub:"  # before user/name, wherever a path of weights is asked for
FILES = ["config.json", "model.safetensors"]


class HubMixin:
    """save_pretrained, push_to_hub and from_pretrained for a backbone."""

    origin = ""  # what `load_backbone` read the weights from; of a run its checkpoint

    def save_pretrained(self, folder: str | Path) -> Path:
        """`save_backbone` into a new folder. Raises InputError where it exists."""
        from core.models.weights.reading import save_backbone

        return save_backbone(self, folder)

    def push_to_hub(
        self,
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
        from huggingface_hub import HfApi

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

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path, *, image_size=None, **download):
        """The backbone in a folder, or in the repository user/name, in eval mode.

        download: revision, token, cache_dir, force_download, local_files_only, as
        `huggingface_hub.snapshot_download` takes them. Raises InputError for another class.
        """
        from core.models.weights.reading import load_backbone

        folder = Path(name_or_folder)
        if not folder.exists():
            folder = hub_folder(str(name_or_folder), **download)
        backbone = load_backbone(folder, image_size)
        if not isinstance(backbone, cls):
            there = type(backbone).__name__
            raise InputError(
                f"{name_or_folder} holds a {there}, no {cls.__name__}: open it with "
                f"{there}.from_pretrained or core.load_backbone"
            )
        return backbone.eval()


def hub_folder(repo_id: str, **download) -> Path:
    """The local copy of a repository's config.json and model.safetensors, fetched where needed.

    Raises InputError where they can be had neither from the Hub nor from its cache.
    """
    from huggingface_hub import snapshot_download  # slow to import

    try:
        return Path(snapshot_download(repo_id, allow_patterns=FILES, **download))
    except Exception as error:
        raise InputError(
            f"{repo_id} is no folder, and could not be had from the Hub ({first_line(error)}): "
            f"fetch {' and '.join(FILES)} of https://huggingface.co/{repo_id} where it can be "
            "reached, and give the folder with them"
        ) from error
