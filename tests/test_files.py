"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mdl import encode, files, load, save
from mdl.errors import MdlError
from mdl.files import write_atomically

ROOT = Path(__file__).parents[1]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("before", [None, b"a longer content from before"], ids=["new", "replaced"])
def test_the_file_holds_what_was_written_and_nothing_else_is_left(tmp_path, before):
    path = tmp_path / "table.csv"
    if before is not None:
        path.write_bytes(before)
    write_atomically(path, lambda stream: [stream.write(b"ab"), stream.write(b"cd")])
    assert path.read_bytes() == b"abcd"
    assert names(tmp_path) == {"table.csv"}


def test_the_old_file_is_readable_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")
    seen = []

    def write(stream):
        stream.write(b"new")
        stream.flush()
        seen.append(path.read_bytes())

    write_atomically(path, write)
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt], ids=["error", "interrupt"])
@pytest.mark.parametrize("before", [set(), {"table.csv"}], ids=["new", "replaced"])
def test_a_failure_half_way_leaves_everything_as_it_was(tmp_path, error, before):
    path = tmp_path / "table.csv"
    if before:
        path.write_bytes(b"old")

    def write(stream):
        stream.write(b"half")
        raise error

    with pytest.raises(error):
        write_atomically(path, write)
    assert names(tmp_path) == before
    assert not before or path.read_bytes() == b"old"


def test_a_full_disk_is_an_error_of_ours_that_names_the_file(tmp_path):
    def write(stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(MdlError, match=r"table\.csv: cannot be written: No space left on device"):
        write_atomically(tmp_path / "table.csv", write)
    assert names(tmp_path) == set()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MdlError, match=r"nowhere.table\.csv: cannot be written: No such file or directory"):
        write_atomically(tmp_path / "nowhere" / "table.csv", lambda stream: stream.write(b"x"))


def test_a_folder_is_refused_and_stays(tmp_path):
    (tmp_path / "results").mkdir()
    with pytest.raises(MdlError, match="came a folder or a device"):
        write_atomically(tmp_path / "results", lambda stream: stream.write(b"x"))
    assert (tmp_path / "results").is_dir()
    assert names(tmp_path) == {"results"}


def test_a_device_is_refused_rather_than_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(MdlError, match="came a folder or a device"):
        write_atomically(pipe, lambda stream: stream.write(b"x"))
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "table.csv"
    target.write_bytes(b"old")
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    write_atomically(link, lambda stream: stream.write(b"new"))
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "ours", lambda stream: stream.write(b"x"))
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_longest_file_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, lambda stream: stream.write(b"x"))
    assert path.read_bytes() == b"x"


HALF = """
import os, signal, sys
from pathlib import Path
from mdl.files import write_atomically
write_atomically(Path(sys.argv[1]), lambda s: [s.write(b"half"), s.flush(), os.kill(os.getpid(), signal.SIGKILL)])
"""


def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_YOUNG", 0.0)
    killed = subprocess.run([sys.executable, "-c", HALF, str(tmp_path / "a")], cwd=ROOT, check=False)
    (left,) = names(tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert left.startswith(".mdl-")
    (tmp_path / ".mdl-notes.tmp").write_bytes(b"the user's own")
    write_atomically(tmp_path / "b", lambda stream: stream.write(b"whole"))
    assert names(tmp_path) == {"b", ".mdl-notes.tmp"}


def test_what_another_writer_is_writing_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_YOUNG", 0.0)

    def write(stream):
        stream.write(b"first")
        write_atomically(tmp_path / "b", lambda inner: inner.write(b"second"))
        stream.flush()
        assert len(names(tmp_path)) == 2

    write_atomically(tmp_path / "a", write)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"first", "b": b"second"}


def test_a_file_that_is_younger_than_its_lock_is_left_alone(tmp_path):
    (tmp_path / ".mdl-0123456789abcdef.tmp").write_bytes(b"")
    write_atomically(tmp_path / "b", lambda stream: stream.write(b"whole"))
    assert names(tmp_path) == {"b", ".mdl-0123456789abcdef.tmp"}


# ---- no room, no permission


def limited(size: int):
    """In a child: no file may be longer than this."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def mdl(*arguments: object, **more):
    command = [sys.executable, "-c", "from mdl.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **more)


@pytest.fixture
def large(tmp_path) -> Path:
    save({"w": np.random.default_rng(0).normal(size=40_000)}, tmp_path / "large.safetensors")
    return tmp_path / "large.safetensors"


@pytest.mark.parametrize("before", [None, b"of before"], ids=["new", "replaced"])
@pytest.mark.parametrize("what", ["encode", "decode", "sweep", "curve"])
def test_no_room_is_one_line_and_leaves_what_was(large, tmp_path, what, before):
    out = tmp_path / "out"
    out.mkdir()
    write_atomically(tmp_path / "m.mdl", lambda stream: stream.write(encode(load(large), step=0.01)))
    command, target = {
        "encode": (("encode", large, "-o", out / "m.mdl"), out / "m.mdl"),
        "decode": (("decode", tmp_path / "m.mdl", "-o", out / "w.npz"), out / "w.npz"),
        "sweep": (
            (
                "sweep",
                "wine",
                "--strengths",
                2,
                "--seeds",
                1,
                "-m",
                "logistic",
                "-p",
                "gaussian",
                "--jobs",
                1,
                "-o",
                out,
            ),
            out / "sweep.csv",
        ),
        "curve": (("measure", large, "--curve", out / "curve.csv"), out / "curve.csv"),
    }[what]
    if before is not None:
        target.write_bytes(before)
    done = mdl(*command, preexec_fn=limited(300))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith("cannot be written: File too large"), done.stderr
    left = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert left == (set() if before is None else {target.name})
    assert before is None or target.read_bytes() == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=errno.errorcode.get)
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch, number):
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(MdlError, match=f"cannot be written: {os.strerror(number)}"):
        write_atomically(tmp_path / "a", lambda stream: stream.write(b"x"))
    assert names(tmp_path) == set()


@pytest.mark.parametrize("what", ["encode", "decode", "sweep", "ladder"])
def test_a_folder_that_cannot_be_written_is_one_line(large, tmp_path, what):
    data = tmp_path / "m.mdl"
    write_atomically(data, lambda stream: stream.write(encode(load(large), step=0.01)))
    closed = Path("/proc/1/nowhere") if os.getuid() == 0 else tmp_path / "closed"  # modes do not bind the root user
    if os.getuid():
        closed.mkdir(mode=0o555)
    command = {
        "encode": ("encode", large, "-o", closed / "m.mdl"),
        "decode": ("decode", data, "-o", closed / "w.npz"),
        "sweep": ("sweep", "wine", "--strengths", 2, "--jobs", 1, "-o", closed),
        "ladder": ("ladder", "--model", large, "-o", closed),
    }[what]
    done = mdl(*command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert str(closed) in done.stderr
