"""The exponential function where an overflow has a limit that can be computed with."""

import math
import sys

LARGEST_EXPONENT = math.log(sys.float_info.max)


def bounded_exp(exponent: float) -> float:
    """e^exponent, or about the largest finite number where that would overflow."""
    return math.exp(min(exponent, LARGEST_EXPONENT))
