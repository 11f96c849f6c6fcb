"""What is known to go wrong; one kind a file, put together in ``table``."""
