"""Complete programs, each with a `main()`: run one with `python -m examples.NAME`."""
