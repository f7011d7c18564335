"""`python -m anymax`."""

from anymax.cli import main

if __name__ == "__main__":
    main()
