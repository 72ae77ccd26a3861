"""Prepare an extraction from loose options, as `hsifeat.extract` does before it runs."""

from hsifeat.extraction.prepare import prepare as prepare_config
from hsifeat.extraction.resolve import resolve_config
from hsifeat.runtime.events import silent


def prepare(scene, *, preset=None, like=None, out=None, device="auto", listen=silent, **options):
    """Resolve options and prepare the job."""
    config = resolve_config(options, preset=preset, like=like)
    return prepare_config(scene, config, out=out, device=device, listen=listen)


def plan(job):
    """What is left to do, given the store as it is now."""
    return job.remaining(job.find_store()).plan
