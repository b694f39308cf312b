"""`python -m flashworld`."""

from __future__ import annotations

import sys

from flashworld.cli import main

if __name__ == "__main__":
    sys.exit(main())
