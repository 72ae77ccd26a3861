"""Timesteps that are chosen for an extraction: `auto:N`."""

from __future__ import annotations

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.model_input import ModelInput
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.runtime.events import Listener, Note
from hsifeat.timesteps.rank import rank_timesteps


def choose_timesteps(
    budget: int, sight: ModelInput, backbone: Backbone, noise: NoisePolicy, *, device: str, listen: Listener
) -> tuple[int, ...]:
    """Choose as many timesteps as are worth caching of what the backbone is shown; the same each time.

    Parameters
    ----------
    budget : int
        How many.
    sight : Sight
        What the backbone is shown, and through what projection.
    backbone : Backbone
        Whose estimates count.
    noise : NoisePolicy
        Its seed is used, and only timesteps that it reaches are compared.
    device : str
        Where the network runs.
    listen : callable
        Gets events, and what was chosen.

    Raises
    ------
    HsifeatError
        A budget of none or of more than there are timesteps, or images that are never noised.
    """
    if not noise.noises:
        raise HsifeatError(
            f"auto:{budget} compares noised images, but with the noise {noise.spec} there are no such images: name the timesteps"
        )
    found = rank_timesteps(
        sight.image(),
        backbone=backbone,
        projection=sight.projection,
        budget=budget,
        timesteps=noise.candidates(),
        seed=noise.seed,
        device=device,
        listen=listen,
    )
    listen(Note(f"auto:{budget} takes the timesteps {', '.join(map(str, found.proposal))}"))
    return found.proposal
