"""Models on the Hugging Face Hub, by its mixin; needs `pip install 'polypose[hub]'`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download

from polypose.model import Model, load
from polypose.packed import NAME


class Shared(ModelHubMixin, library_name="polypose", tags=["human-pose", "3d-pose"], license="apache-2.0"):
    """A model with `from_pretrained`, `save_pretrained` and `push_to_hub`, which hold its one file."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def _save_pretrained(self, save_directory: Path) -> None:
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
            return cls(load(model_id))
        file = hf_hub_download(
            model_id,
            NAME,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(load(file))


def fetched(name: str) -> Model:
    """A model by its name on the hub, "user/name".

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
    return shared.model
