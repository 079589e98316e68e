"""What the embedded batch system keeps on disk: queues and jobs in SQLite, under one lock.

One root directory (mode 0700) is one batch system: `queue.db`, the file `lock`, and a folder per live job. Every change
is made while holding the lock, which the kernel frees when its holder dies, and in one transaction, so that a command
killed at any point leaves the state of before or after it. Only the standard library: each command loads this.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
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
  restarts INTEGER NOT NULL DEFAULT 0, exit_code INTEGER, signal INTEGER,
  array INTEGER, task INTEGER
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, id);
CREATE INDEX IF NOT EXISTS jobs_by_array ON jobs (array, task);
"""

_INSERT = (
    "INSERT INTO jobs (name, queue, cores, memory, gpus, walltime, grace, directory, output, script, submitted, array,"
    " task) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# The first task of an array has the script of all of them, and stays while one of them lives.
_OVER = (
    "state = 'ended' AND (task IS NULL OR task <> 1 OR NOT EXISTS"
    " (SELECT 1 FROM jobs AS other WHERE other.array = jobs.array AND other.state <> 'ended'))"
)


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
            made = {row["name"] for row in self.db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
            if "jobs_by_array" not in made:
                self._make(old="jobs_by_state" in made)
            self.db.execute("PRAGMA synchronous = NORMAL")
            found = self.db.execute("SELECT id FROM about").fetchone()
        except BaseException:
            os.close(self._lock)
            raise
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        #: The root's own mark: jobs of two roots on one machine are told apart by it.
        self.id: str = found["id"]

    def _make(self, old: bool) -> None:
        os.chmod(self.root, 0o700)  # noqa: PTH101
        self.db.execute("PRAGMA journal_mode = WAL")
        if old:  # a root from before there were arrays
            columns = {row["name"] for row in self.db.execute("PRAGMA table_info(jobs)")}
            for column in {"array", "task"} - columns:
                self.db.execute(f"ALTER TABLE jobs ADD COLUMN {column} INTEGER")
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

    def insert(self, given: tuple[object, ...], output: str, script: str, now: float, tasks: int) -> int:
        """Queue a job, or an array of `tasks` tasks whose first has the script of all; its id.

        `given`: name, queue, cores, memory, gpus, walltime, grace, directory.
        """
        job = self.db.execute(_INSERT, (*given, output, script, now, None, None)).lastrowid or 0
        if tasks:
            self.db.execute("UPDATE jobs SET output = ?, array = id, task = 1 WHERE id = ?", (f"{output}.1", job))
            later = ((*given, f"{output}.{task}", "", now, job, task) for task in range(2, tasks + 1))
            self.db.executemany(_INSERT, later)
        return job

    def named(self, names: Iterable[int | str]) -> list[sqlite3.Row]:
        """The jobs that `names` mean, each once: 7 is a job or all tasks of an array, "7_3" the third of these."""
        found = {}
        for name in names:
            number, _, task = str(name).partition("_")
            if task:
                rows = self.rows("array = ? AND task = ?", int(number), int(task))
            else:
                rows = self.rows("array = ?1 OR (id = ?1 AND array IS NULL)", int(number))
            found.update({row["id"]: row for row in rows})
        return [found[number] for number in sorted(found)]

    def script(self, job: sqlite3.Row) -> str:
        """What a job runs; all tasks of an array run the same."""
        found = self.db.execute("SELECT script FROM jobs WHERE id = ?", (job["array"] or job["id"],))
        return str(found.fetchone()["script"])

    def change(self, job: int, **columns: object) -> None:
        """Set columns of a job."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.db.execute(f"UPDATE jobs SET {names} WHERE id = ?", (*columns.values(), job))  # noqa: S608

    def forget(self, now: float) -> None:
        """Drop what ended long ago."""
        self.db.execute(f"DELETE FROM jobs WHERE {_OVER} AND ended < ?", (now - REMEMBERED,))  # noqa: S608
        self.db.execute(
            f"DELETE FROM jobs WHERE {_OVER} AND id <= (SELECT max(id) FROM jobs) - ?",  # noqa: S608
            (REMEMBERED_JOBS,),
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
