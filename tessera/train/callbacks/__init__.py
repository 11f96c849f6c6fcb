"""Table of contents only; see the files beside this one, one callback each."""
