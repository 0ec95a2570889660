"""One pass on all cores: in order, with its errors, and without a trace in torch's settings."""

import threading
import time

import pytest
import torch

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.stream import stream


def test_results_come_in_order():
    def slow_first(index):
        time.sleep(0.05 if index == 0 else 0)
        return index * index

    assert list(stream(slow_first, 9, "squares", progress=False)) == [i * i for i in range(9)]


def test_an_error_ends_the_pass_and_is_raised():
    def broken(index):
        if index == 3:
            raise UcolnetError("picture 3 is broken")
        return index

    seen = []
    with pytest.raises(UcolnetError, match="picture 3"):
        for value in stream(broken, 1000, "broken", progress=False):
            seen.append(value)
    assert seen == [0, 1, 2]


def test_each_item_is_computed_by_one_thread_and_torch_is_left_as_it_was():
    before = torch.get_num_threads()
    assert set(stream(lambda _: torch.get_num_threads(), 4, "threads", progress=False)) == {1}
    assert torch.get_num_threads() == before
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]


def test_progress_tells_rate_and_remaining_time(capsys):
    list(stream(lambda i: i, 3, "colours", progress=True))
    shown = capsys.readouterr().err
    assert "colours" in shown and "image/s" in shown
    list(stream(lambda i: i, 3, "colours", progress=False))
    assert capsys.readouterr().err == ""
