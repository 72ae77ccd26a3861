"""Prompts of latent models: text encoders, files with one embedding, and damaged or unsuitable files."""

import json
import shutil
import threading

import pytest
import torch
from safetensors.torch import save_file

from hsifeat.backbones.locked_imports import silent_transformers
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError
from tests.helpers.latent_models import (
    TEXT_WEIGHTS,
    drop_tensor,
    edit,
    embed,
    latents,
    store_prompt,
    truncate,
)
from tests.helpers.two_threads import run_together


def test_another_prompt_gives_other_planes(folder):
    maps = [open_backbone(folder, prompt=p).forward_to(latents(), 9, ["up_blocks.1"]) for p in ("", "a pin")]
    assert not torch.equal(*(result["up_blocks.1"] for result in maps))


def test_embedding_in_a_file_stands_for_the_text_encoder(pipeline, folder, copied):
    expected = open_backbone(folder, prompt="a pin").forward_to(latents(), 9, ["mid_block"])["mid_block"]
    shutil.rmtree(copied / "text_encoder")
    shutil.rmtree(copied / "tokenizer")
    with pytest.raises(BackboneError, match="has neither text_encoder/ nor prompt.safetensors"):
        open_backbone(copied)
    save_file({"embedding": embed(pipeline, "a pin")}, copied / "prompt.safetensors", metadata={"prompt": "a pin"})
    for prompt in (None, "a pin"):
        backbone = open_backbone(copied, prompt=prompt)
        torch.testing.assert_close(
            backbone.forward_to(latents(), 9, ["mid_block"])["mid_block"], expected, rtol=1e-4, atol=1e-5
        )
        assert backbone.identity()["conditioning"]["prompt"] == "a pin"
    with pytest.raises(BackboneError, match="only the prompt 'a pin' in prompt.safetensors; leave out 'a tin'"):
        open_backbone(copied, prompt="a tin")


def test_loading_is_silent_and_restores_the_settings_of_transformers(folder, capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    open_backbone(folder).to("cpu")
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
    assert capfd.readouterr() == ("", "")


def test_blocks_of_two_threads_restore_the_settings_of_transformers():
    """The first block ends while the second one runs, unless one waits for the other."""
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))

    def first():
        with silent_transformers():
            first_began.set()
            second_began.wait(0.1)
        first_ended.set()

    def second():
        assert first_began.wait(10)
        with silent_transformers():
            second_began.set()
            assert first_ended.wait(10)

    run_together(first, second)
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before


def test_a_tokenizer_of_another_model_is_refused(copied):
    file = copied / "tokenizer" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["a</w>"] = 700
    file.write_text(json.dumps(content))
    with pytest.raises(BackboneError, match="has more tokens than the text encoder of the model"):
        open_backbone(copied, prompt="a").identity()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda f: shutil.rmtree(f / "text_encoder"), "has neither text_encoder/ nor", id="no-text"),
        pytest.param(lambda f: shutil.rmtree(f / "tokenizer"), "holds no tokenizer", id="no-tokenizer"),
        pytest.param(lambda f: (f / "tokenizer" / "tokenizer.json").unlink(), "holds no tokenizer", id="no-vocabulary"),
        pytest.param(lambda f: (f / "tokenizer" / "tokenizer.json").write_text("{"), "can't be used", id="vocabulary"),
        pytest.param(
            lambda f: f.joinpath(*TEXT_WEIGHTS).unlink(), "text_encoder holds no weights", id="no-text-weights"
        ),
        pytest.param(truncate(*TEXT_WEIGHTS), "text_encoder.* may be truncated", id="truncated-text"),
        pytest.param(drop_tensor(*TEXT_WEIGHTS), "text_encoder.*missing keys: embeddings.pos", id="missing-text-key"),
        pytest.param(lambda f: edit(f / "text_encoder" / "config.json", model_type="t5"), "holds a t5", id="t5"),
        pytest.param(
            lambda f: edit(f / "text_encoder" / "config.json", hidden_size=32),
            "32 channels per token, .* takes 16",
            id="width",
        ),
        pytest.param(
            store_prompt(torch.zeros(1, 12, 16)), "without the metadata entry prompt", id="stored-prompt-without-text"
        ),
        pytest.param(
            store_prompt(torch.zeros(12, 8), metadata={"prompt": ""}),
            r"shape \(12, 8\) with the",
            id="stored-prompt-shape",
        ),
        pytest.param(
            lambda f: (shutil.rmtree(f / "text_encoder"), (f / "prompt.safetensors").write_bytes(b"123")),
            "may be truncated",
            id="stored-prompt-damaged",
        ),
    ],
)
def test_damaged_text_conditions_are_refused_in_one_line(copied, damage, message):
    damage(copied)
    with pytest.raises(BackboneError, match=message) as refusal:
        backbone = open_backbone(copied)
        backbone.identity()
        backbone.to("cpu")
    assert "\n" not in str(refusal.value)
