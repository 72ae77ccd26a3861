"""Defaults of `classifiers.fit_model` and ``hsifeat fit`` that the study in ``docs/user/results.md`` supports."""

DEFAULT_HEAD = "lda"

# With few labels, this rule gained on the scenes with wide fields and cost almost nothing on the others.
DEFAULT_SMOOTHING = "guided:4,0.001"
