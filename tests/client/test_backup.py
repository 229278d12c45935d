"""Backups: what comes back, and what every damage and every hostile tar is answered with."""

from __future__ import annotations

import errno
import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_app.client.backup.archive import tar_bytes, tar_size
from hsm_app.client.backup.contents import leads_out
from hsm_app.client.backup.create import create_backup
from hsm_app.client.backup.identity import age_identity, identity
from hsm_app.client.backup.restore import restore_backup
from hsm_app.errors import BackupError
from tests.client.trees import plant, snapshot

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
AGE_KEY = "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "tree")


@pytest.fixture
def backup(tmp_path: Path, tree: Path) -> Path:
    return create_backup(tree, tmp_path / "b.age", KEY).path


def leftovers(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.endswith(".part")]


def test_what_was_backed_up_comes_back(tmp_path: Path, tree: Path, backup: Path) -> None:
    restored = restore_backup(backup, tmp_path / "new", KEY)
    assert snapshot(tmp_path / "new") == snapshot(tree)
    assert restored.files == sum(path.is_file() and not path.is_symlink() for path in tree.rglob("*"))
    assert leftovers(tmp_path) == []
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


def test_progress_counts_every_byte(tmp_path: Path, tree: Path) -> None:
    made: list[int] = []
    backup = create_backup(tree, tmp_path / "b.age", KEY, made.append).path
    assert tar_size(tree) < sum(made) < tar_size(tree) + 100_000
    read: list[int] = []
    restore_backup(backup, tmp_path / "new", KEY, read.append)
    assert sum(read) == backup.stat().st_size


def test_the_same_directory_gives_the_same_tar(tree: Path) -> None:
    assert b"".join(tar_bytes(tree, print)) == b"".join(tar_bytes(tree, print))


def test_an_empty_directory_comes_back_empty(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    create_backup(tmp_path / "none", tmp_path / "b.age", KEY)
    assert restore_backup(tmp_path / "b.age", tmp_path / "new", KEY).files == 0
    assert os.listdir(tmp_path / "new") == []


class TestForeignPrograms:
    """Debian's age and tar: the proof that a backup needs nothing of this project."""

    def test_age_and_tar_open_a_backup_with_the_key(self, tmp_path: Path, tree: Path, backup: Path) -> None:
        (tmp_path / "identity").write_text(age_identity(KEY) + "\n")
        (tmp_path / "new").mkdir()
        age = ["age", "--decrypt", "--identity", str(tmp_path / "identity"), str(backup)]
        tar = subprocess.run(age, check=True, capture_output=True).stdout
        subprocess.run(["tar", "--extract", "--directory", str(tmp_path / "new")], input=tar, check=True)
        assert snapshot(tmp_path / "new") == snapshot(tree)

    def test_a_tar_encrypted_by_age_is_restored(self, tmp_path: Path, tree: Path) -> None:
        tar = subprocess.run(["tar", "--create", "--directory", str(tree), "."], check=True, capture_output=True).stdout
        recipient = str(identity(KEY).to_public())
        age = ["age", "--encrypt", "--recipient", recipient, "--output", str(tmp_path / "b.age")]
        subprocess.run(age, input=tar, check=True)
        restore_backup(tmp_path / "b.age", tmp_path / "new", KEY)
        assert snapshot(tmp_path / "new") == snapshot(tree)

    def test_age_keygen_knows_the_identity(self, tmp_path: Path) -> None:
        (tmp_path / "identity").write_text(AGE_KEY + "\n")
        said = subprocess.run(
            ["age-keygen", "-y", str(tmp_path / "identity")], check=True, capture_output=True, text=True
        )
        assert said.stdout.strip() == str(identity(KEY).to_public())
        assert age_identity(KEY) == AGE_KEY


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another file": (lambda data: b"%PDF-1.7\n" * 99, "is no age file, or its beginning is damaged"),
    "an empty file": (lambda data: b"", "is no age file, or its beginning is damaged"),
    "only the header": (lambda data: data[:90], "is no age file, or its beginning is damaged"),
    "a header that was changed": (lambda data: data.replace(b"\n---", b"\n--x", 1), "is no age file"),
    "the last byte missing": (lambda data: data[:-1], "is damaged or cut short"),
    "the last chunks missing": (lambda data: data[:200_000], "is damaged or cut short"),
    "cut between two chunks": (lambda data: data[: data.index(b"\n---") + 49 + 16 + 65_552], "is damaged or cut short"),
    "one byte changed": (lambda data: data[:300_000] + b"x" + data[300_001:], "is damaged or cut short"),
    "bytes after the end": (lambda data: data + b"x", "is damaged or cut short"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_backup_restores_nothing(
    tmp_path: Path, backup: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    whole = backup.read_bytes()
    backup.write_bytes(damage(whole))
    assert backup.read_bytes() != whole
    with pytest.raises(BackupError) as caught:
        restore_backup(backup, tmp_path / "new", KEY)
    assert said in caught.value.what
    assert caught.value.todo
    assert not (tmp_path / "new").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_decryption_that_dies_behind_the_last_byte_restores_nothing(
    tmp_path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pyrage.decrypt_io

    def dies(*arguments: object) -> None:
        real(*arguments)
        raise RuntimeError("a bug")

    monkeypatch.setattr(pyrage, "decrypt_io", dies)
    with pytest.raises(BackupError, match="is damaged or cut short"):
        restore_backup(backup, tmp_path / "new", KEY)
    assert not (tmp_path / "new").exists()


def test_another_key_opens_nothing(tmp_path: Path, backup: Path) -> None:
    with pytest.raises(BackupError, match="this key does not open"):
        restore_backup(backup, tmp_path / "new", OTHER_KEY)
    assert not (tmp_path / "new").exists()


def test_a_key_of_another_length_is_refused(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(BackupError, match="32 bytes, not 31"):
        create_backup(tree, tmp_path / "b.age", KEY[:31])


class TestPlaces:
    """Targets and sources that cannot be used."""

    def test_a_target_directory_that_exists_is_kept(self, tmp_path: Path, backup: Path) -> None:
        (tmp_path / "new").mkdir()
        with pytest.raises(BackupError, match="exists already"):
            restore_backup(backup, tmp_path / "new", KEY)

    def test_a_backup_that_exists_is_kept(self, tmp_path: Path, tree: Path, backup: Path) -> None:
        before = backup.read_bytes()
        with pytest.raises(BackupError, match="exists already"):
            create_backup(tree, backup, KEY)
        assert backup.read_bytes() == before

    def test_a_dangling_link_as_target_is_kept(self, tmp_path: Path, tree: Path) -> None:
        (tmp_path / "b.age").symlink_to("elsewhere")
        with pytest.raises(BackupError, match="exists already"):
            create_backup(tree, tmp_path / "b.age", KEY)

    def test_a_target_in_a_directory_that_is_missing(self, tmp_path: Path, tree: Path) -> None:
        with pytest.raises(BackupError, match="is no directory"):
            create_backup(tree, tmp_path / "none" / "b.age", KEY)

    def test_a_backup_of_a_directory_into_itself(self, tree: Path) -> None:
        with pytest.raises(BackupError, match="lies inside"):
            create_backup(tree, tree / "deep" / "b.age", KEY)

    def test_a_backup_of_a_file(self, tmp_path: Path, tree: Path) -> None:
        with pytest.raises(BackupError, match="is no directory"):
            create_backup(tree / "void", tmp_path / "b.age", KEY)

    def test_a_restore_of_a_file_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(BackupError, match=r"cannot read .*b\.age: No such file"):
            restore_backup(tmp_path / "b.age", tmp_path / "new", KEY)

    def test_a_backup_that_appears_meanwhile_is_kept(self, tmp_path: Path, tree: Path) -> None:
        with pytest.raises(BackupError, match="exists already"):
            create_backup(tree, tmp_path / "b.age", KEY, lambda _done: (tmp_path / "b.age").touch())
        assert (tmp_path / "b.age").read_bytes() == b""
        assert leftovers(tmp_path) == []

    def test_a_target_that_appears_meanwhile_is_kept(self, tmp_path: Path, backup: Path) -> None:
        with pytest.raises(BackupError, match="exists already"):
            restore_backup(backup, tmp_path / "new", KEY, lambda _done: (tmp_path / "new").mkdir(exist_ok=True))
        assert os.listdir(tmp_path / "new") == []
        assert leftovers(tmp_path) == []


class TestContents:
    """Directories that cannot be read, or hold what cannot be restored."""

    def test_what_cannot_be_restored_is_left_out_and_reported(self, tmp_path: Path, tree: Path) -> None:
        (tree / "passwd").symlink_to("/etc/passwd")
        (tree / "deep" / "out").symlink_to("../../elsewhere")
        os.mkfifo(tree / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(tree / "socket"))
        made = create_backup(tree, tmp_path / "b.age", KEY)
        assert [name for name, _reason in made.skipped] == ["deep/out", "passwd", "pipe", "socket"]
        restore_backup(made.path, tmp_path / "new", KEY)
        assert not (tmp_path / "new" / "passwd").is_symlink()

    def test_a_file_that_shrinks_ends_the_backup(self, tmp_path: Path, tree: Path) -> None:
        def shrink(done: int) -> None:
            if done > 512:  # more than a header: the large file is being read
                os.truncate(tree / "deep" / "er" / "large", 5)

        with pytest.raises(BackupError, match="large changed while it was read"):
            create_backup(tree, tmp_path / "b.age", KEY, shrink)
        assert sorted(os.listdir(tmp_path)) == ["tree"]

    @pytest.mark.parametrize("kind", ["link", "pipe"])
    def test_a_file_that_becomes_something_else_ends_the_backup(
        self, tmp_path: Path, tree: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        letter, real = tree / "letter.txt", os.open

        def swapped(path: str, *arguments: int, **options: int) -> int:
            if str(path) == str(letter):  # between the look at it and its opening
                letter.unlink()
                letter.symlink_to("/etc/passwd") if kind == "link" else os.mkfifo(letter)
            return real(path, *arguments, **options)

        monkeypatch.setattr(os, "open", swapped)
        with pytest.raises(BackupError, match=r"letter\.txt"):
            create_backup(tree, tmp_path / "b.age", KEY)
        assert sorted(os.listdir(tmp_path)) == ["tree"]

    def test_a_file_that_vanishes_ends_the_backup(self, tmp_path: Path, tree: Path) -> None:
        def vanish(_done: int) -> None:
            (tree / "ünïcode ☂").unlink(missing_ok=True)

        with pytest.raises(BackupError, match=r"cannot read .*ünïcode ☂: No such file"):
            create_backup(tree, tmp_path / "b.age", KEY, vanish)
        assert sorted(os.listdir(tmp_path)) == ["tree"]


def hostile(*members: tarfile.TarInfo) -> bytes:
    """A tar of these members; files hold as many zeros as their size says."""
    return b"".join(info.tobuf(tarfile.PAX_FORMAT) + bytes(info.size + -info.size % 512) for info in members) + bytes(
        1024
    )


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def link(name: str, target: str) -> tarfile.TarInfo:
    return member(name, tarfile.SYMTYPE, target)


HOSTILE = {
    "a name above the target": (hostile(member("../evil")), "outside of the target"),
    "a name that climbs out on the way": (hostile(member("a/../../evil")), "outside of the target"),
    "an absolute name": (hostile(member("/tmp/evil")), "outside of the target"),
    "a file where the target itself is": (hostile(member(".")), "there twice"),
    "an absolute link": (hostile(link("l", "/etc/passwd")), "lead out"),
    "a link above the target": (hostile(link("a/l", "../../x")), "lead out"),
    "a link that goes up behind a name": (hostile(link("a", "b/../c")), "lead out"),
    "links that lead out together": (
        hostile(member("a", tarfile.DIRTYPE), link("a/b", ".."), link("c", "a/b/..")),
        "lead out",
    ),
    "a file through a link": (hostile(link("l", "."), member("l/evil", size=4)), "there twice"),
    "a link over a file": (hostile(member("l"), link("l", "x")), "there twice"),
    "a file over a file": (hostile(member("f"), member("f")), "there twice"),
    "a file below a file": (hostile(member("f"), member("f/g")), "cannot write"),
    "a hard link": (hostile(member("h", tarfile.LNKTYPE, "x")), "neither a file"),
    "a device": (hostile(member("d", tarfile.CHRTYPE, devmajor=1, devminor=3)), "neither a file"),
    "a pipe": (hostile(member("p", tarfile.FIFOTYPE)), "neither a file"),
    "a file that is cut short": (hostile(member("f", size=9_999))[:1_000], "no well-formed tar"),
    "no tar at all": (b"hello\n" * 999, "no well-formed tar"),
    "nothing": (b"", "no well-formed tar"),
    "a time that no file can have": (hostile(member("f", pax_headers={"mtime": "1e300"})), "no well-formed tar"),
    "a name with control characters": (hostile(member("../\x1b[2Jevil")), "\N{REPLACEMENT CHARACTER}[2Jevil"),
}


@pytest.mark.parametrize(("tar", "said"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_tar_leaves_nothing(tmp_path: Path, tar: bytes, said: str) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (tmp_path / "b.age").write_bytes(pyrage.encrypt(tar, [identity(KEY).to_public()]))
    with pytest.raises(BackupError) as caught:
        restore_backup(tmp_path / "b.age", room / "new", KEY)
    assert said in str(caught.value)
    assert os.listdir(room) == []
    assert sorted(os.listdir(tmp_path)) == ["b.age", "room"]


STAYS_IN = {
    "a neighbour": ("l", "f"),
    "the directory itself": ("l", "."),
    "the top, from below": ("a/b/l", "../.."),
    "up and down again": ("a/b/l", "../../c/d"),
    "with superfluous steps": ("./a//b/l", ".././../c//./d"),
}
LEADS_OUT = {
    "one step too far": ("l", ".."),
    "one step too far, from below": ("a/b/l", "../../../x"),
    "absolute": ("a/l", "/a"),
    "up behind a name": ("a/b/l", "x/../y"),
    "up behind a name and superfluous steps": ("a/b/l", "./../x/.//.."),
    "a directory of the name's own that is none": ("./l", ".."),
}


@pytest.mark.parametrize(("name", "target"), STAYS_IN.values(), ids=STAYS_IN.keys())
def test_a_link_stays_in(name: str, target: str) -> None:
    assert not leads_out(name, target)


@pytest.mark.parametrize(("name", "target"), LEADS_OUT.values(), ids=LEADS_OUT.keys())
def test_a_link_may_lead_out(name: str, target: str) -> None:
    assert leads_out(name, target)


@given(st.data())
def test_no_set_of_links_that_stay_in_leads_out_together(data: st.DataObject) -> None:
    """A tree of real directories and links that pass the rule one by one, resolved by the operating system."""
    step = st.sampled_from(["a", "b", "c", "..", "."])
    path = st.lists(step, min_size=1, max_size=5).map("/".join)
    with tempfile.TemporaryDirectory() as home:
        root = Path(os.path.realpath(home)) / "x" / "root"
        for directory in ("a/b", "b/c", "c/a"):
            (root / directory).mkdir(parents=True)
        for name in data.draw(st.lists(st.sampled_from(["a/c", "b/a", "c/b", "a/b/c", "b/c/a", "d"]), unique=True)):
            target = data.draw(path)
            if not leads_out(name, target):
                (root / name).symlink_to(target)
                assert Path(os.path.realpath(root / name)).is_relative_to(root)


def test_a_tar_with_much_padding_is_read_to_its_end(tmp_path: Path) -> None:
    """The end that age vouches for lies behind the end that tar knows."""
    whole = pyrage.encrypt(hostile(member("f")) + bytes(3_000_000), [identity(KEY).to_public()])
    (tmp_path / "b.age").write_bytes(whole)
    assert restore_backup(tmp_path / "b.age", tmp_path / "new", KEY).files == 1
    (tmp_path / "b.age").write_bytes(whole[:-1])
    with pytest.raises(BackupError, match="cut short"):
        restore_backup(tmp_path / "b.age", tmp_path / "other", KEY)


def test_set_id_bits_and_writing_by_others_are_not_restored(tmp_path: Path) -> None:
    tar = hostile(member("f", mode=0o6777), member("d", tarfile.DIRTYPE, mode=0o1777))
    (tmp_path / "b.age").write_bytes(pyrage.encrypt(tar, [identity(KEY).to_public()]))
    restore_backup(tmp_path / "b.age", tmp_path / "new", KEY)
    assert stat.S_IMODE((tmp_path / "new" / "f").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "new" / "d").stat().st_mode) == 0o755


class TestFullDisk:
    """No room for the backup, and none for what is restored."""

    def test_the_last_write_finds_the_disk_full(
        self, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(BackupError, match="the disk is full"):
            create_backup(tree, tmp_path / "b.age", KEY)
        assert sorted(os.listdir(tmp_path)) == ["tree"]

    def test_a_write_in_the_middle_fails_while_restoring(self, tmp_path: Path, backup: Path) -> None:
        """A limit on file sizes is the full disk that needs no rights to set up: writes are cut short, then fail."""
        run = limited(
            "restore_backup(Path(sys.argv[1]), Path(sys.argv[2]), bytes(range(32)))", backup, tmp_path / "new"
        )
        assert "BackupError: cannot write" in run.stderr
        assert "File too large" in run.stderr
        assert sorted(os.listdir(tmp_path)) == ["b.age", "tree"]

    def test_a_write_in_the_middle_fails_while_backing_up(self, tmp_path: Path, tree: Path) -> None:
        run = limited("create_backup(Path(sys.argv[1]), Path(sys.argv[2]), bytes(range(32)))", tree, tmp_path / "b.age")
        assert "BackupError: cannot write" in run.stderr
        assert "File too large" in run.stderr
        assert sorted(os.listdir(tmp_path)) == ["tree"]


def limited(call: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from hsm_app.client.backup.create import create_backup\n"
        "from hsm_app.client.backup.restore import restore_backup\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n{call}\n"
    )
    arguments = [sys.executable, "-c", program, *map(str, paths)]
    return subprocess.run(arguments, check=False, capture_output=True, text=True)


class TestInterruption:
    """Ctrl-C in the middle: the exception goes on, and nothing half-made stays."""

    def test_of_a_backup(self, tmp_path: Path, tree: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            create_backup(tree, tmp_path / "b.age", KEY, interrupt)
        assert sorted(os.listdir(tmp_path)) == ["tree"]

    def test_of_a_restore(self, tmp_path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tarfile.TarFile, "next", interrupt)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(backup, tmp_path / "new", KEY)
        assert sorted(os.listdir(tmp_path)) == ["b.age", "tree"]


def interrupt(_argument: object) -> None:
    raise KeyboardInterrupt


def test_memory_does_not_grow_with_the_backup(tmp_path: Path) -> None:
    """300 MiB both ways in a process of its own, whose peak is a fraction of that."""
    program = """
import sys
from pathlib import Path
from hsm_app.client.backup.create import create_backup
from hsm_app.client.backup.restore import restore_backup
home = Path(sys.argv[1])
(home / "tree").mkdir()
piece = bytes(range(256)) * 4096
with (home / "tree" / "large").open("wb") as file:
    for _ in range(300):
        file.write(piece)
create_backup(home / "tree", home / "b.age", bytes(32))
restored = restore_backup(home / "b.age", home / "new", bytes(32))
assert restored.size == 300 << 20
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    # Not ru_maxrss: that begins with the peak of the process that started this one.
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True)
    assert int(run.stdout) < 120 * 1024  # KiB


def test_tar_agrees_about_the_stream(tree: Path) -> None:
    """Python's own reader sees what was planted: names that are long, or no text, or not ASCII."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_bytes(tree, print)))) as archive:
        names = {member.name for member in archive.getmembers()}
    assert names == {str(path.relative_to(tree)) for path in tree.rglob("*")}
