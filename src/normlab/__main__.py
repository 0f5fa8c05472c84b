"""`python -m normlab` is the command `normlab`."""

from normlab.commands.run import main

if __name__ == "__main__":  # a worker process imports this module and must not run it
    main()
