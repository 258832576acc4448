"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mdl.errors import MdlError
from mdl.files import write_atomically


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
