"""What can be wrong with an operation, one family a file; ``table.py`` says which operation each is asked about."""
