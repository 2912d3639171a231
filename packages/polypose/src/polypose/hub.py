"""Models on the Hugging Face Hub, by its mixin; needs `pip install 'polypose[hub]'`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from huggingface_hub import ModelHubMixin, hf_hub_download

from polypose.packed import NAME


class Saves(Protocol):
    """What writes its file into a folder, as `polypose.Model` does."""

    def save(self, path: Path) -> Path: ...


class Shared(ModelHubMixin, library_name="polypose", tags=["human-pose", "3d-pose"], license="apache-2.0"):
    """A model's one file with `from_pretrained`, `save_pretrained` and `push_to_hub`.

    Attributes:
        file: where it lies on this machine, of a model that was fetched.
    """

    def __init__(self, model: Saves | None = None, file: Path | None = None) -> None:
        self.model, self.file = model, file

    def _save_pretrained(self, save_directory: Path) -> None:
        assert self.model is not None
        self.model.save(save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **options: Any,
    ) -> Shared:
        if Path(model_id).is_dir():
            return cls(file=Path(model_id) / NAME)
        file = hf_hub_download(
            model_id,
            NAME,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(file=Path(file))


def fetched(name: str) -> Path:
    """The file of a model by its name on the hub, "user/name".

    Raises:
        FileNotFoundError: it could not be had.
    """
    try:
        shared = Shared.from_pretrained(name)
    except ValueError:
        raise
    except Exception as error:  # the hub's client raises its own and its HTTP library's many types
        raise FileNotFoundError(
            f"{name}: no folder or file, and could not be had from the hub ({type(error).__name__}); give a"
            f" run's folder or a {NAME}"
        ) from error
    assert shared.file is not None
    return shared.file
