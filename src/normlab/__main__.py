"""`python -m normlab` is the command `normlab`."""

from normlab.commands.run import main

if __name__ == "__main__":  # worker processes import this module and must not run the command
    main()
