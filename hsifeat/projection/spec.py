"""How a projection is asked for: ``rgb``, ``pca:3`` or ``rgb:stretch=joint:percentiles=0-100:gamma=0.4``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hsifeat.errors import ProjectionError

FORMS = "rgb, pca:N, bands:i,j,k or all"
OPTIONS = {
    "stretch": "band (each band by its own percentiles) or joint (all bands by common ones), with rgb and bands",
    "percentiles": "LOW-HIGH, which become -1 and 1, with rgb and bands; 2-98 usually, 0-100 for the extremes",
    "gamma": "an exponent above 0, with rgb and bands",
    "mask": "a label map's FILE: only its labelled pixels are fitted on",
}
_NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True)
class ProjectionSpec:
    """What is to be fitted.

    Attributes
    ----------
    kind : str
        ``rgb``, ``bands``, ``pca`` or ``all``.
    numbers : tuple of int
        The bands, or the number of components.
    joint : bool
        Whether one stretch serves all channels.
    percentiles : tuple of 2 floats
        Become -1 and 1.
    gamma : float
        Exponent after the stretch.
    mask : str or None
        File of a label map.
    """

    kind: str
    numbers: tuple[int, ...] = ()
    joint: bool = False
    percentiles: tuple[float, float] = (2.0, 98.0)
    gamma: float = 1.0
    mask: str | None = None

    def spec(self, mask_digest: str = "") -> str:
        """Return it as text, the same for the same rule however it was written; a mask by its content, not its file."""
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
    """Read a projection.

    Raises
    ------
    ProjectionError
        An unknown form or option.

    Examples
    --------
    >>> parse_projection("rgb:stretch=joint:gamma=0.4").spec()
    'rgb:stretch=joint:gamma=0.4'
    """
    form = re.match(r"(rgb|all)(?=:|$)|(pca):([1-9]\d*)(?=:|$)|(bands):(\d+(?:,\d+)*)(?=:|$)", text)
    if form is None:
        raise ProjectionError(f"unknown projection {text!r}; allowed: {FORMS}, each with options such as rgb:gamma=0.4")
    plain, pca, count, bands, chosen = form.groups()
    numbers = tuple(int(n) for n in (count or chosen or "").split(",") if n)
    kind = plain or pca or bands
    stretched = kind in {"rgb", "bands"}
    given = _options(text, text[form.end() :], ["stretch", "percentiles", "gamma", "mask"] if stretched else ["mask"])
    stretch = given.get("stretch", "band")
    percentiles = re.fullmatch(rf"({_NUMBER})-({_NUMBER})", given.get("percentiles", "2-98"))
    low, high = (float(n) for n in percentiles.groups()) if percentiles else (0.0, 0.0)
    gamma = float(given.get("gamma", "1")) if re.fullmatch(_NUMBER, given.get("gamma", "1")) else 0.0
    for name, good in (
        ("stretch", stretch in {"band", "joint"}),
        ("percentiles", 0 <= low < high <= 100),
        ("gamma", gamma > 0),
        ("mask", given.get("mask", "file")),
    ):
        if not good:
            raise ProjectionError(f"{text}: {name} is {OPTIONS[name]}; found {given[name]!r}")
    return ProjectionSpec(kind, numbers, stretch == "joint", (low, high), gamma, given.get("mask"))


def _options(text: str, options: str, allowed: list[str]) -> dict[str, str]:
    """Read ``:name=value`` as often as it comes; a mask comes last, since its file's name may hold colons."""
    found: dict[str, str] = {}
    while options:
        match = re.match(r":(mask)=(.*)$|:(\w+)=([^:]*)", options)
        name, value = (match[1] or match[3], match[2] or match[4] or "") if match else (options[1:], "")
        if match is None or name not in allowed or name in found:
            listed = "; ".join(f"{option} is {OPTIONS[option]}" for option in allowed)
            raise ProjectionError(
                f"{text}: no option {name!r}, or given twice; of the form name=value there are: {listed}"
            )
        found[name] = value
        options = options[match.end() :]
    return found
