"""Text form of projections, such as ``rgb``, ``pca:3`` or ``rgb:stretch=joint:percentiles=0-100:gamma=0.4``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from hsifeat.errors import ProjectionError
from hsifeat.formatting import format_value

FORMS = "rgb, pca:N, bands:i,j,k or all"
OPTIONS = {
    "stretch": "band (percentiles of each band) or joint (common percentiles of all bands), only for rgb and bands",
    "percentiles": "LOW-HIGH, the percentiles that are mapped to -1 and 1 (default 2-98), only for rgb and bands",
    "gamma": "an exponent above 0, only for rgb and bands",
    "clip": "the number of standard deviations that is mapped to 1 and beyond which channels are clipped, or none, only for pca and all",
    "mask": "the FILE of a label map, whose labelled pixels are used for fitting",
}
_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class ProjectionSpec:
    """Form and options of a projection before fitting.

    Attributes
    ----------
    kind : {"rgb", "bands", "pca", "all"}
        Form of the projection.
    numbers : tuple of int
        Band indices of the form ``bands``, or the number of components of the form ``pca``.
    joint : bool
        Whether the percentiles are computed from all selected bands together, instead of from each band.
    percentiles : tuple of 2 floats
        Percentiles that are mapped to -1 and 1.
    gamma : float
        Exponent of the gamma correction: channels are mapped from [-1, 1] to [0, 1], raised to this power, and mapped back.
    clip : float or None
        For the forms ``pca`` and ``all``, the number of standard deviations that is mapped to 1. Channels are then clipped
        to [-1, 1]. Infinity (``clip=none``) and None (no option ``clip``) both mean no clipping.
    mask : str or None
        File of a label map whose labelled pixels are used for fitting.
    """

    kind: str
    numbers: tuple[int, ...] = ()
    joint: bool = False
    percentiles: tuple[float, float] = (2.0, 98.0)
    gamma: float = 1.0
    clip: float | None = None
    mask: str | None = None

    @property
    def clips(self) -> bool:
        """Whether the option `clip` limits the channels to [-1, 1]."""
        return self.clip is not None and self.clip != math.inf

    def to_text(self, mask_digest: str = "") -> str:
        """Return the canonical text form of the projection.

        Parameters
        ----------
        mask_digest : str
            Digest of the mask's pixels, if there is a mask. The text contains the digest instead of the mask's file name.
        """
        low, high = self.percentiles
        parts = [
            self.kind + (":" + ",".join(map(str, self.numbers)) if self.numbers else ""),
            "stretch=joint" if self.joint else "",
            f"percentiles={low:.12g}-{high:.12g}" if self.percentiles != (2, 98) else "",
            # All digits: the gamma of a store is read from this text.
            f"gamma={np.format_float_positional(self.gamma, trim='-')}" if self.gamma != 1 else "",
            f"clip={self.clip:.12g}" if self.clips else "",
            f"mask={mask_digest}" if self.mask else "",
        ]
        return ":".join(filter(None, parts))


def parse_projection(text: str) -> ProjectionSpec:
    """Parse the text form of a projection.

    Raises
    ------
    ProjectionError
        If the projection or an option is unknown. If the value of an option is not allowed.

    Examples
    --------
    >>> parse_projection("rgb:stretch=joint:gamma=0.4").to_text()
    'rgb:stretch=joint:gamma=0.4'
    """
    if not isinstance(text, str):
        raise ProjectionError(f"a projection is a text such as pca:3; found {format_value(text)}")
    form = re.match(r"(rgb|all)(?=:|$)|(pca):([1-9]\d*)(?=:|$)|(bands):(\d+(?:,\d+)*)(?=:|$)", text)
    if form is None:
        raise ProjectionError(f"unknown projection {text!r}; allowed: {FORMS}, each with options such as rgb:gamma=0.4")
    plain, pca, count, bands, band_list = form.groups()
    numbers = tuple(int(n) for n in (count or band_list or "").split(",") if n)
    kind = plain or pca or bands
    stretches = kind in {"rgb", "bands"}
    allowed = ["stretch", "percentiles", "gamma", "mask"] if stretches else ["clip", "mask"]
    options = _parse_options(text, text[form.end() :], allowed)
    stretch = options.get("stretch", "band")
    percentiles = re.fullmatch(rf"({_NUMBER})-({_NUMBER})", options.get("percentiles", "2-98"))
    low, high = (float(n) for n in percentiles.groups()) if percentiles else (0.0, 0.0)
    gamma = float(options.get("gamma", "1")) if re.fullmatch(_NUMBER, options.get("gamma", "1")) else 0.0
    clip_text = options.get("clip")
    clip = None if clip_text is None else math.inf if clip_text == "none" else 0.0
    if clip_text is not None and re.fullmatch(_NUMBER, clip_text):
        clip = float(clip_text)
    for name, allowed_value in (
        ("stretch", stretch in {"band", "joint"}),
        ("percentiles", 0 <= low < high <= 100),
        ("gamma", 0 < gamma < math.inf),
        ("clip", clip is None or clip > 0),
        ("mask", options.get("mask", "file")),
    ):
        if not allowed_value:
            raise ProjectionError(f"{text}: {name} is {OPTIONS[name]}; found {options[name]!r}")
    return ProjectionSpec(kind, numbers, stretch == "joint", (low, high), gamma, clip, options.get("mask"))


def _parse_options(text: str, option_text: str, allowed: list[str]) -> dict[str, str]:
    """Parse options of the form ``:name=value:name=value``.

    The value of the option ``mask`` may contain colons. It ends at the next option, or at the end of the text.
    """
    options: dict[str, str] = {}
    while option_text:
        match = re.match(rf":(mask)=(.*?)(?=:(?:{'|'.join(OPTIONS)})=|$)|:(\w+)=([^:]*)", option_text)
        name, value = (match[1] or match[3], match[2] or match[4] or "") if match else (option_text[1:], "")
        if match is None or name not in allowed or name in options:
            help_text = "; ".join(f"{option} is {OPTIONS[option]}" for option in allowed)
            fault = "is repeated" if name in options else "is unknown"
            raise ProjectionError(f"{text}: the option {name!r} {fault}; options have the form name=value: {help_text}")
        options[name] = value
        option_text = option_text[match.end() :]
    return options
