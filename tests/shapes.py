"""How types and shapes are checked while testing: beartype, with an int accepted where a float is asked."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
