"""Choose the timesteps of an extraction automatically, for ``auto:N``."""

from __future__ import annotations

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.model_input import ModelInput
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.runtime.events import Listener, Note


def choose_timesteps(
    count: int, model_input: ModelInput, backbone: Backbone, noise: NoisePolicy, *, device: str, listen: Listener
) -> tuple[int, ...]:
    """Return the timesteps that `rank_timesteps` proposes for the input image of a backbone.

    The result is deterministic.

    Parameters
    ----------
    count : int
        Number of timesteps.
    model_input : ModelInput
        The input image of the backbone, and the projection from spectral bands to the channels of this image.
    backbone : Backbone
        The diffusion model.
    noise : NoisePolicy
        Noise policy of the extraction. The ranking uses the seed of this policy, and proposes only timesteps that the policy
        supports.
    device : str
        Device of the network.
    listen : callable
        Receives progress events, and a note with the proposed timesteps.

    Returns
    -------
    tuple of int
        Timesteps in ascending order.

    Raises
    ------
    HsifeatError
        If the noise policy adds no noise. If `count` is less than 1, or larger than the number of timesteps that
        `rank_timesteps` compares.
    """
    from hsifeat.timesteps.rank import rank_timesteps

    if not noise.noises:
        raise HsifeatError(
            f"auto:{count} compares noised images, but `noise={noise.spec!r}` adds no noise: name the timesteps instead"
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
