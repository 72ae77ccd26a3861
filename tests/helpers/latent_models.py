"""Inputs for small Stable Diffusion models, and functions that damage their folders, for tests of latent backbones."""

import json
import shutil

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "diffusion_pytorch_model.safetensors"
TEXT_WEIGHTS = ("text_encoder", "model.safetensors")


def images(count=2, side=16):
    """Return a (count, 3, side, side) tensor of random images with values from -1 to 1."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def latents(count=2, side=16):
    """Return a (count, 4, side, side) tensor of random latents."""
    return torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(2))


def embed(pipeline, prompt):
    """Return the embedding of a prompt, computed by the pipeline."""
    with torch.no_grad():
        return pipeline.encode_prompt(prompt, "cpu", 1, do_classifier_free_guidance=False)[0]


def edit(file, **changes):
    """Change entries of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_tensors(file, change):
    """Replace the tensors of a safetensors file by ``change(tensors)``."""
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def truncate(*parts):
    """Return a function that removes the last 100 bytes of a file in a folder."""

    def damage(folder):
        file = folder.joinpath(*parts)
        file.write_bytes(file.read_bytes()[:-100])

    return damage


def drop_tensor(*parts):
    """Return a function that removes the first tensor of a file in a folder."""
    return lambda f: change_tensors(f.joinpath(*parts), lambda tensors: dict(sorted(tensors.items())[1:]))


def reshape_tensor(*parts):
    """Return a function that changes the shape of the first tensor of a file in a folder."""

    def reshape(tensors):
        return {name: torch.zeros(3) if i == 0 else t for i, (name, t) in enumerate(sorted(tensors.items()))}

    return lambda f: change_tensors(f.joinpath(*parts), reshape)


def store_prompt(embedding, **options):
    """Return a function that replaces the text encoder in a folder by a file with one embedding."""

    def damage(folder):
        shutil.rmtree(folder / "text_encoder")
        save_file({"embedding": embedding}, folder / "prompt.safetensors", **options)

    return damage
