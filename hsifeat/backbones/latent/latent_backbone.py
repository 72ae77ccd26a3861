"""Latent-space backbones from Stable Diffusion folders. A U-Net denoises the latents of an autoencoder."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.checkpoint import CheckpointBackbone
from hsifeat.backbones.diffusers_folder import find_part, list_model_files, read_denoiser_class, read_json
from hsifeat.backbones.exclusive import exclusive_property, exclusive_use
from hsifeat.backbones.latent.components import DiffusersComponent
from hsifeat.backbones.latent.prompt import find_prompt
from hsifeat.backbones.network import deterministic_inference
from hsifeat.backbones.options import UPSAMPLE
from hsifeat.backbones.plugins import BackbonePlugin, existing_path
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.unet2d import output_blocks
from hsifeat.errors import BackboneError
from hsifeat.types import as_int

if TYPE_CHECKING:
    import torch

DENOISER = "UNet2DConditionModel"
ENCODER = "AutoencoderKL"
_SCALES = (1, 2, 4, 8)
# Settings of U-Nets with conditions beyond timestep and text: image embeddings, sizes, labels, the guidance scale.
_OTHER_CONDITIONS = (
    "addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "num_class_embeds", "time_cond_proj_dim",
)  # fmt: skip
# Number of text tokens in the forward pass that lists the layers, as in CLIP. The listed costs hardly depend on this number.
_PROBE_TOKENS = 77


class LatentBackbone(CheckpointBackbone):
    """A backbone from a model folder of Stable Diffusion 1.x, 2.x or turbo, or of a model with the same components.

    CleanDIFT, for example, has the same components. Images are upsampled before they are encoded. With the default
    `upsample`, a latent cell of Stable Diffusion covers one scene pixel. The latents are the mode of the
    autoencoder's distribution, never a random sample. The latents are scaled as in the training of the U-Net (Rombach
    et al. 2022, section 3.1 and appendix G).

    Parameters
    ----------
    folder : str or Path
        Folder with ``unet/``, ``vae/`` and ``scheduler/``. For the prompt, the folder also has ``text_encoder/`` and
        ``tokenizer/``, or ``prompt.safetensors``.
    prompt : str, optional
        Text condition of the U-Net. [default: the empty text if the model has a text encoder, otherwise the text in
        ``prompt.safetensors``]
    upsample : int
        Factor by which images are enlarged before they are encoded: 1, 2, 4 or 8.
    untrained_seed : int, optional
        Seed of random weights of the U-Net. The autoencoder keeps its trained weights.
    hub_model : str, optional
        Name and commit of the model on a model hub, ``owner/model@commit``, if the folder is a downloaded
        copy.

    Raises
    ------
    BackboneError
        If a component is missing, damaged or unsupported. If components belong to different models. If the model does
        not support an option.
    """

    channels = 3

    def __init__(
        self,
        folder: str | Path,
        *,
        prompt: str | None = None,
        upsample: int = UPSAMPLE,
        untrained_seed: int | None = None,
        hub_model: str | None = None,
    ) -> None:
        folder = Path(folder).absolute()  # weights are read later, maybe in another working directory
        self._denoiser, self._encoder = (
            DiffusersComponent(folder / "unet", DENOISER),
            DiffusersComponent(folder / "vae", ENCODER),
        )
        self._check_components()
        schedule = find_part(folder, "scheduler", "scheduler_config.json") / "scheduler_config.json"
        self.schedule = schedule_from_config(read_json(schedule))
        super().__init__(folder, untrained_seed, hub_model)
        factor = as_int(upsample)
        if factor not in _SCALES:
            allowed = ", ".join(map(str, _SCALES))
            raise BackboneError(f"tiles can be upsampled by {allowed} before they are encoded; found {upsample!r}")
        self._upsample = factor
        self._prompt = find_prompt(folder, prompt, self._text_width)

    def _check_components(self) -> None:
        unet, vae = self._denoiser.settings, self._encoder.settings
        conditions = [name for name in _OTHER_CONDITIONS if unet[name] is not None]
        if conditions or not isinstance(unet["cross_attention_dim"], int):
            setting = conditions[0] if conditions else "cross_attention_dim"
            raise BackboneError(
                f"{self._denoiser.folder} needs more than a timestep and one text ({setting} is {unet[setting]!r}); allowed are models "
                "without further conditions: Stable Diffusion 1.x, 2.x and turbo"
            )
        if unet["in_channels"] != vae["latent_channels"]:
            raise BackboneError(
                f"{self._denoiser.folder} takes {unet['in_channels']!r} channels, but the autoencoder beside it gives "
                f"{vae['latent_channels']!r}: models that inpaint, edit or upscale images can't be used"
            )
        if vae["in_channels"] != self.channels or vae["latents_mean"] is not None or vae["latents_std"] is not None:
            raise BackboneError(
                f"{self._encoder.folder} is not an autoencoder of Stable Diffusion, with 3 channels and one scaling factor; found "
                f"{vae['in_channels']!r} channels, latents_mean {vae['latents_mean']}, latents_std {vae['latents_std']}"
            )
        for name in ("scaling_factor", "shift_factor"):
            value = vae[name]
            if not (isinstance(value, int | float) and isfinite(value)) and (name, value) != ("shift_factor", None):
                raise BackboneError(f"{self._encoder.folder / 'config.json'}: {name} must be a number; found {value!r}")

    @property
    def _text_width(self) -> int:
        return int(self._denoiser.settings["cross_attention_dim"])

    @property
    def denoiser_channels(self) -> int:
        """Number of channels of the latents."""
        return int(self._denoiser.settings["in_channels"])

    @property
    def cell_px(self) -> Fraction:
        """Side of a latent cell, in pixels of the image before upsampling."""
        return Fraction(2 ** (self._encoder.levels - 1), self._upsample)

    @property
    def probe_side(self) -> int:
        """Side, in latent cells, of the input on which `taps` runs the network to find its layers.

        With this side, the feature map at the coarsest level of the U-Net has 8 x 8 cells.
        """
        return int(8 * 2 ** (self._denoiser.levels - 1))

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
        return {
            "weights": self.weights_digest,
            "architecture": self._denoiser.architecture,
            "encoder": {"weights": self._encoder.digest, "architecture": self._encoder.architecture},
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": self._prompt.identity(),
            "upsample": self._upsample,
        }

    def build(self) -> torch.nn.Module:
        """Build the U-Net that its ``config.json`` describes, with random weights."""
        return self._denoiser.build()

    def digest_trained(self) -> str:
        """Return the digest of the U-Net's trained weights."""
        return self._denoiser.digest

    def load_trained(self) -> torch.nn.Module:
        """Return the U-Net with its trained weights."""
        return self._denoiser.load()

    @exclusive_property
    def encoder(self) -> torch.nn.Module:
        """The autoencoder with its trained weights."""
        return self._encoder.load()

    @exclusive_property
    def embedding(self) -> torch.Tensor:
        """Embedding of the prompt, as a (1, tokens, width) float32 tensor."""
        return self._prompt.embed()

    def to(self, device: str) -> None:
        """Move U-Net, autoencoder and prompt embedding to a device. If necessary, they are loaded or computed first."""
        with exclusive_use(self):
            super().to(device)
            self.encoder.to(device)
            self.embedding = self.embedding.to(device)

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:
        """Map the diffusers name of each decoder layer to its guided-diffusion name."""
        return output_blocks(network)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images into latents.

        Images are encoded one at a time, because the autoencoder needs far more memory than the U-Net.

        Parameters
        ----------
        images : (n, 3, height, width) float32 tensor
            Images with values from about -1 to 1, on the backbone's device.

        Returns
        -------
        (n, latent channels, height / cell_px, width / cell_px) float32 tensor
            The scaled latents.

        Raises
        ------
        BackboneError
            If the height or the width is not a multiple of `cell_px`, the side of a latent cell in pixels.
        """
        import torch

        sides = [Fraction(side) / self.cell_px for side in images.shape[2:]]
        if any(side.denominator != 1 for side in sides):
            raise BackboneError(
                f"an image of {images.shape[2]} x {images.shape[3]} pixels is not a whole number of latent cells of {self.cell_px} "
                "pixels: choose a tile side that is a multiple of it"
            )
        with exclusive_use(self), deterministic_inference(images.device.type):
            return torch.cat([self._encode_one(image[None]) for image in images])

    def _encode_one(self, image: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import interpolate

        large = interpolate(image, scale_factor=self._upsample, mode="bilinear", align_corners=False)
        encoder: Any = self.encoder
        latents: torch.Tensor = encoder.encode(large).latent_dist.mode()
        if encoder.config.shift_factor is not None:
            latents = latents - encoder.config.shift_factor
        return latents * float(encoder.config.scaling_factor)

    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the U-Net with the prompt's embedding. See `NetworkBackbone.call`."""
        import torch

        text = torch.empty(1, _PROBE_TOKENS, self._text_width, device="meta") if noisy.is_meta else self.embedding
        return network(noisy, t, encoder_hidden_states=text.expand(len(noisy), -1, -1), return_dict=False)


def _is_latent_folder(source: str) -> bool:
    path = existing_path(source)
    return path is not None and read_denoiser_class(path) == DENOISER


PLUGIN = BackbonePlugin(
    open=LatentBackbone,
    form="FOLDER",
    description="Stable Diffusion 1.x, 2.x, turbo, or CleanDIFT: unet, vae and scheduler",
    weights="save_pretrained of diffusers",
    matches=_is_latent_folder,
    order=20,
    files=list_model_files,
)
