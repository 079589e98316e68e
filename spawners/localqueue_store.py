"""What the embedded batch system keeps on disk: queues and jobs in SQLite, under one lock.

One root directory (mode 0700) is one batch system: `queue.db`, the file `lock`, and a folder per live job. Every change
is made while holding the lock, which the kernel frees when its holder dies, and in one transaction, so that a command
killed at any point leaves the state of before or after it. Only the standard library: each command loads this.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Ended jobs are remembered for so many seconds, and so many of them at most.
REMEMBERED = 7 * 86400.0
REMEMBERED_JOBS = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (id TEXT NOT NULL, closed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS queues (
  name TEXT PRIMARY KEY, nodes INTEGER NOT NULL, cores INTEGER NOT NULL, memory INTEGER NOT NULL, gpus INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL, queue TEXT NOT NULL,
  cores INTEGER NOT NULL, memory INTEGER NOT NULL, gpus INTEGER NOT NULL,
  walltime INTEGER NOT NULL, grace INTEGER NOT NULL,
  directory TEXT NOT NULL, output TEXT NOT NULL, script TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued',
  reason TEXT NOT NULL DEFAULT '',
  submitted REAL NOT NULL, started REAL, ended REAL, cancelled REAL,
  node INTEGER, pid INTEGER, born INTEGER, boot TEXT,
  restarts INTEGER NOT NULL DEFAULT 0, exit_code INTEGER, signal INTEGER
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, id);
"""


class Store:
    """The state of one root; use it inside `locked()`, which is also the transaction."""

    def __init__(self, root: str) -> None:
        """Opens the root, and makes it where there is none. Raises OSError and sqlite3.Error."""
        #: Folders of jobs whose end is being written down.
        self.litter: list[str] = []
        self.root = os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111 - pathlib costs each command several milliseconds
        os.makedirs(os.path.join(self.root, "jobs"), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH118
        self._lock = os.open(os.path.join(self.root, "lock"), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self.db = sqlite3.connect(
                os.path.join(self.root, "queue.db"),  # noqa: PTH118
                isolation_level=None,
                timeout=30,
                check_same_thread=False,
            )
            self.db.row_factory = sqlite3.Row
            if not self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs_by_state'").fetchone():
                self._make()
            self.db.execute("PRAGMA synchronous = NORMAL")
            found = self.db.execute("SELECT id FROM about").fetchone()
        except BaseException:
            os.close(self._lock)
            raise
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        #: The root's own mark: jobs of two roots on one machine are told apart by it.
        self.id: str = found["id"]

    def _make(self) -> None:
        os.chmod(self.root, 0o700)  # noqa: PTH101
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript(_SCHEMA)
        if not self.db.execute("SELECT 1 FROM about").fetchone():
            self.db.execute("INSERT INTO about (id) VALUES (?)", (os.urandom(8).hex(),))

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """Alone with the state: committed at the end, rolled back if an exception leaves the block."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                self.db.rollback()
                raise
            self.db.commit()
            # Not before: what a job left behind is the evidence of its end until that end is on disk.
            while self.litter:
                discard(self.litter.pop())
        finally:
            self.litter.clear()
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def commit(self) -> None:
        """Inside `locked()`: what was done so far is on disk when this returns; the lock stays."""
        self.db.commit()
        self.db.execute("BEGIN IMMEDIATE")

    def folder(self, job: int) -> str:
        """The folder of a live job."""
        return os.path.join(self.root, "jobs", str(job))  # noqa: PTH118

    def mark(self, job: int) -> str:
        """What marks the processes of a job; see `localqueue_process`."""
        return f"{self.id}:{job}"

    def rows(self, where: str, *values: object) -> list[sqlite3.Row]:
        """Jobs by an SQL condition of this package's own making, in the order of submission."""
        return self.db.execute(f"SELECT * FROM jobs WHERE {where} ORDER BY id", values).fetchall()  # noqa: S608

    def change(self, job: int, **columns: object) -> None:
        """Set columns of a job."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job))  # noqa: S608

    def forget(self, now: float) -> None:
        """Drop what ended long ago."""
        self.db.execute("DELETE FROM jobs WHERE state = 'ended' AND ended < ?", (now - REMEMBERED,))
        self.db.execute(
            "DELETE FROM jobs WHERE state = 'ended' AND id <= (SELECT max(id) FROM jobs) - ?", (REMEMBERED_JOBS,)
        )

    def close(self) -> None:
        """Let go of the files."""
        self.db.close()
        os.close(self._lock)


def discard(folder: str) -> None:
    """Remove a job's folder, which has files only; `shutil` would cost each command several milliseconds."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):  # noqa: PTH208
            os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118
        os.rmdir(folder)  # noqa: PTH106
