"""`python -m turnout.cli` is `turnout`."""

from turnout.cli import main

if __name__ == "__main__":
    main()
