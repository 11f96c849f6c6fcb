"""The command line: `tessera train`, `tessera info`, `tessera report`; one command a file, `main.py` is the door."""
