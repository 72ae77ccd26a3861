"""The weight files of a diffusers network: one file, several shards with an index, or a variant such as ``fp16``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from hsifeat.backbones.diffusers_folder import read_json
from hsifeat.backbones.weights import build_network, digest_files, load_pretrained
from hsifeat.errors import BackboneError

if TYPE_CHECKING:
    import torch

_BASE = "diffusion_pytorch_model"
_SUFFIXES = (".safetensors", ".bin")
_SHARD = re.compile(rf"{_BASE}(\.\w+)?-[0-9]+-of-[0-9]+\.(safetensors|bin)")
# File names of a variant of the weights, such as ``fp16``: the weights in one file, or the index of their shards.
_VARIANT = re.compile(
    rf"{_BASE}\.(?P<variant>\w+)\.(safetensors|bin)|{_BASE}\.(safetensors|bin)\.index\.(?P<sharded>\w+)\.json"
)


@contextmanager
def unchanged_files(
    weights: Sequence[Path], digest: str, config_file: Path | None = None, config: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Check, after a ``with`` block has loaded a network, that its files are still those that its identity describes.

    Parameters
    ----------
    weights : sequence of Path
        Files of the weights.
    digest : str
        Digest of the weights in the identity of the backbone, from `digest_files`. It must be computed before the block loads
        the files, because `digest_files` reports damaged files more clearly.
    config_file : Path, optional
        JSON file with the configuration of the network. [default: the network has no such file]
    config : mapping, optional
        Content of `config_file` in the identity of the backbone.

    Raises
    ------
    BackboneError
        If the weights or the configuration have changed. The key of a store would then describe other weights than those used.
    """
    yield
    changed = weights[0] if digest_files(weights) != digest else None
    if changed is None and config_file is not None and read_json(config_file) != config:
        changed = config_file
    if changed is not None:
        raise BackboneError(
            f"{changed} was replaced since the backbone was opened: open the backbone again, or prepare the extraction again"
        )


@dataclass(frozen=True)
class WeightFiles:
    """The weight files of one network.

    Attributes
    ----------
    files : tuple of Path
        One file, or all shards.
    index : Path or None
        File that maps the names of tensors to shards; None for a single file.
    """

    files: tuple[Path, ...]
    index: Path | None = None

    @classmethod
    def find(cls, folder: Path) -> Self:
        """Find the weights in a folder. If no weights have the standard names, take the only variant, such as ``fp16``.

        Raises
        ------
        BackboneError
            If the folder has no weights. If the folder has several variants, and no weights under the standard names.
            If a shard is missing.
        """
        for suffix in _SUFFIXES:
            for file in (folder / f"{_BASE}{suffix}", folder / f"{_BASE}{suffix}.index.json"):
                if file.exists():
                    return cls._open(file)
        variants: dict[str, Path] = {}
        for file in sorted(folder.iterdir()):
            if match := _VARIANT.fullmatch(file.name):
                variants.setdefault(match["variant"] or match["sharded"], file)
        if len(variants) > 1:
            raise BackboneError(
                f"{folder} holds the weights in {len(variants)} variants, {', '.join(variants)}: name the file of one of them"
            )
        if not variants:
            raise BackboneError(f"{folder} holds no weights: it needs {_BASE}.safetensors, its shards, or {_BASE}.bin")
        return cls._open(next(iter(variants.values())))

    @classmethod
    def _open(cls, file: Path) -> Self:
        if file.suffix != ".json":
            return cls((file,))
        shards = read_json(file).get("weight_map")
        names = sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []
        if not names or not all(map(_SHARD.fullmatch, names)):
            raise BackboneError(f"{file} does not list the shards of {_BASE}: save the model again")
        if missing := [name for name in names if not (file.parent / name).is_file()]:
            raise BackboneError(
                f"{file.parent} lacks {missing[0]}, which {file.name} lists: copy the whole folder again"
            )
        return cls(tuple(file.parent / name for name in names), file)

    @property
    def suffix(self) -> str:
        """Suffix of the files: ``.safetensors`` or ``.bin``."""
        return self.files[0].suffix

    def digest(self) -> str:
        """Return the digest of all tensors. The digest does not depend on how the tensors are divided into files.

        Raises
        ------
        BackboneError
            If a file is damaged, or contains objects other than tensors.
        """
        return digest_files(self.files)

    def load(self, network_class: Any, config_file: Path, **options: Any) -> torch.nn.Module:
        """Load the network with diffusers. Call `digest` first: it reports damaged files more clearly.

        Parameters
        ----------
        network_class : type
            A class with ``from_pretrained``.
        config_file : Path
            The configuration of the network.
        **options
            Further arguments of ``from_pretrained``.

        Raises
        ------
        BackboneError
            If the weights are damaged or do not fit the configuration.
        """
        from diffusers.utils.logging import disable_progress_bar

        disable_progress_bar()  # of loading shards
        self._check_size(network_class, config_file)
        with TemporaryDirectory() as folder:
            # diffusers expects configuration and weights in one folder, under fixed names.
            links = {"config.json": config_file}
            if self.index is None:
                links[f"{_BASE}{self.suffix}"] = self.files[0]
            else:
                links |= {f"{_BASE}{self.suffix}.index.json": self.index, **{file.name: file for file in self.files}}
            for name, source in links.items():
                (Path(folder) / name).symlink_to(source.resolve())
            return load_pretrained(network_class, folder, self.index or self.files[0], self.suffix, **options)

    def _check_size(self, network_class: Any, config_file: Path) -> None:
        """Raise `BackboneError` if the network has more parameters than the files have bytes. No memory is allocated."""
        import torch

        with torch.device("meta"):
            network = build_network(network_class, read_json(config_file), config_file)
        count = sum(tensor.numel() for tensor in network.parameters())
        size_bytes = sum(file.stat().st_size for file in self.files)
        if count > size_bytes:
            raise BackboneError(
                f"{config_file} describes a network of {count} parameters, but the weights have only {size_bytes} bytes"
            )
