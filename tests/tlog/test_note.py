"""Notes, checkpoints and cosignatures: the specification's vector, another program, and all that is malformed.

Covered: signed-note, tlog-checkpoint and tlog-cosignature as C2SP tags them. Not covered: ECDSA (0x02) and ML-DSA
(0x06) lines, which are passed over here like those of any unknown key.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_scales import signing, tlog

from hsm_app.errors import LogError
from hsm_app.tlog import cosignature, note
from hsm_app.tlog.base64 import encode64
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.merkle import EMPTY_ROOT
from tests.tlog.keys import LOG, NOW, ORIGIN, WITNESSES, private, public, signed
from tests.tlog.keys import cosignature as cosignature_by

# C2SP signed-note v1.0.0, its example.
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
ROOT = bytes(range(32))
CHECKPOINT = Checkpoint(ORIGIN, 7, ROOT)
NOTE = signed(CHECKPOINT, 0, 1)


def test_the_example_of_the_specification_holds() -> None:
    key = note.VerifierKey.parse(VKEY)
    assert (key.name, key.text) == ("example.com/foo", VKEY)
    read = note.parse_note(EXAMPLE)
    read.check_signed_by(key)
    assert read.to_bytes() == EXAMPLE


def test_another_program_accepts_what_is_signed_here() -> None:
    foreign = tlog.Checkpoint.from_text(NOTE.to_bytes().decode())
    assert (foreign.origin, foreign.size, foreign.root_hash) == (ORIGIN, 7, ROOT)
    for key in (LOG, *WITNESSES[:2]):
        foreign.verify(signing.Vkey.from_string(key.text))
    with pytest.raises(RuntimeError, match="no signature"):
        foreign.verify(signing.Vkey.from_string(WITNESSES[2].text))


def test_what_another_program_signs_is_accepted_here() -> None:
    signer = signing.PlainEd25519Signer(ORIGIN, private(1))
    raw = tlog.Checkpoint.make_signed(ORIGIN, 7, ROOT, [signer]).serialize().encode()
    assert signed_checkpoint(raw, LOG, ORIGIN)[1] == CHECKPOINT
    assert note.VerifierKey.parse(signer.vkey.serialize()) == LOG


def test_a_note_comes_back_from_its_bytes() -> None:
    assert note.parse_note(NOTE.to_bytes()) == NOTE


def test_lines_of_strangers_are_passed_over() -> None:
    stranger = note.NoteSignature("stranger", b"\1\2\3\4", b"\x02 any bytes")
    mixed = note.Note(NOTE.text, (stranger, *NOTE.signatures))
    assert signed_checkpoint(mixed.to_bytes(), LOG, ORIGIN)[1] == CHECKPOINT
    assert cosignature.cosigned_at(mixed, WITNESSES[0]) == NOW


def test_a_line_of_a_known_key_that_does_not_hold_refuses_the_note() -> None:
    forged = note.NoteSignature(LOG.name, LOG.key_id, bytes(64))
    with pytest.raises(LogError, match="not signed"):
        signed_checkpoint(note.Note(NOTE.text, (*NOTE.signatures, forged)).to_bytes(), LOG, ORIGIN)
    late = note.NoteSignature(WITNESSES[0].name, WITNESSES[0].key_id, NOTE.signatures[1].blob[:-1] + b"\0")
    with pytest.raises(LogError, match="does not hold"):
        cosignature.cosigned_at(note.Note(NOTE.text, (*NOTE.signatures, late)), WITNESSES[0])


def test_the_latest_of_a_witness_counts() -> None:
    later = cosignature_by(NOTE.text, 0, NOW + 50)
    assert cosignature.cosigned_at(NOTE.with_signatures([later]), WITNESSES[0]) == NOW + 50
    assert cosignature.cosigned_at(NOTE, WITNESSES[2]) is None


def test_a_cosignature_is_of_its_time_its_text_and_its_witness() -> None:
    made = cosignature_by(NOTE.text, 0)
    moved = note.NoteSignature(made.name, made.key_id, (NOW + 1).to_bytes(8, "big") + made.blob[8:])
    for text, line, key in (
        (NOTE.text, moved, WITNESSES[0]),
        (Checkpoint(ORIGIN, 8, ROOT).to_text(), made, WITNESSES[0]),
        (NOTE.text, note.NoteSignature(WITNESSES[1].name, WITNESSES[1].key_id, made.blob), WITNESSES[1]),
    ):
        with pytest.raises(LogError, match="does not hold"):
            cosignature.cosigned_at(note.Note(text, (line,)), key)


def test_a_log_s_signature_is_no_cosignature_and_the_other_way_round() -> None:
    """One key in both roles would be a mistake of its owner; the two messages differ all the same."""
    as_log = note.VerifierKey("both", note.ED25519, public(5))
    as_witness = note.VerifierKey("both", note.COSIGNATURE, public(5))
    assert as_log.key_id != as_witness.key_id
    plain = note.sign_note(NOTE.text, as_log, private(5).sign)
    blob = NOW.to_bytes(8, "big") + plain.signatures[0].blob
    with pytest.raises(LogError):
        cosignature.cosigned_at(
            note.Note(NOTE.text, (note.NoteSignature("both", as_witness.key_id, blob),)), as_witness
        )


def test_a_signer_that_signs_something_else_is_noticed() -> None:
    with pytest.raises(LogError):
        note.sign_note(NOTE.text, LOG, lambda _: bytes(64))
    with pytest.raises(LogError):
        cosignature.cosign(NOTE.text, WITNESSES[0], NOW, private(9).sign)


LINE = NOTE.signatures[0].line().encode()
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no signature": b"text\n\n",
    "no empty line": b"text\n" + LINE,
    "no text": b"\n" + LINE,
    "a tab in the text": b"te\txt\n\n" + LINE,
    "a text that is not UTF-8": b"te\xffxt\n\n" + LINE,
    "a signature without its line feed": b"text\n\n" + LINE[:-1],
    "another dash": b"text\n\n" + LINE.replace("\u2014".encode(), b"-"),
    "two spaces": b"text\n\n" + LINE.replace(b" ", b"  "),
    "base64 without padding": b"text\n\n" + LINE.replace(b"=", b""),
    "base64 with bits that stand for nothing": "text\n\n\u2014 name AAAAAAB=\n".encode(),
    "a key id and nothing else": "text\n\n\u2014 name AAAAAA==\n".encode(),
    "a name with a plus sign": b"text\n\n" + LINE.replace(b"log.", b"lo+."),
    "sixty-five signatures": b"text\n\n" + LINE * 65,
    "a note that is too long": b"x" * 65_536 + b"\n\n" + LINE,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_is_no_note(raw: bytes) -> None:
    with pytest.raises(LogError):
        note.parse_note(raw)


def test_sixty_four_signatures_and_empty_lines_in_the_text_are_fine() -> None:
    read = note.parse_note("one\n\n\u00e4\n\n".encode() + LINE * 64)
    assert (read.text, len(read.signatures)) == ("one\n\n\u00e4\n".encode(), 64)


CHECKPOINTS: dict[str, str] = {
    "no lines": "",
    "two lines": "origin\n5\n",
    "an empty origin": f"\n5\n{encode64(ROOT)}\n",
    "a leading zero": f"origin\n05\n{encode64(ROOT)}\n",
    "a negative size": f"origin\n-5\n{encode64(ROOT)}\n",
    "a sign": f"origin\n+5\n{encode64(ROOT)}\n",
    "other digits": f"origin\n\u0665\n{encode64(ROOT)}\n",
    "a size beyond the limit": f"origin\n9223372036854775808\n{encode64(ROOT)}\n",
    "a short root": f"origin\n5\n{encode64(ROOT[:31])}\n",
    "an empty tree with a root": f"origin\n0\n{encode64(ROOT)}\n",
    "an empty extension": f"origin\n5\n{encode64(ROOT)}\n\nmore\n",
    "no last line feed": f"origin\n5\n{encode64(ROOT)}",
}


@pytest.mark.parametrize("text", CHECKPOINTS.values(), ids=CHECKPOINTS.keys())
def test_is_no_checkpoint(text: str) -> None:
    with pytest.raises(LogError):
        Checkpoint.parse(text.encode())


def test_checkpoints_with_extensions_and_of_empty_logs_are_read() -> None:
    for checkpoint in (Checkpoint(ORIGIN, 0, EMPTY_ROOT), Checkpoint(ORIGIN, 9, ROOT, ("more", "lines"))):
        assert Checkpoint.parse(checkpoint.to_text()) == checkpoint


def test_a_checkpoint_of_another_log_or_key_is_refused() -> None:
    with pytest.raises(LogError, match="of the log"):
        signed_checkpoint(NOTE.to_bytes(), LOG, "log.example/others")
    other = note.VerifierKey(ORIGIN, note.ED25519, public(2))
    with pytest.raises(LogError, match="not signed"):
        signed_checkpoint(NOTE.to_bytes(), other, ORIGIN)


VKEYS: dict[str, Callable[[], object]] = {
    "nothing": lambda: note.VerifierKey.parse(""),
    "another id": lambda: note.VerifierKey.parse(VKEY.replace("530d903a", "530d903b")),
    "an id in capitals": lambda: note.VerifierKey.parse(VKEY.replace("530d903a", "530D903A")),
    "another key": lambda: note.VerifierKey.parse(VKEY[:-4] + "AAAA"),
    "ECDSA": lambda: note.VerifierKey("name", 2, bytes(32)),
    "a short key": lambda: note.VerifierKey("name", 1, bytes(31)),
    "a name with a space": lambda: note.VerifierKey("na me", 1, bytes(32)),
    "no name": lambda: note.VerifierKey("", 1, bytes(32)),
}


@pytest.mark.parametrize("make", VKEYS.values(), ids=VKEYS.keys())
def test_is_no_key(make: Callable[[], object]) -> None:
    with pytest.raises(LogError):
        make()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_in_its_one_encoding_or_refused(raw: bytes) -> None:
    try:
        read = note.parse_note(raw)
    except LogError:
        return
    assert read.to_bytes() == raw
