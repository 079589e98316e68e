#!/usr/bin/python3 -I
"""Perijove's launcher: the only program that the gateway runs at a login node.

It reads one JSON request on standard input, runs batch system commands as argument lists (never through a shell), and
writes one line of JSON on standard output. One file, standard library only, Python 3.6 or later, so that a centre's
administrator can read it whole. Verbs: `submit`, `status`, `cancel`, `check`.

It runs nothing but the commands in COMMANDS, found by their bare name in PATH, and those that the administrator lists
in /etc/perijove/launcher.json: {"programs": ["yhbatch", "/opt/slurm/bin/squeue", "/opt/perijove/bin/python"]}. Where it
is not installed the gateway sends this file ahead of the request; then the account is the gateway's own to use, and
the request may name the commands (`allow`). It writes only below the session's folder, and answers in bounded memory.
"""
# It must run under Python 3.6.
# ruff: noqa: UP006, UP031, UP035, UP045, PTH101, PTH103, PTH104, PTH108, PTH109, PTH112, PTH118, PTH123, B904
# ruff: noqa: SIM105, SIM905
import errno
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any, Callable, Dict, List, Optional, Tuple

VERSION = 2
SETTINGS = "/etc/perijove/launcher.json"
COMMANDS = set(
    "sbatch squeue scancel scontrol sinfo sacct sacctmgr sshare sprio yhbatch yhqueue yhq yhcancel yhcontrol yhinfo "
    "yhi yhacct qsub qstat qdel qselect qmgr pbsnodes tracejob qhost qacct qconf qquota bsub bjobs bkill bhist bqueues "
    "bhosts condor_submit condor_q condor_rm condor_history condor_status oarsub oarstat oardel oarnodes".split()
)
Request = Dict[str, Any]
Answer = Dict[str, Any]
SESSION = re.compile(r"[a-z2-7]{1,32}\Z")
FILE = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
REQUEST, STDOUT, STDERR, TOTAL, TAIL = 64 << 20, 8 << 20, 64 << 10, 16 << 20, 16 << 10  # bytes
CHECK = (
    "import json, importlib.util as u, importlib.metadata as m\n"
    "def version(name):\n"
    "    try: return m.version(name)\n"
    "    except m.PackageNotFoundError: return None\n"
    "def there(name):\n"
    "    try: return u.find_spec(name) is not None\n"
    "    except ImportError: return False\n"
    "agent = there('perijove.spawners.agent') and there('perijove.widgets.lab')\n"
    "names = ['perijove', 'jupyterhub', 'jupyterlab', 'distributed']\n"
    "print(json.dumps(dict({name: version(name) for name in names}, agent=agent)))"
)


class Problem(Exception):
    """Something that the gateway should know: a code, and words."""

    def __init__(self, code: str, detail: str) -> None:
        Exception.__init__(self, detail)
        self.code = code


def allowed(program: str, request: Request) -> bool:
    """Whether this launcher may run `program`."""
    if globals().get("IN_BAND"):
        return program in COMMANDS or program in request.get("allow", ())
    if program in COMMANDS:
        return True
    try:
        with open(SETTINGS, encoding="utf-8") as file:
            return program in json.load(file)["programs"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problem("settings", "%s: %s" % (SETTINGS, error))


def read_bounded(pipe: Any, limit: int, into: List[bytes]) -> None:
    """Collect at most `limit` bytes of `pipe` and throw the rest away, so that the writer never blocks."""
    kept = 0
    for block in iter(lambda: pipe.read1(65536), b""):
        if kept < limit:
            into.append(block[: limit - kept])
            kept += len(into[-1])


def write_all(pipe: IO[bytes], data: bytes) -> None:
    """Give a command its standard input; that it does not read all of it is its own affair."""
    try:
        pipe.write(data)
        pipe.close()
    except OSError:
        pass


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """End a command and everything it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass


def run(
    argv: List[str], text: str, timeout: float, request: Request, folder: Optional[str] = None, limit: int = STDOUT
) -> Answer:
    """Run one command; its exit status and bounded output, or a `problem` of this command alone."""
    if not (isinstance(argv, list) and argv and all(isinstance(word, str) and "\0" not in word for word in argv)):
        raise Problem("request", "argv is not a list of words")
    if not allowed(argv[0], request):
        return {"status": 126, "stdout": "", "stderr": "", "problem": "not-allowed"}
    environment = dict(os.environ, LC_ALL="C", PWD=folder or os.getcwd())
    if folder is None:  # a question: times in the answer are in UTC, as `perijove.spawners.batch` reads them
        environment["TZ"] = "UTC"
        environment["SLURM_BITSTR_LEN"] = "0"  # squeue cuts the list of an array's waiting tasks short without it
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, env=environment, start_new_session=True
        )
    except FileNotFoundError:
        return {"status": 127, "stdout": "", "stderr": "%s: not found" % argv[0], "problem": "not-found"}
    except OSError as error:
        return {"status": 126, "stdout": "", "stderr": "%s: %s" % (argv[0], error), "problem": "not-run"}
    out: List[bytes] = []
    err: List[bytes] = []
    work: List[Tuple[Callable[..., None], Tuple[Any, ...]]] = [
        (read_bounded, (process.stdout, limit, out)),
        (read_bounded, (process.stderr, STDERR, err)),
        (write_all, (process.stdin, text.encode("utf-8"))),
    ]
    threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in work]
    for thread in threads:
        thread.start()
    answer: Answer = {}
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        answer["problem"] = "timeout"
        end_group(process)
        process.wait()
    for thread in threads:
        thread.join(1)
    if any(thread.is_alive() for thread in threads[:2]):  # something in the background holds the pipes
        end_group(process)
    answer["status"] = process.returncode
    answer["stdout"] = b"".join(out).decode("utf-8", "replace")
    answer["stderr"] = b"".join(err).decode("utf-8", "replace")
    return answer


def expand(path: str) -> str:
    """`path` with the account's home and name in place of `~/` and `{account}`."""
    person = pwd.getpwuid(os.getuid())
    path = path.replace("{account}", person.pw_name)
    if path == "~" or path.startswith("~/"):
        if not os.path.isdir(person.pw_dir):
            raise Problem("home-missing", "the home directory %s does not exist" % person.pw_dir)
        path = person.pw_dir + path[1:]
    if not path.startswith("/") or ".." in path.split("/"):
        raise Problem("request", "not an absolute path: %r" % path)
    return path


def folder_of(request: Request, session: str) -> str:
    """The session's folder."""
    if not SESSION.match(str(session)):
        raise Problem("request", "not a session: %r" % session)
    return os.path.join(expand(request["base"]), session)


def write_file(folder: str, name: str, text: str) -> None:
    """Put a file of mode 0600 in place, whole or not at all."""
    if not FILE.match(name):
        raise Problem("request", "not a file name: %r" % name)
    handle, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        os.rename(temporary, os.path.join(folder, name))
    except BaseException:
        os.unlink(temporary)
        raise


def submit(request: Request) -> Answer:
    """Make the session's folder, put its files there, and run the submission in it (`argv` null: files only)."""
    folder = folder_of(request, request["session"])
    os.makedirs(folder, 0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    for name, text in request.get("files", {}).items():
        write_file(folder, name, text)
    outputs = []
    if request.get("argv") is not None:
        outputs = [run(request["argv"], request.get("stdin", ""), request["timeout"], request, folder)]
    return {"outputs": outputs, "folder": folder}


def log_of(request: Request, name: str) -> str:
    """The log that `name` means: of a session, or as SESSION/FILE another plain file in its folder."""
    session, slash, file = str(name).partition("/")
    if slash and not FILE.match(file):
        raise Problem("request", "not a file name: %r" % file)
    return os.path.join(folder_of(request, session), file if slash else "log")


def tail(path: str) -> Optional[str]:
    """The last 16 KiB of a plain file of this account, or None."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return None
        file.seek(max(0, found.st_size - TAIL))
        return file.read(TAIL).decode("utf-8", "replace")


def status(request: Request) -> Answer:
    """Run the queries, and read the ends of logs: of sessions, or of files in their folders (SESSION/FILE)."""
    outputs, left = [], TOTAL
    for command in request.get("commands", []):
        text = command.get("stdin", "")
        outputs.append(run(command["argv"], text, request["timeout"], request, limit=min(STDOUT, left)))
        left = max(0, left - len(outputs[-1]["stdout"]))
    tails = {name: tail(log_of(request, name)) for name in request.get("tails", [])}
    return {"outputs": outputs, "tails": {name: text for name, text in tails.items() if text is not None}}


def cancel(request: Request) -> Answer:
    """Run the cancellation, if there is one, and remove the folders of sessions whose jobs are gone."""
    outputs = []
    if request.get("argv") is not None:
        outputs = [run(request["argv"], "", request["timeout"], request)]
    for session in request.get("forget", []):
        shutil.rmtree(folder_of(request, session), ignore_errors=True)
    return {"outputs": outputs}


def check(request: Request) -> Answer:
    """What an operator wants to know of this account: home, programs, and the Python that jobs will run."""
    base = expand(request["base"])
    os.makedirs(base, 0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=base) as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fsync(file.fileno())
    space = os.statvfs(base)
    answer: Answer = {
        "outputs": [],
        "python": "%d.%d.%d" % sys.version_info[:3],
        "account": pwd.getpwuid(os.getuid()).pw_name,
        "base": base,
        "free": space.f_bavail * space.f_frsize,
        "programs": {name: shutil.which(name) for name in request.get("programs", [])},
    }
    if request.get("python"):
        answer["outputs"] = [run([expand(request["python"]), "-c", CHECK], "", request["timeout"], request)]
    return answer


def answer_to(text: str) -> Answer:
    """The answer to one request."""
    try:
        request = json.loads(text)
        verbs = {"submit": submit, "status": status, "cancel": cancel, "check": check}
        answer = verbs[request["verb"]](request)
    except Problem as problem:
        return {"ok": False, "problem": problem.code, "detail": str(problem)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return {"ok": False, "problem": "request", "detail": "%s: %s" % (type(error).__name__, error)}
    except OSError as error:
        codes = {errno.ENOSPC: "home-full", errno.EDQUOT: "home-full", errno.EACCES: "home-denied"}
        codes.update({errno.EROFS: "home-denied", errno.EPERM: "home-denied"})
        return {"ok": False, "problem": codes.get(error.errno or 0, "system"), "detail": str(error)}
    return dict(answer, ok=True, version=VERSION)


def main() -> None:
    """Answer the request on standard input."""
    os.umask(0o077)
    text = sys.stdin.buffer.read(REQUEST).decode("utf-8", "replace")
    answer = json.dumps(answer_to(text), ensure_ascii=False, separators=(",", ":"))
    sys.stdout.buffer.write(b"\n" + answer.encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
