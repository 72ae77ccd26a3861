"""Shorter pauses between two looks of the service, its supervisor and its runners at the jobs, which tests wait for."""

PAUSE_S = 0.03


def shorten_pauses():
    """Let this process look at jobs thirty times a second."""
    from hsifeat.service import routes_jobs
    from hsifeat.service.jobs import runner, supervisor

    routes_jobs._POLL_S = runner._POLL_S = supervisor._POLL_S = supervisor._FIRST_DELAY_S = PAUSE_S
