#!/usr/bin/python3 -I
"""Perijove's launcher: the only program that the gateway runs at a login node.

It reads one line of JSON on standard input, runs batch system commands as argument lists (never through a shell), and
writes one line of JSON on standard output; a piece of a file follows the request, or precedes the answer, as it is. One
file, standard library only, Python 3.6 or later, so that a centre's administrator can read it whole. Verbs: `submit`,
`status`, `cancel`, `check`, and for a person's own files `list`, `read` and `write`.

It runs nothing but the commands in COMMANDS, found by their bare name in PATH, and those that the administrator lists
in /etc/perijove/launcher.json: {"programs": ["yhbatch", "/opt/slurm/bin/squeue", "/opt/perijove/bin/python"]}. Where it
is not installed the gateway sends this file ahead of the request; then the account is the gateway's own to use, and
the request may name the commands (`allow`). For a session it writes below the session's folder only. Files are plain
ones below the account's home, without what is hidden there (.ssh, .bashrc), and below the gateway's own directory: no
link or `..` leads elsewhere, and a file is there whole or not at all. It answers in bounded memory.
"""
# It must run under Python 3.6.
# ruff: noqa: UP006, UP031, UP035, UP045, PTH101, PTH103, PTH104, PTH108, PTH109, PTH112, PTH118, PTH123, B904
# ruff: noqa: PTH100, PTH116, SIM105, SIM905
import errno
import hashlib
import heapq
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

VERSION = 3
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
PIECE, NAMES = 16 << 20, 5000  # bytes of a file, and entries of a folder, in one answer
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


def raw(path: str) -> bytes:
    """A name as the file system has it: JSON carries bytes that are no UTF-8 as lone surrogates."""
    return path.encode("utf-8", "surrogateescape")


def inside(place: bytes, top: str) -> bool:
    """Whether a place is a folder of the account (as a request names it), or below it."""
    true = os.path.realpath(raw(expand(top)))
    return place == true or place.startswith(true.rstrip(b"/") + b"/")


def place_of(request: Request) -> bytes:
    """The true place of the file or folder that a request means ("~/x", "x", or absolute).

    It is below the gateway's directory (but for `own`, a person's own files), or below the home and not hidden there.
    For `write` a last link stays one: it is not followed, and the new file replaces it.
    """
    path = str(request["path"])
    if "\0" in path or ".." in path.split("/"):
        raise Problem("outside", "not a path of a file here: %r" % path)
    path = expand(path if path.startswith(("/", "~/")) or path == "~" else "~/" + path)
    parent, name = os.path.split(os.path.abspath(raw(path)))
    place = os.path.join(os.path.realpath(parent), name)
    if request["verb"] != "write":
        place = os.path.realpath(place)
    if inside(place, request["base"]) and not request.get("own"):
        return place
    if not inside(place, "~") or inside(place, request["base"]):
        raise Problem("outside", "it is not below the home directory: %r" % path)
    if b"/." in place[len(os.path.realpath(raw(expand("~")))) :]:
        raise Problem("outside", "it is hidden: %r" % path)
    return place


def plain(place: bytes, flags: int, folder: Optional[int] = None) -> int:
    """A handle of a plain file: no link, device or pipe."""
    try:
        handle = os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as error:
        codes = {errno.ENOENT: "no-file", errno.ENOTDIR: "no-file", errno.ELOOP: "not-a-file"}
        codes.update({errno.ENXIO: "not-a-file", errno.EISDIR: "not-a-file", errno.EACCES: "no-access"})
        if error.errno in codes:
            raise Problem(codes[error.errno], str(error))
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Problem("not-a-file", "not a plain file: %r" % place)
    return handle


def there(name: bytes, folder: int) -> bool:
    """Whether a folder has something of that name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def digest(handle: int) -> str:
    """The SHA-256 of a file."""
    total = hashlib.sha256()
    os.lseek(handle, 0, os.SEEK_SET)
    for block in iter(lambda: os.read(handle, 1 << 20), b""):
        total.update(block)
    return total.hexdigest()


def listing(request: Request) -> Answer:
    """What is in a folder, by name: nothing hidden but in the gateway's own, and no link that leads elsewhere."""
    place = place_of(request)
    try:
        folder = os.scandir(place)
    except OSError as error:
        raise Problem("no-access" if error.errno == errno.EACCES else "no-folder", str(error))
    ours = inside(place, request["base"])
    found = heapq.nsmallest(NAMES + 1, (entry.name for entry in folder if ours or not entry.name.startswith(b".")))
    entries = []
    for name in found[:NAMES]:
        text = name.decode("utf-8", "surrogateescape")
        path = os.path.join(place, name).decode("utf-8", "surrogateescape")
        try:
            facts = os.stat(place_of(dict(request, path=path)))
        except (OSError, Problem):
            continue
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
        kind = kinds.get(stat.S_IFMT(facts.st_mode), "other")
        entries.append({"name": text, "kind": kind, "size": facts.st_size, "mtime": facts.st_mtime})
    return {"entries": entries, "more": len(found) > NAMES}


def read(request: Request) -> Answer:
    """A piece of a file (`body`), with the file's size and time, and on request the SHA-256 of all of it."""
    handle = plain(place_of(request), os.O_RDONLY)
    try:
        facts = os.fstat(handle)
        answer: Answer = {"total": facts.st_size, "mtime": facts.st_mtime}
        offset, length = int(request["offset"]), min(int(request["length"]), PIECE)
        answer["body"] = os.pread(handle, length, offset) if length > 0 else b""
        if request.get("sha256"):
            answer["sha256"] = digest(handle)
    finally:
        os.close(handle)
    return answer


def write(request: Request) -> Answer:
    """Put the `length` bytes after the request at `offset` of a partial file beside its target, and say how long it is.

    At the end (`done`: the SHA-256) the file is put in place. `drop` removes the partial file.
    """
    place = place_of(request)
    parent, name = os.path.split(place)
    place_of(dict(request, verb="list", path=parent.decode("utf-8", "surrogateescape")))  # the folder is one's own, too
    if not SESSION.match(str(request["part"])):
        raise Problem("request", "not a name for a partial file: %r" % request["part"])
    os.makedirs(parent, 0o700, exist_ok=True)
    folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    part = raw(".perijove-%s.part" % request["part"])
    try:
        if request.get("drop"):
            try:
                os.unlink(part, dir_fd=folder)
            except FileNotFoundError:
                pass
            return {"size": 0}
        handle = plain(part, os.O_RDWR | os.O_CREAT, folder)
        try:
            return put(request, handle, folder, part, name)
        finally:
            os.close(handle)
    finally:
        os.close(folder)


def put(request: Request, handle: int, folder: int, part: bytes, name: bytes) -> Answer:
    """What `write` does with the partial file's handle."""
    offset, length = int(request.get("offset", 0)), int(request.get("length", 0))
    if length:
        if not (0 < length <= PIECE and 0 <= offset <= os.fstat(handle).st_size):
            raise Problem("offset", "%d bytes at %d do not fit" % (length, offset))
        os.ftruncate(handle, offset)
        os.lseek(handle, offset, os.SEEK_SET)
        block = b"begin"
        while length and block:  # what a broken connection brought is kept
            block = sys.stdin.buffer.read(min(length, 1 << 20))
            length -= len(block)
            written = 0
            while written < len(block):
                written += os.write(handle, block[written:])
    if request.get("done"):
        if digest(handle) != request["done"]:
            os.unlink(part, dir_fd=folder)
            raise Problem("checksum", "what arrived is not what was sent; the partial file is removed")
        if not request.get("replace") and there(name, folder):
            raise Problem("exists", "there is a file of that name: %r" % name)
        os.fsync(handle)
        try:
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError as error:
            raise Problem("exists", str(error))
        os.fsync(folder)
    return {"size": os.fstat(handle).st_size}


def answer_to(text: str) -> Answer:
    """The answer to one request."""
    try:
        request = json.loads(text)
        verbs = {"submit": submit, "status": status, "cancel": cancel, "check": check}
        verbs.update({"list": listing, "read": read, "write": write})
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
    answer = answer_to(sys.stdin.buffer.readline(REQUEST).decode("utf-8", "replace"))
    body = answer.pop("body", b"")
    if body:
        answer["body"] = len(body)
        sys.stdout.buffer.write(body)
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.buffer.write(b"\n" + text.encode("utf-8", "surrogatepass") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
