"""Weights from the Hub: a repository is the folder that `save_backbone` writes."""

from __future__ import annotations

from pathlib import Path

from core.errors import InputError, first_line

PREFIX = "hub:"  # before user/name, wherever a path of weights is asked for
FILES = ["config.json", "model.safetensors"]


def hub_folder(repo_id: str, **download) -> Path:
    """The local copy of a repository's config.json and model.safetensors, fetched where needed.

    download: revision, token, cache_dir, force_download, local_files_only, as
    `huggingface_hub.snapshot_download` takes them. Raises
    InputError where they can be had neither from the Hub nor from its cache.
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
