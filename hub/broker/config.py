"""The broker's patience, in one place: how long it waits for what, and after how much evidence it believes an end.

All of it is stated policy; tests run with the same code and shorter times. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from perijove.spawners.watcher import Pace


@dataclass(frozen=True, slots=True)
class Timing:
    """How long, how often, how much evidence."""

    pace: Pace = field(default_factory=Pace)
    #: For one submission at the login node; the launcher ends the command after it.
    submit_timeout: float = 30.0
    #: A submission whose answer was lost is not repeated before this has passed and this many listings lack its job.
    submit_grace: float = 75.0
    submit_listings: int = 3
    #: Between attempts while a centre cannot be asked.
    retry: tuple[float, float] = (2.0, 30.0)
    #: A job that no listing and no history knows is gone after so many listings over so long.
    absent_listings: int = 3
    absent_for: float = 30.0
    #: Failures in a row after which a centre's sessions are "unknown since".
    silent_after: int = 3
    #: Between attempts to reach an agent: the first for as long as agents usually need, then doubled up to the last.
    open_every: tuple[float, float] = (0.1, 5.0)
    open_quickly: int = 20
    #: After so long without an answer of the agent the page says so.
    open_quiet: float = 4.0
    #: A job that has its node but no session after so long is stopped, with outcome launch-failed.
    launch_limit: float = 600.0
    #: Between looks at a server that starts.
    ready_every: tuple[float, float] = (0.1, 0.4)
    #: The server's own time to end in order, and between cancellations.
    stop_grace: float = 10.0
    cancel_every: tuple[float, float] = (3.0, 30.0)
    #: A session's folder at the centre is removed so long after its end.
    forget_after: float = 60.0
    #: A token of an ended session is dead within a minute: the hub is asked this often until it is.
    hub_every: tuple[float, float] = (1.0, 10.0)
    #: After a start that failed the hub has so long to find that out by itself.
    hub_alone: float = 4.0
    #: How long one who watches is taken to be still there.
    watched_for: float = 60.0
    #: A new submission is watched closely for so long.
    fresh_for: float = 300.0
    lease: float = 30.0
    lease_every: float = 8.0
    #: Between looks for sessions that another process wrote, and for servers that the hub lost (on their way; any).
    scan_every: float = 5.0
    attach_every: float = 5.0
    attach_all_every: float = 60.0
    #: Between looks for what operators ordered through another broker.
    orders_every: float = 8.0
    #: Between looks for runs whose session has ended, or that have none yet.
    runs_every: float = 2.0
    #: Between looks for what ended so long ago that it is no longer kept.
    purge_every: float = 1800.0
    #: Between looks whether a day of a centre is to be reconciled.
    reconcile_every: float = 300.0
    #: Between looks whether money has ended: grants, and sessions that it paid for.
    ledger_every: float = 30.0
    #: Between looks whether there are as many warm sessions as there should be.
    warm_every: float = 5.0


#: Submissions and connections under way at once, per centre.
OPENING = 40
TAILING = 40
#: Lines and characters of a job's log that are kept.
TAIL_LINES, TAIL_CHARACTERS = 40, 8000


def backoff(span: tuple[float, float], tries: int) -> float:
    """The pause after the `tries`-th attempt (from 1): doubled from the first to the last of `span`."""
    first, last = span
    return min(first * 2.0 ** min(max(tries - 1, 0), 20), last)
