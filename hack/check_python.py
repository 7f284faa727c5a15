"""Stop `make` early, in one clear line, on a Python that the lock files were not made for."""

import sys

if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit(f"weir needs Python 3.11, 3.12 or 3.13; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 …")
