"""Noise levels at which features classified best in the study ``benchmarks/natural32.py``, for each kind of network."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsifeat.backbones.schedule import NoiseSchedule

STUDIED_SIGMAS = {
    "a diffusion model of natural images": (0.018, 0.171),
    "a denoiser of photographs that is no diffusion model": (0.342, 0.599),
    "a network trained on the scene": (0.018, 0.337),
}
"""Smallest and largest of the best noise levels, for each kind of network.

At these noise levels, each network of the study reaches an overall accuracy within one point of its maximum on Indian Pines. A
noise level is the standard deviation of the noise relative to the image, ``sqrt((1 - abar_t) / abar_t)``.
"""


def studied_timesteps(schedule: NoiseSchedule) -> dict[str, dict[str, Any]]:
    """Return the timesteps nearest to the noise levels at which features classified best in ``benchmarks/natural32.py``.

    For each kind of network, this study found a range of such noise levels. The timesteps nearest to the two ends of the
    range are returned. A noise level is ``sqrt((1 - abar_t) / abar_t)``, the standard deviation of the noise relative to
    the image.

    Parameters
    ----------
    schedule : NoiseSchedule
        Noise schedule of the backbone.

    Returns
    -------
    dict of str to dict
        A dict for each kind of network. Its value ``sigmas`` has the smallest and the largest noise level of the range. Its
        value ``timesteps`` has the timesteps nearest to these two noise levels.

    Examples
    --------
    >>> schedule = NoiseSchedule(np.array([0.99, 0.9, 0.8, 0.5], np.float32))
    >>> studied_timesteps(schedule)["a network trained on the scene"]["timesteps"]
    [0, 1]
    """
    abar = np.maximum(schedule.alphas_cumprod.astype(np.float64), 1e-12)
    levels = np.sqrt((1 - abar) / abar)
    return {
        kind: {"sigmas": list(sigmas), "timesteps": [int(np.abs(levels - sigma).argmin()) for sigma in sigmas]}
        for kind, sigmas in STUDIED_SIGMAS.items()
    }
