"""`python -m batchwire.service` is the command `batchwire`."""

from .cli import main

if __name__ == "__main__":
    main()
