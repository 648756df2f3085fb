"""Signatures of a release by GnuPG: with a key of the caller's keyring, or with one that lives as long as the build."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.types.errors import ConfigError, DependencyError

TEST_KEY: Final = "HandMap Edge test key (not for distribution)"
TEST_KEY_DAYS: Final = 90


@dataclass(frozen=True)
class Signer:
    """A secret key, and the keyring that it is in."""

    key: str  # fingerprint
    home: Path | None  # None: GnuPG's own, of the user
    is_for_tests: bool

    def sign(self, file: Path, kind: str, out: Path) -> None:
        """Signs a file: `--clearsign` with its text in the signature, `--detach-sign` without.

        Raises ConfigError if GnuPG cannot use the key.
        """
        _gpg(self.home, "--local-user", self.key, "--armor", "--output", str(out), kind, str(file))

    def write_public_key(self, out: Path) -> None:
        """The public key as apt reads it from `signed-by`."""
        _gpg(self.home, "--output", str(out), "--export", self.key)


@contextmanager
def open_signer(key: str | None) -> Iterator[Signer]:
    """The key of this fingerprint or user ID from the user's keyring; without one, a new key that nobody keeps.

    Raises ConfigError if there is no such secret key, DependencyError without GnuPG.
    """
    if key is not None:
        yield Signer(_fingerprint(None, key), None, False)
        return
    with tempfile.TemporaryDirectory(prefix="handmap-gpg-") as name:
        home = Path(name)
        try:
            _gpg(home, "--passphrase", "", "--quick-generate-key", TEST_KEY, "ed25519", "sign", f"{TEST_KEY_DAYS}d")
            yield Signer(_fingerprint(home, TEST_KEY), home, True)
        finally:
            # Its agent would otherwise outlive the folder.
            subprocess.run(["gpgconf", "--homedir", name, "--kill", "all"], capture_output=True, check=False)


def _fingerprint(home: Path | None, key: str) -> str:
    listed = _gpg(home, "--with-colons", "--list-secret-keys", "--", key)
    found = [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:")]
    owners = [line for line in listed.splitlines() if line.startswith("sec:")]
    if len(owners) != 1:
        raise ConfigError(
            f"release: {key!r} fits {len(owners)} secret keys, wanted one; give its fingerprint as RELEASE_KEY"
        )
    return found[0]


def _gpg(home: Path | None, *words: str) -> str:
    command = ["gpg", "--batch", "--yes", "--no-tty", "--quiet", *(("--homedir", str(home)) if home else ()), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=os.environ | {"LC_ALL": "C"})  # fmt: skip
    except FileNotFoundError as error:
        raise DependencyError("release: this machine has no gpg to sign with; install gnupg") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or "it printed no error"
        raise ConfigError(
            f"release: gpg could not do {words[-2] if len(words) > 1 else words[0]!r}: {said}; correct RELEASE_KEY, or leave it out for "
            "a test key"
        )
    return done.stdout
