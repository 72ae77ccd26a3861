"""Base class of the records of a benchmark, and two records that other records contain: entries, and means over seeds."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from classifiers.metrics import mean_and_sd

# Confidence level of all intervals. A test is significant if its p-value is below 1 - LEVEL.
LEVEL = 0.95


def is_significant(p: float | None) -> bool:
    """Return whether a corrected p-value is significant at the 5 % level.

    Without a test, the p-value is None, and the result is False.

    >>> is_significant(0.01), is_significant(0.2), is_significant(None)
    (True, False, False)
    """
    return p is not None and p < 1 - LEVEL


class JsonOnly:
    """Marker for the fields that ``results.csv`` omits."""


class Record(BaseModel):
    """Base class of all records. Instances are immutable, and unknown fields raise an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Record):
    """A quantity averaged over seeds."""

    mean: float
    sd: float = Field(description="sample standard deviation over seeds; 0 for a single seed")
    low: float | None = Field(
        None, description="lower end of the 95 % bootstrap interval over seeds and regions, where available"
    )
    high: float | None = Field(None, description="upper end of the 95 % interval")

    @classmethod
    def from_values(cls, values: Any, interval: tuple[float, float] | None = None) -> Self:
        """Compute the mean and standard deviation of `values`, which has one value per seed.

        `interval` has the lower and upper end of the bootstrap interval of the mean.

        >>> Estimate.from_values([0.5, 0.7], (0.4, 0.8))
        Estimate(mean=0.6, sd=0.14142135623730948, low=0.4, high=0.8)
        """
        mean, sd = mean_and_sd(values)
        low, high = interval or (None, None)
        return cls(mean=mean, sd=sd, low=low, high=high)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper end of the 95 % interval; None if `low` or `high` is None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class BenchEntry(Record):
    """Entry of a benchmark: a head that learns from an input set of a store.

    >>> print(BenchEntry(store="ip", inputs="spectra+planes", head="film"))
    film on spectra+planes of ip
    """

    store: str = Field(
        description="name of the store; empty for inputs without planes, which do not depend on the store"
    )
    inputs: str = Field(description="name of the input set, as in --inputs")
    head: str

    @property
    def columns(self) -> str:
        """Name of the input and its store, such as ``planes of ip``."""
        return self.inputs + (f" of {self.store}" if self.store else "")

    def __str__(self) -> str:
        return f"{self.head} on {self.columns}"
