"""`python -m normlab` is the command `normlab`."""

from normlab.app import main

main()
