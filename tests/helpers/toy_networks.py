"""Two small networks for tests: a 3-D network with a spectral axis, and one with a decoder per interval of timesteps."""

import torch
from diffusers import ConfigMixin, DDPMScheduler, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

TOYS = ("SpectralToy", "StagedToy")


class SpectralToy(ModelMixin, ConfigMixin):
    """A 3-D U-Net like SpectralDiff, which downsamples only the spectral axis."""

    @register_to_config
    def __init__(self, in_channels: int, width: int):
        super().__init__()
        self.time = nn.Linear(1, width)
        self.enter = nn.Conv3d(1, width, 3, padding=1)
        self.down = nn.Conv3d(width, 2 * width, (4, 3, 3), stride=(2, 1, 1), padding=1)
        self.up = nn.ConvTranspose3d(2 * width, width, (4, 3, 3), stride=(2, 1, 1), padding=1)
        self.leave = nn.Conv3d(2 * width, 1, 1)

    def forward(self, noised, t, return_dict=False):
        times = torch.as_tensor(t, device=noised.device, dtype=noised.dtype).expand(len(noised))
        fine = self.enter(noised[:, None]) + self.time(times[:, None] / 1000)[:, :, None, None, None]
        coarse = self.down(nn.functional.silu(fine))  # (n, 2 width, bands / 2, rows, cols)
        back = self.up(nn.functional.silu(coarse))
        return (self.leave(torch.cat([fine, back], 1))[:, 0],)


class StagedToy(ModelMixin, ConfigMixin):
    """A network with one encoder and one decoder per interval of timesteps, as in the multi-stage framework."""

    @register_to_config
    def __init__(self, in_channels: int, widths: tuple[int, ...], boundaries: tuple[int, ...]):
        super().__init__()
        self.probe_timesteps = (0, *boundaries)
        self.time = nn.Linear(1, 8)
        self.encoder = nn.Conv2d(in_channels, 8, 4, stride=2, padding=1)
        self.decoders = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(8, width, 4, stride=2, padding=1), nn.SiLU(), nn.Conv2d(width, in_channels, 1)
            )
            for width in widths
        )

    def forward(self, noised, t, return_dict=False):
        times = torch.as_tensor(t, device=noised.device, dtype=noised.dtype).expand(len(noised))
        code = nn.functional.silu(self.encoder(noised) + self.time(times[:, None] / 1000)[:, :, None, None])
        first = t if isinstance(t, int) else int(t.flatten()[0])
        interval = sum(first >= boundary for boundary in self.config.boundaries)
        return (self.decoders[interval](code),)


def make(name):
    """Return a toy network with fixed weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        if name == "SpectralToy":
            return SpectralToy(in_channels=6, width=3).eval()
        return StagedToy(in_channels=6, widths=(8, 6, 4), boundaries=(442, 631)).eval()


def register(patch):
    """Register both toy networks, until the monkeypatch ends."""
    from hsifeat.backbones.networks import NETWORKS

    for name in TOYS:
        patch.setitem(NETWORKS, name, __name__)


def save(name, folder):
    """Write a toy network with a noise schedule in the layout of `hsifeat pretrain`, and return the network."""
    network = make(name)
    network.save_pretrained(folder / "unet")
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(folder / "scheduler")
    return network
