"""`obliq patch`: the changed integers of a network as a small file for devices."""

from obliq.cli.patch.apply import APPLY
from obliq.cli.patch.info import INFO
from obliq.cli.patch.make import MAKE

VERBS = {"patch make": MAKE, "patch apply": APPLY, "patch info": INFO}
