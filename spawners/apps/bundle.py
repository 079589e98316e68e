"""An app as one file, on its way from the gateway to a session: packed the same each time, unpacked with care.

What arrives is not trusted to be short, to be a zip, or to stay in its folder: names are plain paths below it, entries
are plain files, sizes are counted while they are read, and the digest of what was unpacked must be the one asked for.
"""

from __future__ import annotations

import contextlib
import io
import re
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from perijove.spawners.apps.folder import MOST_BYTES, MOST_FILES, BadFolder, digest_of, files_of
from perijove.spawners.apps.manifest import App
from perijove.spawners.visible import visible

#: The time that every file in a bundle has: the first one that a zip can say.
_TIME = (1980, 1, 1, 0, 0, 0)


class BadBundle(ValueError):
    """A bundle that cannot be used; the message says why."""


def pack(app: App) -> bytes:
    """The files of `app` as a zip; the same files give the same bytes.

    Raises:
        BadFolder: the folder is no longer that of an app.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in files_of(app.folder):
            entry = zipfile.ZipInfo(path.as_posix(), _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            bundle.writestr(entry, (app.folder / path).read_bytes())
    return whole.getvalue()


def unpack(data: bytes, digest: str, folder: Path) -> Path:
    """Unpack a bundle into `folder`/`digest`, whole or not at all; what is there already and good is kept.

    Returns:
        The app's folder.

    Raises:
        BadBundle: it is no bundle, or not the one that was asked for.
        OSError: the folder cannot be written.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise BadBundle("its digest is none")
    target = folder / digest
    if _is(target, digest):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as draft:
        inside = Path(draft) / "app"
        inside.mkdir()
        _extract(data, inside)
        if not _is(inside, digest):
            raise BadBundle("is not the app that was asked for: its digest differs")
        if target.exists() or target.is_symlink():  # damaged since, or half of an earlier one
            aside = Path(draft) / "old"
            target.rename(aside)
        try:
            inside.rename(target)
        except OSError:
            if not _is(target, digest):  # another process was quicker
                raise
    return target


def _is(folder: Path, digest: str) -> bool:
    with contextlib.suppress(BadFolder, OSError):
        return folder.is_dir() and not folder.is_symlink() and digest_of(folder) == digest
    return False


def _extract(data: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            entries = bundle.infolist()
            if len(entries) > MOST_FILES:
                raise BadBundle(f"has more than {MOST_FILES} files")
            left, seen = MOST_BYTES, set[str]()
            for entry in entries:
                path = _place(entry)
                if entry.filename in seen:
                    raise BadBundle(f"has {visible(entry.filename, 80)} twice")
                seen.add(entry.filename)
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(entry) as source, target.open("xb") as file:
                    left -= _copy(source, file, left)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        if isinstance(error, BadBundle):
            raise
        raise BadBundle(f"is no zip that can be read: {visible(str(error), 120)}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise BadBundle("has a file where it has a folder, too") from None


def _place(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where an entry goes, below the folder. Raises BadBundle."""
    name, mode = entry.filename, entry.external_attr >> 16
    parts = name.split("/")
    if not name.isprintable() or len(name) > 300 or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise BadBundle(f"has a file of the name {visible(name, 80)}, which is none")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or entry.is_dir():
        raise BadBundle(f"{visible(name, 80)} is no plain file")
    if entry.flag_bits & 1:
        raise BadBundle(f"{visible(name, 80)} is encrypted")
    return PurePosixPath(*parts)


def _copy(source: IO[bytes], file: IO[bytes], left: int) -> int:
    """Copy at most `left` bytes. Raises BadBundle: there are more."""
    copied = 0
    while block := source.read(1 << 16):
        copied += len(block)
        if copied > left:
            raise BadBundle(f"has more than {MOST_BYTES >> 20} MiB")
        file.write(block)
    return copied


__all__ = ["BadBundle", "pack", "unpack"]
