"""`obliq record account`: who may use the page of a record."""

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from obliq.cli.options import Flag
from obliq.cli.record.options import RecordOptions, open_record
from obliq.cli.verbs import StageListener, Verb, VerbOutput
from obliq.errors import RecordError

AccountName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True)
class RecordAccountArguments(RecordOptions):
    """Create or remove an account for the page.

    Example: obliq record account record "A. Example" --role officer

    An officer notes, approves, rejects and closes cases. An engineer runs what is due. An auditor reads everything. A
    device, or a program of a fleet, reports which network runs; it gets a token, which is printed once. The log keeps
    the name of the account with everything that it does.

    The password is asked for on a terminal, and otherwise read from the first line of standard input.

    Attributes:
        name: Name of the person or program. A new password or token replaces the one that this name had.
        role: What the account may do.
        token: Create a token for the HTTP API instead of a password. A device always gets one.
        remove: Remove the account, which also ends its sessions.
    """

    name: AccountName
    role: Literal["officer", "engineer", "auditor", "device"] = "auditor"
    token: Flag = False
    remove: Flag = False


def run_record_account(arguments: RecordAccountArguments, progress: StageListener) -> VerbOutput:
    """Create or remove an account."""
    from obliq.record.server.accounts import (
        Account,
        Accounts,
        PasswordHash,
        accounts_beside,
        new_token,
        token_digest,
    )

    record = open_record(arguments)
    accounts = Accounts(accounts_beside(record.folder))
    follows = ("serve", arguments.record)
    if arguments.remove:
        accounts.remove(arguments.name)
        return VerbOutput(
            lines=[f"account {arguments.name}: removed"],
            values={"name": arguments.name, "removed": True},
            next_command=follows,
        )
    secret = new_token() if arguments.token or arguments.role == "device" else ""
    account = Account(
        name=arguments.name,
        role=arguments.role,
        password=None if secret else PasswordHash.of(_typed_password()),
        token=token_digest(secret) if secret else None,
    )
    accounts.put(account)
    printed = [f"token   {secret}", "keep it now: it is not shown again"] if secret else []
    return VerbOutput(
        lines=[f"account {account.name}: {account.role}, in {accounts.file}", *printed],
        values={"name": account.name, "role": account.role, **({"token": secret} if secret else {})},
        next_command=follows,
    )


def _typed_password() -> str:
    """A password that is typed twice on a terminal, or the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    first = getpass("Password: ")
    if getpass("Again: ") != first:
        raise RecordError("the two passwords differ; expected the same one twice")
    return first


ACCOUNT = Verb(RecordAccountArguments, run_record_account, computes=False)
