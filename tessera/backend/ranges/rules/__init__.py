"""What each operation does to ranges; one family a file, put together in ``table``."""
