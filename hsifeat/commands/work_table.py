"""Print the remaining work of a job for ``--dry-run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsifeat.commands import terminal
from hsifeat.formatting import format_bytes

if TYPE_CHECKING:
    from hsifeat.extraction.job import RemainingWork


def show_work(work: RemainingWork) -> None:
    """Print the planes of a job, the time and memory that the remaining work needs, and the bytes to write."""
    plan = work.plan
    state = "new" if work.is_new else "exists"
    terminal.show_table(f"{work.job.location} ({state})", plan.plane_rows(), plan.PLANE_COLUMNS)
    for line in work.extractor.describe(plan):
        terminal.say(line)
    terminal.say(f"to write: at most {format_bytes(work.needed_bytes)}")
