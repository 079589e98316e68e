"""Processes of the embedded batch system: started detached, told apart for certain, and taken down whole.

A job is `sh` (the wrapper) over `timeout` over the job's script: three small processes of the system's own programs,
so that a hundred jobs cost a few megabytes. The wrapper is the leader of its own session; nothing that happens to who
submitted it reaches it. Three facts make it safe against kill -9 of anyone at any time:

* The wrapper waits for one word on a pipe, which it gets only after its process id is on disk. If whoever started it
  dies before, it reads the end of the file and leaves without having run anything.
* It leaves `started` before and `exit` after the job in the job's folder, so the next command that looks knows whether
  a job whose wrapper is gone never ran, ended by itself, or was cut down.
* Every process of a job carries a mark in its environment (as HTCondor does it), so that those which left the process
  group, as Jupyter's kernels do, are found and ended with the job. A process id is believed only together with its
  start time and the machine's boot id.

`timeout` (GNU coreutils) enforces the walltime: TERM to the job's process group, and KILL after the grace; and it does
the same when it gets TERM itself, which is how a job is cancelled.
"""

from __future__ import annotations

import os
import pwd
import signal
import sys
import time

#: The variable that marks a job's processes: `ROOT-ID:JOB-ID`.
MARK = "PERIJOVE_LOCAL_JOB"

_FINISH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from perijove.spawners.localqueue import main; sys.exit(main())"
)

# Arguments: folder of the job, working directory, output, walltime, grace, interpreter and its option or "", then the
# command that records the end.
_WRAPPER = r"""
read -r word && [ "$word" = go ] || exit 0
exec </dev/null
folder=$1 directory=$2 output=$3 walltime=$4 grace=$5 interpreter=$6 option=$7
shift 7
: >"$folder/started"
if cd -- "$directory" && true >>"$output"; then
  timeout --preserve-status -k "$grace" "$walltime" \
    "$interpreter" ${option:+"$option"} "$folder/script" >>"$output" 2>&1
  code=$?
else
  code=launch
fi
cd /
echo "$code" >"$folder/exit"
exec "$@" --code "$code"
"""


def this_python(*arguments: str) -> list[str]:
    """The command line that runs the queue's program with this Python, without the time that `site` takes."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    package = sys.modules["perijove"].__file__
    if package:
        root = os.path.dirname(os.path.dirname(package))  # noqa: PTH120
    return [sys.executable, "-I", "-S", "-c", _FINISH, root, *arguments]


def boot() -> str:
    """What tells this run of the machine from the one before."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def born(pid: int) -> int | None:
    """The start time of process `pid` in clock ticks since boot; None if it is gone or only its shell is left."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in ("Z", "X") else int(stat[19])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third (state) on; the second, the name, may have anything in it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except FileNotFoundError:
        pass  # gone, or a kernel without this file
    return [other for other in _pids() if (stat := _stat(other)) and stat[0] != "Z" and int(stat[1]) == pid]


def marked(*marks: str, but: int = 0) -> list[int]:
    """All living processes with one of `marks`, or that begins with one which ends with a colon; without `but`."""
    wanted = {f"{MARK}={mark}".encode() for mark in marks}
    begin = tuple(mark for mark in wanted if mark.endswith(b":"))
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
                entries = file.read().split(b"\0")
        except OSError:
            continue  # another person's, or gone by now
        ours = any(entry in wanted or (begin and entry.startswith(begin)) for entry in entries)
        if ours and pid != but and born(pid) is not None:
            found.append(pid)
    return found


def send(pids: list[int], number: int) -> None:
    """A signal to each of `pids` that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_marked(*marks: str, grace: float = 0, but: int = 0) -> None:
    """Take down all processes with `marks`: TERM, and KILL after `grace` seconds; waits for their end, 5 s at most."""
    pids = marked(*marks, but=but)
    if pids and grace > 0:
        send(pids, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while (pids := marked(*marks, but=but)) and time.monotonic() < deadline:
            time.sleep(0.02)
    deadline = time.monotonic() + 5
    while pids and time.monotonic() < deadline:
        send(pids, signal.SIGKILL)
        time.sleep(0.005)
        pids = marked(*marks, but=but)


def interpreter(script: str) -> tuple[str, str]:
    """The program of the script's first line and its option or ""; `/bin/sh` where it names none."""
    first = script.split("\n", 1)[0]
    if first.startswith("#!/"):
        program, _, option = first[2:].strip().partition(" ")
        return program, option.strip()
    return "/bin/sh", ""


def environment(mark: str, extra: dict[str, str]) -> dict[str, str]:
    """What a job finds: the person's own home and name, plain defaults, nothing of who submitted it."""
    person = pwd.getpwuid(os.getuid())
    plain = {
        "HOME": person.pw_dir,
        "USER": person.pw_name,
        "LOGNAME": person.pw_name,
        "SHELL": person.pw_shell or "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }
    return {**plain, **extra, MARK: mark}


class Wrapper:
    """A wrapper that was started and waits: `go` lets it run the job, anything else makes it leave."""

    def __init__(self, arguments: list[str], finish: list[str], environ: dict[str, str]) -> None:
        """Starts it with the seven `arguments` of the script above and the command that records the end.

        Raises OSError.
        """
        reading, self._writing = os.pipe()
        try:
            null = os.open(os.devnull, os.O_RDWR)
            try:
                self.pid = os.posix_spawn(
                    "/bin/sh",
                    ["/bin/sh", "-c", _WRAPPER, "perijove-job", *arguments, *finish],
                    environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, reading, 0),
                        (os.POSIX_SPAWN_DUP2, null, 1),
                        (os.POSIX_SPAWN_DUP2, null, 2),
                    ],
                    setsid=True,
                    setsigmask=[],
                    setsigdef=[number for number in signal.valid_signals() if number not in _FIXED],
                )
            finally:
                os.close(null)
        except OSError:
            os.close(self._writing)
            raise
        finally:
            os.close(reading)
        self.born = born(self.pid)

    def go(self) -> None:
        """Let it run the job: to be called when its process id is on disk."""
        try:
            os.write(self._writing, b"go\n")
        except BrokenPipeError:
            pass  # it was killed in the meantime: the next command sees that it never began
        finally:
            os.close(self._writing)


_FIXED = {signal.SIGKILL, signal.SIGSTOP}
