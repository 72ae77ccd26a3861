"""Find smoothing rules by name among the entry points of installed packages, and parse ``--smooth``."""

from __future__ import annotations

from classifiers.registered_smoothing import NO_SMOOTHING, registered_rules
from classifiers.smoothing.rule import SmoothingRule
from hsifeat.errors import HsifeatError
from hsifeat.registration import load_subclass


def smoothing_class(name: str) -> type[SmoothingRule]:
    """Return the class of the smoothing rule with the name `name`.

    Raises
    ------
    HsifeatError
        If no installed package registers the name, or if the registered class can't be imported.
    """
    registered = registered_rules()
    if name not in registered:
        raise HsifeatError(f"unknown smoothing {name!r}; allowed: {_forms()}")
    return load_subclass(registered[name], SmoothingRule, "smoothing rule", HsifeatError)  # type: ignore[type-abstract]


def parse_smoothing(text: str) -> SmoothingRule | None:
    """Return the smoothing rule for a value of ``--smooth``.

    Parameters
    ----------
    text : str
        One of:

        - ``gaussian:SIGMA``: Gaussian mean with a standard deviation of SIGMA pixels;
        - ``guided:RADIUS[,EPS]``: filter guided by the scene's principal components, in windows with a radius of RADIUS
          pixels and with the ridge penalty EPS;
        - ``superpixel:PIXELS``: mean over superpixels that grow from square cells of about PIXELS pixels;
        - ``mrf:BETA``: Potts field with the weight BETA for each pair of neighbours with equal classes;
        - ``none``: no smoothing.

    Returns
    -------
    SmoothingRule or None
        The rule; None for ``none``.

    Raises
    ------
    HsifeatError
        If the rule is unknown, or if its argument is missing or out of range.

    Examples
    --------
    >>> parse_smoothing("gaussian:2")
    GaussianSmoothing(sigma=2.0)
    >>> parse_smoothing("guided:4").text
    'guided:4,0.01'
    """
    if not isinstance(text, str):
        raise HsifeatError(f"smoothing is a text such as guided:4, or none; found {text!r}")
    if text == NO_SMOOTHING:
        return None
    name, colon, argument = text.partition(":")
    rule = smoothing_class(name)
    if not colon or not argument:
        raise HsifeatError(f"smoothing {text!r} lacks its argument: use {rule.form}")
    return rule.parse(argument)


def _forms() -> str:
    forms = []
    for name in registered_rules():
        try:
            forms.append(smoothing_class(name).form)
        except HsifeatError:  # a broken plug-in must not hide the other rules
            forms.append(name)
    return ", ".join([*forms, NO_SMOOTHING])
