"""`python -m obliq` is `obliq`."""

import sys

from obliq.cli import main

sys.exit(main())
