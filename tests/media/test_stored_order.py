"""The order in which frames are stored, against a decoder that is played through frame by frame."""

import heapq

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.media.stored_order import stored_order

I_B_P = (0, 2, 1)  # of two frames behind a key frame the second is stored first


def comes_in_order(shown: list[int], held_back: int) -> bool:
    """Whether a decoder that gets frames of these numbers hands them on in order if it holds so many back."""
    waiting: list[int] = []
    come = []
    for number in shown:
        heapq.heappush(waiting, number)
        if len(waiting) > held_back:
            come.append(heapq.heappop(waiting))
    return come + sorted(waiting) == sorted(shown)


@given(st.permutations(range(9)) | st.permutations(range(4)).map(lambda part: [*part, *(4 + place for place in part)]))
def test_a_decoder_can_begin_where_it_is_said_and_must_hold_back_as_many(places: list[int]) -> None:
    order = stored_order(1000 + 7 * np.array(places), np.arange(len(places)))
    assert order is not None
    shown = [int(number) for number in np.argsort(places)]  # the frames' numbers as they are stored
    least = next(count for count in range(len(places)) if comes_in_order(shown, count))
    assert order.held_back == least
    starts = [k for k in range(len(places)) if shown[k] == k and set(shown[:k]) == set(range(k))]
    assert list(order.fresh_starts) == starts
    assert all(comes_in_order(shown[k:], order.held_back) for k in starts)


def test_only_what_the_decoder_calls_a_key_frame_is_a_start() -> None:
    positions = np.array([*I_B_P, *(3 + place for place in I_B_P), 6, 7])
    order = stored_order(positions, np.array([0, 3, 4, 7]))
    assert order is not None and list(order.fresh_starts) == [0, 3, 7] and order.held_back == 1


def test_an_open_group_is_no_start() -> None:
    """Its key frame is stored before frames that are shown before it."""
    order = stored_order(np.array([0, 2, 1, 4, 5, 3, 6]), np.array([0, 5]))
    assert order is not None and list(order.fresh_starts) == [0]


def test_without_a_place_for_each_frame_the_order_is_not_known() -> None:
    assert stored_order(np.array([0, -1, 20]), np.array([0])) is None
    assert stored_order(np.array([0, 20, 20]), np.array([0])) is None
