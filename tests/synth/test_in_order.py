"""`map` in threads: in order, never far ahead, and over when its reader is."""

from __future__ import annotations

import time
from itertools import count, islice

import pytest

from synth.in_order import in_order


def slower_first(number: int) -> int:
    time.sleep(0.02 if number % 4 == 0 else 0.0)
    return number * number


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_items_are_not_taken_ahead(threads):
    taken = []

    def items():
        for number in count():
            taken.append(number)
            yield number

    results = in_order(slower_first, items(), threads)
    assert list(islice(results, 20)) == [number * number for number in range(20)]
    results.close()
    assert len(taken) <= 20 + 2 * threads + 1
    assert list(in_order(slower_first, range(9), threads)) == [n * n for n in range(9)]


def test_an_error_comes_in_its_turn():
    def refuse_five(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    seen = []
    with pytest.raises(ValueError, match="five"):
        for number in in_order(refuse_five, range(100), 4):
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]
