"""`python -m deepmath.cli` is the command `deepmath`."""

from deepmath.cli import main

main()
