"""Division of the timesteps into intervals, one for each decoder of a network."""

from __future__ import annotations

from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.projection import Projection
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Scene
from hsifeat.timesteps.rank import rank_timesteps


def choose_boundaries(
    scene: Scene, projection: Projection, spec: NetworkSpec, seed: int, listen: Listener
) -> tuple[int, ...]:
    """Divide the timesteps into one interval per decoder of a network.

    Return the first timestep of each interval except the first interval, which begins at timestep 0. The intervals are
    chosen so that the optimal denoiser's predictions at the timesteps of one interval are as similar as possible (Zhang et
    al., CVPR 2024, eq. 5; see `rank_timesteps`). The optimal denoiser is the function with the smallest expected error on
    noisy patches of the scene. The noise follows the cosine schedule with T = 1000.

    Parameters
    ----------
    scene : Scene
        Scene whose patches define the optimal denoiser.
    projection : Projection
        Projection from the bands of the scene to the channels of the network.
    spec : NetworkSpec
        Specification with the number of decoders.
    seed : int
        Seed of the patches and of their noise.
    listen : callable
        Receives progress events, and a note on the boundaries.
    """
    ranking = rank_timesteps(scene, projection=projection, intervals=spec.decoders, budget=1, seed=seed, listen=listen)
    boundaries = tuple(first for first, _ in ranking.intervals[1:])
    listen(
        Note(f"the decoders of {spec.decoders} intervals begin at the timesteps 0, {', '.join(map(str, boundaries))}")
    )
    return boundaries
