"""`obliq serve`: the page of a record."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from obliq.cli.options import DataOptions, File, RayAddress
from obliq.cli.record.options import RecordOptions, open_record
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class ServeArguments(RecordOptions):
    """Serve a record as a page in the browser.

    Example: obliq serve record

    People log in with accounts that `obliq record account` creates. The page can be reached from this machine alone,
    unless you name another address. Stop it with Ctrl-C; nothing is lost.

    Attributes:
        port: Port to listen on; 0 for any free one.
        operator: Who answers for the requests, if that is not the person who starts the work from the page. Audit and
            certificates of this work name this person; it is never guessed.
        host: Address to listen on. Another one than loopback needs --https-name.
        threads: CPU threads of the work that is started from the page; 0 for the default of torch.
        device: Where this work computes.
        certificate_key: Private key that signs the certificates of this work. By default, the one that `obliq record
            init` named.
        with_: Your own training for the references, as module:function, if the rules of the record name it.
        https_name: Name under which a TLS proxy in front of this server is reached, such as records.example.org.
            Browsers then send the login by TLS alone.
    """

    port: int = 8017
    operator: Annotated[str, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ""
    host: str = "127.0.0.1"
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    certificate_key: File = None
    with_: Annotated[
        str | None, tyro.conf.arg(name="with", metavar="MODULE:FUNCTION", help_behavior_hint="")
    ] = None
    https_name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    ray: RayAddress = None
    data: DataOptions = field(default_factory=DataOptions)


def run_serve(arguments: ServeArguments, progress: StageListener) -> VerbOutput:
    """Serve a record until the process ends."""
    from obliq.auditing.measurement import require_one_line
    from obliq.record.server.accounts import Accounts, accounts_beside
    from obliq.record.server.serve import (
        allowed_hosts,
        bound_socket,
        require_private,
        require_server_packages,
        serve,
    )
    from obliq.record.server.site import Site
    from obliq.workflow.ray_cluster import load_ray, require_answer

    require_one_line(operator=arguments.operator)  # before the work, which would refuse it
    require_server_packages()
    require_private(arguments.host, arguments.https_name)
    if arguments.ray is not None:
        load_ray()
        require_answer(arguments.ray)
    hosts = allowed_hosts(arguments.https_name)
    record = open_record(arguments)
    record.state()
    accounts = Accounts(accounts_beside(record.folder))
    if not accounts.all():
        progress.print_line("no account exists yet: obliq record account RECORD NAME --role officer")
    data = arguments.data
    with bound_socket(arguments.host, arguments.port) as listening:
        host, port = listening.getsockname()[:2]
        site = Site(
            record,
            accounts,
            hosts=hosts,
            secure=arguments.https_name is not None,
            load=lambda: record.partition(data.data_folder, data.data),
            run_options=_run_options(arguments),
            port=port,
        )
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        progress.print_line(f"serving {arguments.record} at {address}")
        serve(site, listening)
    named = ("--operator", arguments.operator) if arguments.operator else ()
    return VerbOutput(
        lines=["stopped"],
        values={"record": str(arguments.record)},
        next_command=("serve", arguments.record, *named),
    )


def _run_options(arguments: ServeArguments) -> list[str]:
    """What `obliq record run` is given besides the record and who runs it."""
    data = arguments.data
    given: dict[str, object] = {
        "--operator": arguments.operator or None,
        "--certificate-key": arguments.certificate_key,
        "--with": arguments.with_,
        "--data": data.data,
        "--data-folder": data.data_folder,
        "--arch": data.arch,
        "--ray": arguments.ray,
    }
    named = [f"{name}={value}" for name, value in given.items() if value is not None]
    return [*named, f"--threads={arguments.threads}", f"--device={arguments.device}"]


VERB = Verb(ServeArguments, run_serve)
