"""What a user asks of a backbone besides naming it, and the refusal of what a kind of backbone does not take."""

from __future__ import annotations

from dataclasses import dataclass

from hsifeat.errors import BackboneError
from hsifeat.types import as_int

UNTRAINED = "untrained:"
UPSAMPLE = 8
MEAN_LABEL = "mean"


@dataclass(frozen=True)
class Asked:
    """Options of `open_backbone`, see there; each kind of backbone takes those that mean something to it.

    Attributes
    ----------
    class_label : int, ``"mean"`` or None
        Fixed label for a class-conditional model.
    untrained_seed : int or None
        Seed of fresh weights; None for the model's own weights.
    any_label : bool
        Take some label when none is given, for listing layers.
    prompt : str or None
        Text for a model that takes one.
    upsample : int
        Scale of tiles before a latent encoder.
    named : str or None
        ``owner/model@commit`` where the files are a copy of a model on a hub.
    """

    class_label: int | str | None = None
    untrained_seed: int | None = None
    any_label: bool = False
    prompt: str | None = None
    upsample: int = UPSAMPLE
    named: str | None = None

    def refuse_text(self, name: str) -> None:
        """Raise `BackboneError` where something is asked for that only latent models with a text encoder take."""
        if self.prompt is not None:
            raise BackboneError(f"{name} takes no prompt; leave out {self.prompt!r}")
        if self.upsample != UPSAMPLE:
            raise BackboneError(f"{name} works on pixels and upsamples nothing; leave out --upsample {self.upsample}")

    def label(self, name: str, count: int | None, *, mean: bool = True) -> int | str | None:
        """Return the label to use; `BackboneError` for one that does not fit.

        Parameters
        ----------
        name : str
            The backbone's.
        count : int or None
            How many labels there are; None for a model that takes none.
        mean : bool
            Whether labels have embeddings whose mean can be taken.
        """
        found = self.class_label
        if count is None:
            if found is not None:
                raise BackboneError(f"{name} takes no class label; leave out {found}")
            return None
        if found is None and self.any_label:
            return 0
        if isinstance(found, str) and found == MEAN_LABEL and mean:
            return found
        number = as_int(found)
        if number is not None and 0 <= number < count:
            return number
        or_mean = f", or {MEAN_LABEL!r} for the mean of all label embeddings" if mean else ""
        raise BackboneError(f"{name} is class-conditional: give one label, 0 to {count - 1}{or_mean}; found {found!r}")
