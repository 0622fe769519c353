"""Signatures, and where the key comes from."""

import base64
import copy
import pickle
import stat

import pytest

from stream.checkpoints.signing import Signer, load_key
from stream.errors import ConfigError, Unverified

KEY = bytes(range(32))


def test_what_was_signed_verifies():
    """Any bytes come back."""
    assert Signer(KEY).verify(Signer(KEY).sign(b"\0head\n")) == b"\0head\n"


def test_every_changed_byte_is_seen():
    """Magic, key id, signature and body: flipping any one bit-pattern is refused."""
    blob = Signer(KEY).sign(b"head")
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 0x01
        with pytest.raises(Unverified):
            Signer(KEY).verify(bytes(changed))


def test_every_torn_blob_is_seen():
    """No beginning of a blob verifies."""
    blob = Signer(KEY).sign(b"head")
    for end in range(len(blob)):
        with pytest.raises(Unverified):
            Signer(KEY).verify(blob[:end])


def test_a_wrong_key_is_named():
    """The message has both ids, and a hint with the setting."""
    ours, theirs = Signer(KEY), Signer(bytes(32))
    with pytest.raises(Unverified, match=rf"key {ours.key_id}….*signed with key {theirs.key_id}…") as caught:
        ours.verify(theirs.sign(b"head"), "checkpoint entry 7")
    assert caught.value.message.startswith("checkpoint entry 7 failed verification")
    assert "key_file" in caught.value.hint


def test_foreign_bytes_are_not_echoed():
    """What stands where the key id should is not repeated unless it is one."""
    with pytest.raises(Unverified, match="unreadable"):
        Signer(KEY).verify(b"HRC1\x1b[2Jevil" + bytes(40))


def test_the_key_is_in_no_representation():
    """Neither repr nor str show it; pickling and copying are refused."""
    signer = Signer(KEY)
    assert KEY.hex()[:16] not in repr(signer) + str(signer)
    assert repr(KEY) not in repr(signer)
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(signer)
    with pytest.raises(TypeError, match="secret"):
        copy.copy(signer)


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_a_key_has_32_bytes(key):
    """Anything else is the operator's mistake."""
    with pytest.raises(ConfigError, match="bytes"):
        Signer(key)


@pytest.mark.parametrize(
    "content",
    [KEY, KEY.hex().encode() + b"\n", KEY.hex().upper().encode(), base64.b64encode(KEY) + b"\n"],
    ids=["raw", "hex", "HEX", "base64"],
)
def test_a_key_file(tmp_path, content):
    """Raw bytes, hexadecimal or base64; the file goes before the environment."""
    (tmp_path / "key").write_bytes(content)
    assert load_key(tmp_path / "key", bytes(32).hex(), tmp_path / "generated") == KEY
    assert not (tmp_path / "generated").exists()


@pytest.mark.parametrize("value", [KEY.hex(), base64.b64encode(KEY).decode()])
def test_a_key_in_the_environment(tmp_path, value):
    """Used when no file is named, and nothing is generated."""
    assert load_key(None, value, tmp_path / "generated") == KEY
    assert not (tmp_path / "generated").exists()


def test_a_generated_key_is_kept(tmp_path):
    """Made once, for the owner's eyes only, and the same from then on."""
    place = tmp_path / "deep" / "key"
    first = load_key(None, None, place)
    assert load_key(None, "", place) == first
    assert len(first) == 32
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [path.name for path in place.parent.iterdir()] == ["key"]


def test_generated_keys_differ(tmp_path):
    """It is chance, not a constant."""
    assert load_key(None, None, tmp_path / "a") != load_key(None, None, tmp_path / "b")


def test_a_bad_key_is_not_shown(tmp_path):
    """The message says what is wrong and where, never what is there; nor does its cause."""
    with pytest.raises(ConfigError) as caught:
        load_key(None, "correct horse battery", tmp_path / "key")
    assert "horse" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "HEADRACE_CHECKPOINT_KEY" in caught.value.message
    assert "openssl rand" in caught.value.hint


def test_an_absent_key_file_is_the_operators_mistake(tmp_path):
    """A named file is not replaced by a generated key."""
    with pytest.raises(ConfigError, match="cannot read the checkpoint key"):
        load_key(tmp_path / "absent", None, tmp_path / "key")
