"""The command line."""

from obliq.cli.main import main

__all__ = ["main"]
