"""`obliq` in a process whose command line holds none of its words; they come on standard input.

Other users of a machine can read command lines, and Ray sends that of a process that joins a cluster to all machines of
it. The words name people, reasons and files of keys.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NoReturn

READ_WORDS = "main(json.load(sys.stdin.buffer))"
PROGRAM = f"import json, sys; from obliq.cli import main; sys.exit({READ_WORDS})"


def hidden_command(program: str) -> list[str]:
    """The command of a process that imports nothing from the working folder.

    Args:
        program: as `PROGRAM`.
    """
    return [sys.executable, "-P", "-c", program]


def encoded_words(words: Sequence[str]) -> bytes:
    """What `READ_WORDS` reads."""
    return json.dumps(list(words)).encode()


def go_on_hidden(words: Sequence[str]) -> NoReturn:
    """Go on with these words as `PROGRAM`: the same process, with its terminal, signals and exit status.

    Without `exec`, as on Windows, it is another process, for which this one waits.
    """
    command, content = hidden_command(PROGRAM), encoded_words(words)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "posix":
        sys.exit(subprocess.run(command, input=content, check=False).returncode)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        os.dup2(file.fileno(), 0)
        os.execv(command[0], command)  # noqa: S606 - a shell would show the words
