"""Jobs with our mark that nobody wants: of no session and no cluster, of one that is over, or a second one of the same.

They are cancelled when they are seen in a second listing: that is stated policy, and nothing else is ever cancelled
unasked. Where the job that is known to be the session's is not listed, it is not certain what the others are: then
they are left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from perijove.hub.broker import ending, transitions
from perijove.hub.broker.records import Record
from perijove.spawners.batch import BatchError
from perijove.spawners.job import JobState, JobStatus, session_of
from perijove.spawners.link import Account, LinkError
from perijove.spawners.session import Stage
from perijove.spawners.watcher import Listing

if TYPE_CHECKING:
    from perijove.hub.broker.keeper import Keeper

log = logging.getLogger(__name__)
_OVER = (JobState.ENDED, JobState.ENDING)


class Strays:
    """Those of one centre."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._seen: dict[Account, set[str]] = {}

    async def among(self, jobs: Mapping[str, Sequence[JobStatus]], listing: Listing) -> None:
        """Cancel those that were in the listing before, too; `jobs` are ours by session or worker job."""
        strange: dict[str, JobStatus] = {}
        unknown = await self._unknown(jobs)
        for owner, listed in jobs.items():
            kept = None if owner in unknown else self._kept(owner, listed)
            if kept is None and owner not in unknown:
                continue
            for job in listed:
                if job.job_id != kept and job.state not in _OVER:
                    strange[job.job_id] = job
        before = self._seen.get(listing.query.account, set())
        again = [job for job_id, job in strange.items() if job_id in before]
        self._seen[listing.query.account] = set(strange)
        if strange:
            self.keeper.watcher.hurry(3.0)
        for job in again:
            await self._cancel(job, listing.query.account)

    async def _unknown(self, jobs: Mapping[str, Sequence[JobStatus]]) -> set[str]:
        """Those of whom the store says that they are over, or nothing; not those that are not taken up yet."""
        keeper = self.keeper
        known = {name for name, work in keeper.works.items() if work.record.stage is not Stage.ENDED}
        known |= keeper.clusters.going()
        asked = [name for name in jobs if name not in known]
        if not asked:
            return set()
        stages = await keeper.context.sessions.stages(asked)
        going = await keeper.context.clusters.going(asked)
        return {name for name in asked if stages.get(name, Stage.ENDED) is Stage.ENDED and not going.get(name, False)}

    def _kept(self, owner: str, listed: Sequence[JobStatus]) -> str | None:
        """The id of the job or array that is the session's or worker job's; None where that is not certain."""
        if (work := self.keeper.works.get(owner)) is not None:
            job = of_record(listed, work.record)
            return job.job_id if job is not None else None
        return self.keeper.clusters.array_of(owner, listed)

    async def _cancel(self, job: JobStatus, asked_as: Account) -> None:
        keeper = self.keeper
        centre = keeper.context.centre.id
        work = keeper.works.get(session_of(job.name, keeper.tag) or "")
        if work is not None and job.node and work.record.stage in (Stage.SUBMITTED, Stage.QUEUED):
            await keeper.change([work], transitions.key_lost())  # it ran first, and took the key
        owners = [*(work.record.login for work in keeper.works.values()), *keeper.clusters.accounts()]
        account = next((a for a in owners if job.user and job.user in (a.name, a.run_as)), asked_as)
        log.warning("%s: job %s (%s) is nobody's: cancelled", centre, job.job_id, job.name)
        try:
            await ending.cancel_as(keeper.context, account, job.job_id)
        except (LinkError, BatchError) as error:
            log.warning("%s: job %s could not be cancelled: %s", centre, job.job_id, error)


def of_record(jobs: Sequence[JobStatus], record: Record) -> JobStatus | None:
    """Of the jobs listed for a session, the one that is the session's: the known one; else a live one, the oldest."""
    if record.job_id is not None:
        return next((job for job in jobs if job.job_id == record.job_id), None)
    return oldest(jobs)


def oldest(jobs: Sequence[JobStatus]) -> JobStatus | None:
    """A live one, of these the oldest."""
    return min(jobs, key=lambda job: (job.state is JobState.ENDED, len(job.job_id), job.job_id), default=None)


__all__ = ["Strays", "of_record", "oldest"]
