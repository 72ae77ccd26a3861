"""The text condition of a latent model: an embedding from the model's text encoder, or from a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.backbones.diffusers_folder import drop_private_keys, read_json
from hsifeat.backbones.locked_imports import load_transformers, silent_transformers
from hsifeat.backbones.network import clone_weights, deterministic_inference
from hsifeat.backbones.weight_files import unchanged_files
from hsifeat.backbones.weights import digest_file, digest_tensors, load_pretrained
from hsifeat.errors import BackboneError, error_summary, raise_resource_error
from hsifeat.files import open_safetensors

if TYPE_CHECKING:
    import torch

PROMPT_FILE = "prompt.safetensors"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
# Keys of the text encoder's configuration that do not affect the embedding.
_METADATA_KEYS = {"architectures", "dtype", "torch_dtype", "transformers_version"}


class Prompt(Protocol):
    """A text and its embedding."""

    def identity(self) -> dict[str, str]:
        """Return the text of the prompt, and a digest of everything that determines its embedding."""
        ...

    def embed(self) -> torch.Tensor:
        """Return the embedding of the text, a (1, tokens, width) float32 tensor on the CPU."""
        ...


def find_prompt(folder: Path, text: str | None, width: int) -> Prompt:
    """Return the prompt of a model. The embedding comes from the text encoder of the model, or from a file.

    Parameters
    ----------
    folder : Path
        Model folder with ``text_encoder/`` and ``tokenizer/``, or with ``prompt.safetensors``. This file contains a
        tensor ``embedding`` (1, tokens, width) and, as the metadata entry ``prompt``, the text of the prompt.
    text : str, optional
        The prompt. [default: the empty text if the model has a text encoder, otherwise the text in
        ``prompt.safetensors``]
    width : int
        Number of channels per token that the denoiser takes.

    Raises
    ------
    BackboneError
        If the folder has neither a text encoder nor ``prompt.safetensors``. If the text encoder or the file is damaged.
        If the text encoder is not a CLIP text encoder. If the embedding does not have `width` channels per token. If
        the file contains a text other than `text`.
    """
    if (folder / "text_encoder").is_dir():
        return EncodedPrompt(folder, text or "", width)
    if (folder / PROMPT_FILE).exists():
        return StoredPrompt(folder / PROMPT_FILE, text, width)
    raise BackboneError(
        f"{folder} has neither text_encoder/ nor {PROMPT_FILE}: a latent model needs the embedding of a text, even of an empty one"
    )


@dataclass(frozen=True)
class EncodedPrompt:
    """A text that the model's tokenizer and CLIP text encoder embed, as in diffusers' pipelines.

    The digest in `identity` covers the weights and the configuration of the text encoder, and the tokens. It does not
    cover the embedding, because the last bits of the embedding may differ between machines.

    Attributes
    ----------
    folder : Path
        Model folder with ``text_encoder/`` and ``tokenizer/``.
    text : str
        The prompt.
    width : int
        Number of channels per token that the denoiser takes.
    """

    folder: Path
    text: str
    width: int

    def __post_init__(self) -> None:
        model_type = self._config.get("model_type", "model without a type")
        if model_type != "clip_text_model":
            raise BackboneError(
                f"{self._encoder} holds a {model_type}; it must be a CLIPTextModel, as in Stable Diffusion"
            )
        if self._config.get("hidden_size") != self.width:
            raise BackboneError(
                f"{self._encoder} gives {self._config.get('hidden_size')} channels per token, but the U-Net takes {self.width}: "
                "they belong to different models"
            )
        if not any(all((self._tokenizer / name).exists() for name in names) for names in _VOCABULARIES):
            raise BackboneError(
                f"{self._tokenizer} holds no tokenizer: it needs tokenizer.json, or vocab.json and merges.txt"
            )
        _ = self._weights_file

    def identity(self) -> dict[str, str]:
        """Return the text of the prompt, and a digest of everything that determines its embedding."""
        content = {
            "weights": self._digest,
            "config": {
                name: value for name, value in drop_private_keys(self._config).items() if name not in _METADATA_KEYS
            },
            "tokens": self._tokens,
        }
        return {
            "prompt": self.text,
            "embedding": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        }

    def embed(self) -> torch.Tensor:
        """Return the embedding of the text, a (1, tokens, width) float32 tensor on the CPU."""
        import torch

        encoder = self._load()
        ids = torch.tensor([self._tokens["input_ids"]])
        # Stable Diffusion attends to the padding too, unless its configuration sets use_attention_mask.
        mask = torch.tensor([self._tokens["attention_mask"]]) if self._config.get("use_attention_mask") else None
        with deterministic_inference("cpu"):
            embedding: torch.Tensor = encoder(ids, attention_mask=mask)[0]
        return embedding

    @property
    def _encoder(self) -> Path:
        return self.folder / "text_encoder"

    @property
    def _tokenizer(self) -> Path:
        return self.folder / "tokenizer"

    @cached_property
    def _config(self) -> dict[str, Any]:
        return read_json(self._encoder / "config.json")

    @cached_property
    def _weights_file(self) -> Path:
        for name in _WEIGHTS:
            if (self._encoder / name).exists():
                return self._encoder / name
        raise BackboneError(f"{self._encoder} holds no weights: it needs {' or '.join(_WEIGHTS)}")

    @cached_property
    def _digest(self) -> str:
        return digest_file(self._weights_file)

    @cached_property
    def _tokens(self) -> dict[str, list[int]]:
        load_transformers()
        from transformers import CLIPTokenizer

        try:
            tokenizer = CLIPTokenizer.from_pretrained(self._tokenizer, local_files_only=True)
            length = min(tokenizer.model_max_length, int(self._config.get("max_position_embeddings", 77)))
            count = len(tokenizer(self.text)["input_ids"])
            tokens = tokenizer(self.text, padding="max_length", max_length=length, truncation=True)
        except Exception as error:  # damaged files raise errors of many classes
            raise_resource_error(error)
            raise BackboneError(f"{self._tokenizer} can't be used: {error_summary(error)}") from error
        if count > length:
            raise BackboneError(
                f"the prompt has {count} tokens, including the start and end tokens, but {self.folder.name} takes {length}: "
                "shorten it"
            )
        if max(tokens["input_ids"]) >= int(self._config.get("vocab_size", 49408)):
            raise BackboneError(
                f"{self._tokenizer} has more tokens than the text encoder of the model: they belong to different models"
            )
        return {name: list(tokens[name]) for name in ("input_ids", "attention_mask")}

    def _load(self) -> torch.nn.Module:
        import torch

        load_transformers()
        from transformers import CLIPTextModel

        file = self._weights_file
        # The digest is read first: it reports a damaged file more clearly than transformers does.
        unchanged = unchanged_files([file], self._digest, self._encoder / "config.json", self._config)
        with unchanged, silent_transformers():
            network = load_pretrained(CLIPTextModel, self._encoder, file, file.suffix, dtype=torch.float32)
        network.eval().requires_grad_(requires_grad=False)
        clone_weights(network)
        return network


@dataclass(frozen=True)
class StoredPrompt:
    """The embedding of one text, read from a file, for a model without a text encoder.

    Attributes
    ----------
    file : Path
        Path of ``prompt.safetensors``.
    text : str or None
        The prompt that the user chose. It must equal the text in the file. None accepts any text in the file.
    width : int
        Number of channels per token that the denoiser takes.
    """

    file: Path
    text: str | None
    width: int

    def __post_init__(self) -> None:
        if self.text is not None and self.text != self._stored[0]:
            raise BackboneError(
                f"{self.file.parent} has no text_encoder/, only the prompt {self._stored[0]!r} in {PROMPT_FILE}; "
                f"leave out {self.text!r}"
            )

    def identity(self) -> dict[str, str]:
        """Return the text of the prompt, and the digest of its embedding."""
        text, embedding = self._stored
        return {"prompt": text, "embedding": digest_tensors([("embedding", embedding)])}

    def embed(self) -> torch.Tensor:
        """Return the embedding of the text, a (1, tokens, width) float32 tensor on the CPU."""
        return self._stored[1].float()

    @cached_property
    def _stored(self) -> tuple[str, torch.Tensor]:
        try:
            with open_safetensors(self.file, "pt") as file:
                text, embedding = (file.metadata() or {}).get("prompt"), file.get_tensor("embedding")
        except Exception as error:  # damaged files raise errors of many classes
            raise_resource_error(error)
            raise BackboneError(f"{self.file} can't be read and may be truncated: {error_summary(error)}") from error
        if text is None or embedding.ndim != 3 or len(embedding) != 1 or embedding.shape[2] != self.width:
            raise BackboneError(
                f"{self.file} contains an embedding of shape {tuple(embedding.shape)} {'without' if text is None else 'with'} the "
                f"metadata entry prompt; required are the shape (1, tokens, {self.width}) and the text as the entry prompt"
            )
        return text, embedding
