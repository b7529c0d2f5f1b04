"""`python -m hambatch` is `hambatch`."""

from hambatch.cli import main

main()
