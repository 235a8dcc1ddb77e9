"""`obliq record`: the erasure record of a network, for people who receive requests for years."""

from obliq.cli.record.account import ACCOUNT
from obliq.cli.record.cases import CASE_VERBS
from obliq.cli.record.new_record import INIT
from obliq.cli.record.reading import READING_VERBS
from obliq.cli.record.recovery import RECOVER
from obliq.cli.record.work import RUN

VERBS = {
    "record init": INIT,
    **CASE_VERBS,
    "record run": RUN,
    **READING_VERBS,
    "record recover": RECOVER,
    "record account": ACCOUNT,
}
