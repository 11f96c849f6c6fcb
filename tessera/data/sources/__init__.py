"""Table of contents only; see the files beside this one, one kind of data each."""
