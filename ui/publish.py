"""Publish a scene to a dataset on the Hugging Face Hub: the only module that uploads, through `huggingface_hub`.

Available if the host names a dataset in `FLASHWORLD_PUBLISH_REPO` (the Hub's client then uses the host's own token), or
if visitors can sign in, each to their own dataset. The visitor's picture is not uploaded; the scene and its
video show what was generated from it.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

from flashworld.errors import WriteError
from ui.contract import FileName, Result

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

REPO_VARIABLE = "FLASHWORLD_PUBLISH_REPO"
SIGN_IN_VARIABLE = "OAUTH_CLIENT_ID"
"""Set by the Hub in a Space whose README has `hf_oauth: true`."""
OWN_NAME = "flashworld-scenes"
"""The dataset of a visitor who is signed in."""
FILES: dict[FileName, str] = {
    "ply": "scene.ply",
    "spz": "scene.spz",
    "video": "video.mp4",
    "poster": "poster.webp",
    "path": "path.json",
    "request": "request.json",
    "html": "scene.html",
}
CARD = """---
tags: [3d, gaussian-splatting, flashworld]
---

# Scenes made with FlashWorld

One folder a scene in `scenes/`: the Gaussians (`scene.ply`, `scene.spz`), the film, the camera path and the request.
`scene.html` is the scene and its viewer in one page: download it and open it in any browser.
"""


def host_repo() -> str | None:
    """The host's dataset for all visitors, "owner/name", or None."""
    return os.environ.get(REPO_VARIABLE) or None


def visitors_sign_in() -> bool:
    """Whether visitors can sign in here."""
    return bool(os.environ.get(SIGN_IN_VARIABLE))


def own_repo(user: str) -> str:
    """The dataset of a visitor who is signed in."""
    return f"{user}/{OWN_NAME}"


def folder_name(result: Result) -> str:
    """A new folder for a scene in a dataset, by time and seed."""
    return f"scenes/{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{result.seed}-{secrets.token_hex(2)}"


def additions(result: Result, folder: str) -> list[CommitOperationAdd]:
    """The files that a commit adds for a scene; deleted files are skipped."""
    from huggingface_hub import CommitOperationAdd

    return [
        CommitOperationAdd(f"{folder}/{name}", str(result.files[kind]))
        for kind, name in FILES.items()
        if kind in result.files and result.files[kind].is_file()
    ]


def publish(result: Result, repo_id: str, token: str | None = None) -> str:
    """Upload a scene, in one commit; the dataset is created if it does not exist.

    Args:
        result: The result; its files must still exist.
        repo_id: "owner/name".
        token: The visitor's; None for the one that the Hub's client finds on this machine.

    Returns:
        The URL of the scene's folder on the Hub.

    Raises:
        WriteError: there is nothing left to upload, or the Hub rejected the upload.
    """
    import httpx2
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    folder = folder_name(result)
    added = additions(result, folder)
    if not added:
        raise WriteError("publishing: the scene's files are gone, generate it again")
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, repo_type="dataset", exist_ok=True)
        if not api.file_exists(repo_id, "README.md", repo_type="dataset"):
            added.append(CommitOperationAdd("README.md", CARD.encode()))
        api.create_commit(repo_id, added, commit_message=f"Add {folder}", repo_type="dataset")
    except (HfHubHTTPError, httpx2.HTTPError, HFValidationError, OSError) as error:
        raise WriteError(f"publishing to {repo_id}: {type(error).__name__}: {str(error)[:200]}") from error
    return f"{api.endpoint}/datasets/{repo_id}/tree/main/{folder}"
