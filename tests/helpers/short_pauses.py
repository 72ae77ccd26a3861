"""Shorter pauses with which the service, its supervisor and its runners poll the jobs, so that tests wait less."""

PAUSE_S = 0.03


def shorten_pauses():
    """Make this process poll the jobs about thirty times a second."""
    from hsifeat.service import routes_jobs
    from hsifeat.service.jobs import runner, supervisor

    routes_jobs._POLL_S = runner._POLL_S = supervisor._POLL_S = supervisor._FIRST_DELAY_S = PAUSE_S
