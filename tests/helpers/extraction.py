"""Preparation of extractions from keyword arguments, as by `hsifeat.extract`. The extractions are not run."""

from hsifeat.extraction.prepare import prepare as prepare_config
from hsifeat.extraction.resolve import resolve_config
from hsifeat.runtime.events import silent


def prepare(scene, *, preset=None, like=None, out=None, device="auto", listen=silent, **options):
    """Resolve extraction options and return the prepared job."""
    config = resolve_config(options, preset=preset, like=like)
    return prepare_config(scene, config, out=out, device=device, listen=listen)


def plan(job):
    """Return the plan of the remaining work of a job."""
    return job.remaining(job.find_store()).plan
