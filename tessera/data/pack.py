"""Documents of any length become rows of one length.

The documents of an epoch, one behind the other, are one long line of tokens, and row ``k`` is the tokens from
``k * length`` on, with one more for the targets. So where a row begins says everything about it: the number of a
document and a place in it. A run goes on from there without looking at any document before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tessera.data.cursor import Cursor
from tessera.errors import DataError, SettingError

IGNORED = -100  # the label that torch's cross-entropy leaves out

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Pack:
    """How documents are packed.

    Attributes:
        length: tokens in a row.
        separator: a token to put behind every document; None puts nothing there.
        segments: False makes a sample ``(tokens, targets)``, both int64 ``[length]``, the targets one token further on.
            True makes a dict of int64 ``[length]``: ``tokens``; ``segments``, the number of the document in the row,
            from 1; ``positions``, the place in what the row has of the document; and ``labels``, which are the targets
            but that the first token of another document is never to be predicted (-100).
        pad: fill the last row of an epoch with this token, to be ignored in targets (-100) and of segment 0; None
            leaves out the tokens that do not fill a row.
    """

    length: int
    separator: int | None = None
    segments: bool = False
    pad: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or isinstance(self.length, bool) or self.length < 1:
            raise SettingError(
                f"pack(length={self.length!r}) was called.",
                "length is a whole number of at least 1: the tokens in a row.",
                "Write for example dataset.pack(1024, separator=0).",
            )
        for name, token in (("separator", self.separator), ("pad", self.pad)):
            if token is not None and (not isinstance(token, int) or isinstance(token, bool)):
                raise SettingError(
                    f"pack({name}={token!r}) was called.",
                    f"{name} is a token, which is a whole number, or None.",
                    f"Write for example {name}=0.",
                )

    def describe(self) -> dict[str, Any]:
        """What would differ if it packed in another way."""
        return asdict(self)

    def flat(self, documents: list[Any], names: list[str]) -> tuple[Tokens, Tokens]:
        """Documents behind each other, separators included: all tokens ``[n]``, and the length of each ``[documents]``.

        Raises:
            DataError: one is no row of whole numbers.
        """
        pieces = [_document(document, name) for document, name in zip(documents, names, strict=True)]
        end = np.empty(0, np.int64) if self.separator is None else np.array([self.separator], np.int64)
        lengths = np.array([len(piece) + len(end) for piece in pieces], np.int64)
        joined = [part for piece in pieces for part in (piece, end)]
        return np.concatenate([np.empty(0, np.int64), *joined]), lengths

    def rows(self, chunks: Iterable[tuple[Tokens, Tokens, Tokens]], start: Cursor) -> Iterator[tuple[Any, Cursor]]:
        """The rows of ``chunks``, each with where the next row begins.

        Args:
            chunks: positions of documents ``[documents]``, their tokens and their lengths as ``flat`` returns them.
            start: where the first row begins.
        """
        tokens, starts, places = (np.empty(0, np.int64) for _ in range(3))
        skipped = start.offset
        for positions, more, lengths in chunks:
            if not len(more):
                continue
            inside = np.arange(len(more)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            document = np.repeat(positions, lengths)
            # The document in which a run goes on was partly used before.
            keep = slice(skipped if document[0] == start.position else 0, None)
            skipped = 0
            tokens = np.concatenate([tokens, more[keep]])
            starts = np.concatenate([starts, document[keep]])
            places = np.concatenate([places, inside[keep]])
            taken = 0
            while taken + self.length < len(tokens):
                part = slice(taken, taken + self.length + 1)
                taken += self.length
                yield (
                    self._row(tokens[part], starts[part], places[part]),
                    Cursor(int(starts[taken]), int(places[taken])),
                )
            tokens, starts, places = tokens[taken:], starts[taken:], places[taken:]
        # One token alone has nothing to predict, and was the last target of the row before.
        if self.pad is not None and len(tokens) > 1:
            missing = self.length + 1 - len(tokens)
            filled = [np.pad(part, (0, missing), constant_values=-1) for part in (tokens, starts, places)]
            yield self._row(*filled), Cursor(int(starts[-1]) + 1, 0)

    def _row(self, tokens: Tokens, documents: Tokens, places: Tokens) -> Any:
        filled = documents < 0
        targets = np.where(filled, IGNORED, tokens)[1:]
        shown = np.where(filled, self.pad or 0, tokens)[:-1]
        if not self.segments:
            return torch.from_numpy(shown), torch.from_numpy(targets)
        new = documents[1:] != documents[:-1]
        segments = np.concatenate([[1], 1 + np.cumsum(new[:-1])])
        segments[filled[:-1]] = 0
        first = np.flatnonzero(np.concatenate([[True], new[:-1]]))
        here = np.arange(self.length)
        positions = here - first[np.searchsorted(first, here, side="right") - 1]
        return {
            "tokens": torch.from_numpy(shown),
            "segments": torch.from_numpy(segments),
            "positions": torch.from_numpy(positions),
            "labels": torch.from_numpy(np.where(new, IGNORED, targets)),
        }


def _document(found: Any, name: str) -> Tokens:
    try:
        array = np.asarray(found)
    except (TypeError, ValueError):
        array = np.empty((0, 0))
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{name} is to be packed and is of type {type(found).__name__}, shape {list(array.shape)}.",
            "A document is a row of whole numbers, its tokens: a 1-d tensor, array or list.",
            "Turn it into tokens with map() before pack(), for example .map(tokenize).",
        )
    return array.astype(np.int64)
