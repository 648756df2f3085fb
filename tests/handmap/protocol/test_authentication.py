"""Key files: what is read, and the refusal of everything that would not protect."""

import os
import subprocess
from pathlib import Path

import pytest

from handmap.protocol.authentication import Key, KeyRing, make_key, read_credential, read_keys, tag_of
from handmap.types.errors import ConfigError, PacketError

ONE, OTHER = "5a" * 32, "C3" * 32


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "handmap.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_all_keys_of_a_file_are_read_in_order(tmp_path: Path) -> None:
    keys = read_keys(key_file(tmp_path, f"# the new one\n{ONE}\n\n  {OTHER}  \n"))

    assert keys == KeyRing((make_key(bytes.fromhex(ONE)), make_key(bytes.fromhex(OTHER))))
    assert keys.first.secret == bytes.fromhex(ONE)


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        (ONE, 0o640, r"others than its owner can use it \(mode 0640\); run: chmod 600 "),
        (ONE, 0o604, "others than its owner"),
        ("", 0o600, "wanted 1 to 8 lines"),
        ("# nothing\n", 0o600, "wanted 1 to 8 lines"),
        (ONE[:-1], 0o600, "64 hexadecimal digits"),
        (f"{ONE}\nsecret\n", 0o600, "64 hexadecimal digits"),
        ("\n".join(f"{number:064x}" for number in range(9)), 0o600, "wanted 1 to 8 lines"),
        (f"{ONE}\n{ONE.upper()}\n", 0o600, "stands there twice"),
        ("\xff" * 64, 0o600, "64 hexadecimal digits"),
    ],
)
def test_a_file_that_does_not_protect_is_refused(tmp_path: Path, text: str, mode: int, sentence: str) -> None:
    path = key_file(tmp_path, text, mode)

    with pytest.raises(ConfigError, match=sentence) as caught:
        read_keys(path)

    assert ONE not in str(caught.value) and "\n" not in str(caught.value)


def test_following_the_advice_works(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keys(tmp_path / "new.key")
    command = str(caught.value).partition("make one with: ")[2].replace("FILE", str(tmp_path / "new.key"))
    subprocess.run(command, shell=True, check=True)

    assert len(read_keys(tmp_path / "new.key").keys) == 1


@pytest.mark.parametrize("name", ["folder", "pipe"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        sentence = "cannot be read"
    else:
        os.mkfifo(path)
        sentence = "a named pipe, not a file"

    with pytest.raises(ConfigError, match=sentence):
        read_keys(path)


def test_a_credential_is_found_where_systemd_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file(tmp_path, ONE, 0o440)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match=r"LoadCredential=handmap\.key:FILE"):
        read_credential("handmap.key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert read_credential("handmap.key").first.secret == bytes.fromhex(ONE)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_credential("other.key")


def test_a_key_never_shows_its_secret() -> None:
    key = make_key(bytes.fromhex(ONE))

    assert ONE not in repr(KeyRing((key,))) and key.key_id.hex() in repr(key)


def test_a_tag_is_of_one_key_and_one_body() -> None:
    key, other = make_key(bytes.fromhex(ONE)), make_key(bytes.fromhex(OTHER))
    ring = KeyRing((key,))
    ring.check(key.key_id, tag_of(key, b"body"), b"body")

    with pytest.raises(PacketError, match="does not match"):
        ring.check(key.key_id, tag_of(key, b"body"), b"bode")
    with pytest.raises(PacketError, match="does not match"):
        ring.check(key.key_id, tag_of(other, b"body"), b"body")
    with pytest.raises(PacketError, match="does not have"):
        ring.check(other.key_id, tag_of(other, b"body"), b"body")
    assert Key(key.secret, key.key_id) == key
