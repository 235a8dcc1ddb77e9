"""Who may use the page of a record: names, roles, and the hashes of passwords and tokens.

The accounts lie in a file next to the record that only its owner may read, so that a copy of the record holds none.
"""

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from obliq.errors import ObliqError, RecordError
from obliq.io.atomic import write_file
from obliq.io.documents import DocumentType
from obliq.io.durable import sync
from obliq.io.lock import locked
from obliq.io.regular_file import read_secret_file
from obliq.io.sha256 import is_sha256
from obliq.record.lookalikes import same_name
from obliq.record.values import require_text

Role = Literal["officer", "engineer", "auditor", "device"]
ROLES: tuple[Role, ...] = get_args(Role)
"""An officer decides on requests, an engineer runs what is due, an auditor reads, a device reports its floor."""
PEOPLE: frozenset[Role] = frozenset({"officer", "engineer", "auditor"})

SHORTEST_PASSWORD, LONGEST_PASSWORD = 15, 1000
"""Characters. Source of 15: NIST SP 800-63B-4, section 3.1.1.2, for a password without a second factor."""
SCRYPT = (2**15, 8, 3)
"""Cost, block size and parallelism: 32 MiB and about 0.2 s. Source: OWASP Password Storage Cheat Sheet."""
ACCOUNTS_FILE = "accounts.json"


@dataclass(frozen=True, kw_only=True)
class PasswordHash:
    """A password as scrypt leaves it (RFC 7914).

    Attributes:
        salt: 32 hexadecimal digits.
        cost: with `block` and `parallel`, as `SCRYPT`; those of the time when it was set.
        hash: 64 hexadecimal digits.
    """

    salt: str
    cost: int
    block: int
    parallel: int
    hash: str

    def __post_init__(self) -> None:
        texts = re.fullmatch("[0-9a-f]{32}", self.salt) and is_sha256(self.hash)
        if not texts or not (2 <= self.cost <= 2**17 and 1 <= self.block <= 8 and 1 <= self.parallel <= 8):
            raise RecordError("the hash of a password has another form; expected one that obliq wrote")

    @classmethod
    def of(cls, password: str, costs: tuple[int, int, int] = SCRYPT) -> "PasswordHash":
        """The hash of a new password.

        Raises:
            RecordError: for a short or very long password.
        """
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise RecordError(
                f"the password has {len(password)} characters; expected {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
            )
        salt = secrets.token_bytes(16)
        return cls(
            salt=salt.hex(),
            cost=costs[0],
            block=costs[1],
            parallel=costs[2],
            hash=_scrypt(password, salt, costs),
        )

    def fits(self, password: str) -> bool:
        """Whether this is the password; the comparison takes the same time for all."""
        costs = (self.cost, self.block, self.parallel)
        found = _scrypt(password[: LONGEST_PASSWORD + 1], bytes.fromhex(self.salt), costs)
        return hmac.compare_digest(found, self.hash)


@dataclass(frozen=True, kw_only=True)
class Account:
    """Somebody, or a program, who uses the page.

    Attributes:
        name: as the log of the record keeps it.
        role: what they may do.
        password: for the browser; None for a program.
        token: SHA-256 of the bearer token of a program; None for people.
    """

    name: str
    role: Role
    password: PasswordHash | None
    token: str | None

    def __post_init__(self) -> None:
        require_text(name=self.name)
        if (self.password is None) is (self.token is None):
            raise RecordError(f"account {self.name}: expected either a password or a token")
        if self.token is not None and not is_sha256(self.token):
            raise RecordError(f"account {self.name}: the digest of its token has another form")


@dataclass(frozen=True)
class AccountList:
    """What the file holds."""

    accounts: tuple[Account, ...] = ()


ACCOUNTS_DOCUMENT = DocumentType(
    content=AccountList,
    format="obliq-record-accounts",
    version=1,
    title="list of accounts",
    error=RecordError,
)


class Accounts:
    """The accounts of a record, read again whenever the file has changed.

    Attributes:
        file: it is created with the first account.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._read_at: tuple[int, ...] | None = None
        self._accounts: tuple[Account, ...] = ()

    def all(self) -> tuple[Account, ...]:
        """Every account.

        Raises:
            RecordError: when the file cannot be read, or others may read it.
        """
        with self._lock:
            try:
                status = self.file.lstat()
            except FileNotFoundError:
                self._read_at, self._accounts = None, ()
                return ()
            now: tuple[int, ...] = (status.st_ino, status.st_mtime_ns, status.st_size)
            now += (
                status.st_ctime_ns,
                status.st_mode,
                status.st_uid,
            )  # who may read it may have changed, too
            if now != self._read_at:
                try:
                    text = read_secret_file(self.file, ACCOUNTS_DOCUMENT.largest)
                except ObliqError as error:
                    raise RecordError(f"{self.file}: {error}") from error
                self._accounts, self._read_at = ACCOUNTS_DOCUMENT.from_text(text).accounts, now
            return self._accounts

    def named(self, name: str) -> Account | None:
        """An account by its name; None where there is none."""
        return next((one for one in self.all() if same_name(one.name, name)), None)

    def with_token(self, token: str) -> Account | None:
        """The account that a token belongs to. Tokens are random, so that their digests can be looked up."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        return next((one for one in self.all() if one.token and hmac.compare_digest(one.token, digest)), None)

    def put(self, account: Account) -> None:
        """Add an account, or replace the one of this name, which ends its sessions.

        Raises:
            RecordError: when the file cannot be written.
        """
        self._write(account.name, account)

    def remove(self, name: str) -> None:
        """Remove an account.

        Raises:
            RecordError: when there is none of this name.
        """
        if self.named(name) is None:
            known = ", ".join(one.name for one in self.all()) or "none yet"
            raise RecordError(f"there is no account {name}; expected one of: {known}")
        self._write(name)

    def _write(self, name: str, *added: Account) -> None:
        folder = self.file.parent
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(folder.parent)
        with locked(folder, "one change of accounts at a time"):
            others = tuple(one for one in self.all() if not same_name(one.name, name))
            text = ACCOUNTS_DOCUMENT.to_text(AccountList((*others, *added)))
            write_file(self.file, text, overwrite=True, private=True)


def new_token() -> str:
    """A bearer token: 256 random bits as text."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def accounts_beside(record: Path) -> Path:
    """Where the accounts of a record are: next to it, so that a copy of its folder has none."""
    folder = record.resolve()
    return folder.with_name(f"{folder.name}.serve") / ACCOUNTS_FILE


def _scrypt(password: str, salt: bytes, costs: tuple[int, int, int]) -> str:
    cost, block, parallel = costs
    memory = 256 * block * (cost + parallel + 2)  # twice of what scrypt takes
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=parallel, dklen=32, maxmem=memory
    ).hex()
