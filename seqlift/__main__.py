"""`python -m seqlift`."""

from seqlift.cli import main

if __name__ == "__main__":
    main()
