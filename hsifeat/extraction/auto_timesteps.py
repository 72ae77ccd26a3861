"""Choose the timesteps of an extraction automatically: ``auto:N``."""

from __future__ import annotations

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.model_input import ModelInput
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.runtime.events import Listener, Note
from hsifeat.timesteps.rank import rank_timesteps


def choose_timesteps(
    count: int, model_input: ModelInput, backbone: Backbone, noise: NoisePolicy, *, device: str, listen: Listener
) -> tuple[int, ...]:
    """Return the timesteps that `rank_timesteps` proposes for a model input; the same for the same arguments.

    Parameters
    ----------
    count : int
        Number of timesteps.
    model_input : ModelInput
        The image that the backbone is shown, with its projection.
    backbone : Backbone
        The backbone.
    noise : NoisePolicy
        Its seed is used, and only timesteps that it reaches are candidates.
    device : str
        Device of the network.
    listen : callable
        Gets the events, and a note with the choice.

    Raises
    ------
    HsifeatError
        A count of 0 or above the number of candidates, or a policy that adds no noise.
    """
    if not noise.noises:
        raise HsifeatError(
            f"auto:{count} compares noised images, but --noise {noise.spec} adds no noise: name the timesteps instead"
        )
    ranking = rank_timesteps(
        model_input.image(),
        backbone=backbone,
        projection=model_input.projection,
        budget=count,
        timesteps=noise.candidates(),
        seed=noise.seed,
        device=device,
        listen=listen,
    )
    listen(Note(f"auto:{count} takes the timesteps {', '.join(map(str, ranking.proposal))}"))
    return ranking.proposal
