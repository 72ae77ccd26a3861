"""The grammar of projections: ``rgb``, ``pca:3``, ``rgb:stretch=joint:percentiles=0-100:gamma=0.4``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hsifeat.errors import ProjectionError

FORMS = "rgb, pca:N, bands:i,j,k or all"
OPTIONS = {
    "stretch": "band (percentiles of each band) or joint (common percentiles), with rgb and bands",
    "percentiles": "LOW-HIGH, the percentiles that become -1 and 1 (2-98 by default), with rgb and bands",
    "gamma": "an exponent above 0, with rgb and bands",
    "mask": "the FILE of a label map, on whose labelled pixels the projection is fitted",
}
_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class ProjectionSpec:
    """A projection that is still to be fitted.

    Attributes
    ----------
    kind : {"rgb", "bands", "pca", "all"}
        Form of the projection.
    numbers : tuple of int
        The bands of ``bands``, or the number of components of ``pca``.
    joint : bool
        Whether all channels are stretched by common percentiles.
    percentiles : tuple of 2 floats
        Percentiles that become -1 and 1.
    gamma : float
        Exponent after the stretch.
    mask : str or None
        File of a label map on whose labelled pixels the projection is fitted.
    """

    kind: str
    numbers: tuple[int, ...] = ()
    joint: bool = False
    percentiles: tuple[float, float] = (2.0, 98.0)
    gamma: float = 1.0
    mask: str | None = None

    def to_text(self, mask_digest: str = "") -> str:
        """Return the canonical text.

        Parameters
        ----------
        mask_digest : str
            Digest of the mask's content, which stands for its file.
        """
        low, high = self.percentiles
        parts = [
            self.kind + (":" + ",".join(map(str, self.numbers)) if self.numbers else ""),
            "stretch=joint" if self.joint else "",
            f"percentiles={low:.12g}-{high:.12g}" if self.percentiles != (2, 98) else "",
            f"gamma={self.gamma:.12g}" if self.gamma != 1 else "",
            f"mask={mask_digest}" if self.mask else "",
        ]
        return ":".join(filter(None, parts))


def parse_projection(text: str) -> ProjectionSpec:
    """Parse the text of a projection.

    Raises
    ------
    ProjectionError
        An unknown form or option, or a value that the option does not take.

    Examples
    --------
    >>> parse_projection("rgb:stretch=joint:gamma=0.4").to_text()
    'rgb:stretch=joint:gamma=0.4'
    """
    form = re.match(r"(rgb|all)(?=:|$)|(pca):([1-9]\d*)(?=:|$)|(bands):(\d+(?:,\d+)*)(?=:|$)", text)
    if form is None:
        raise ProjectionError(f"unknown projection {text!r}; allowed: {FORMS}, each with options such as rgb:gamma=0.4")
    plain, pca, count, bands, band_list = form.groups()
    numbers = tuple(int(n) for n in (count or band_list or "").split(",") if n)
    kind = plain or pca or bands
    stretches = kind in {"rgb", "bands"}
    allowed = ["stretch", "percentiles", "gamma", "mask"] if stretches else ["mask"]
    options = _parse_options(text, text[form.end() :], allowed)
    stretch = options.get("stretch", "band")
    percentiles = re.fullmatch(rf"({_NUMBER})-({_NUMBER})", options.get("percentiles", "2-98"))
    low, high = (float(n) for n in percentiles.groups()) if percentiles else (0.0, 0.0)
    gamma = float(options.get("gamma", "1")) if re.fullmatch(_NUMBER, options.get("gamma", "1")) else 0.0
    for name, allowed_value in (
        ("stretch", stretch in {"band", "joint"}),
        ("percentiles", 0 <= low < high <= 100),
        ("gamma", gamma > 0),
        ("mask", options.get("mask", "file")),
    ):
        if not allowed_value:
            raise ProjectionError(f"{text}: {name} is {OPTIONS[name]}; found {options[name]!r}")
    return ProjectionSpec(kind, numbers, stretch == "joint", (low, high), gamma, options.get("mask"))


def _parse_options(text: str, rest: str, allowed: list[str]) -> dict[str, str]:
    """Parse repeated ``:name=value``; a mask comes last, since its file name may hold colons."""
    options: dict[str, str] = {}
    while rest:
        match = re.match(r":(mask)=(.*)$|:(\w+)=([^:]*)", rest)
        name, value = (match[1] or match[3], match[2] or match[4] or "") if match else (rest[1:], "")
        if match is None or name not in allowed or name in options:
            help_text = "; ".join(f"{option} is {OPTIONS[option]}" for option in allowed)
            fault = "is repeated" if name in options else "is unknown"
            raise ProjectionError(f"{text}: the option {name!r} {fault}; options have the form name=value: {help_text}")
        options[name] = value
        rest = rest[match.end() :]
    return options
