"""The child process that runs one function of a pipeline; and how a pipeline's module is loaded.

Light: what the function needs it imports itself. The order comes through standard input, words and result go back on
the descriptor named by `CHANNEL`; standard output and error are the step's log.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from perijove.spawners.apps.case import Case, MissingCode
from perijove.spawners.apps.codes import FULL
from perijove.spawners.apps.progress import CHANNEL, tell
from perijove.spawners.apps.steps import BadPipeline, Unfit

#: The name under which a pipeline is loaded.
MODULE = "perijove_pipeline"
#: Bytes of the largest result of a function: numbers and names, not data.
MOST = 1 << 20


def load(pipeline: Path) -> ModuleType:
    """The pipeline's module; it may import modules that lie beside it.

    Raises:
        BadPipeline: it cannot be loaded; the message says why and where.
    """
    sys.dont_write_bytecode = True  # an app's folder is not ours to write to
    if str(pipeline.parent) not in sys.path:
        sys.path.append(str(pipeline.parent))
    spec = importlib.util.spec_from_file_location(MODULE, pipeline)
    if spec is None or spec.loader is None:
        raise BadPipeline(f"{pipeline} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadPipeline(f"{pipeline.name} cannot be loaded: {error!r}{where(error)}") from error
    return module


def where(error: BaseException) -> str:
    """The last place of an error in the app's own files."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if "perijove/spawners" not in frame.filename and "importlib" not in frame.filename
    ]
    return f" (line {ours[-1].lineno} of {Path(ours[-1].filename).name})" if ours else ""


def plain(value: Any) -> Any:
    """NumPy's numbers and paths as JSON."""
    if isinstance(value, Path):
        return str(value)
    item = getattr(value, "tolist", None) or getattr(value, "item", None)
    if callable(item):
        return item()
    raise TypeError(f"a {type(value).__name__} cannot be a result: use text, numbers, lists and mappings")


def _perform(order: dict[str, Any]) -> dict[str, Any]:
    """Calls the function; the message for the engine."""
    try:
        case = Case.from_json(order["case"])
        module = load(Path(order["pipeline"]))
        result = getattr(module, order["function"])(case, *map(Path, order["paths"]), **order["arguments"])
        if len(json.dumps(result, default=plain)) > MOST:
            raise ValueError(f"{order['function']} returned more than 1 MiB: write files and return their names")
    except Unfit as error:
        return {"unfit": error.words, "input": error.input}
    except MissingCode as error:
        return {"missing": error.name}
    except BadPipeline as error:
        return {"broken": str(error)}
    except MemoryError:
        traceback.print_exc()
        return {"error": "MemoryError", "memory": True}
    except Exception as error:
        traceback.print_exc()
        full = isinstance(error, OSError) and error.errno in FULL
        return {"error": f"{type(error).__name__}: {error}"[:500], "full": full}
    return {"result": result, "data": sorted(case.used)}


def main() -> None:
    """Reads the order and carries it out."""
    # Whoever waits for us may be killed; nobody would read what comes of it.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    channel = int(os.environ[CHANNEL])
    os.set_inheritable(channel, False)
    order = json.loads(sys.stdin.buffer.read())
    message = _perform(order)
    sys.stdout.flush()
    tell(channel, json.loads(json.dumps(message, default=plain)))
    sys.stderr.flush()
    # Threads of libraries must not keep a finished step.
    os._exit(0 if "result" in message else 1)


if __name__ == "__main__":
    main()
