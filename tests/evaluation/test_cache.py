"""The cache keeps what was measured, finds it by content, and survives a kill."""

import subprocess
import sys
import threading

import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.evaluation.cache import Cache, content_key


def test_what_was_put_is_got_again_by_another_process(tmp_path):
    path = tmp_path / "deep" / "cache.sqlite"
    Cache(path).put({"a": {"x": [1, 2.5, None, "ü"]}, "b": []})
    again = Cache(path)
    assert again.get("a") == {"x": [1, 2.5, None, "ü"]} and again.get("b") == [] and again.get("c") is None


def test_memory_alone_is_forgotten():
    first = Cache()
    first.put({"a": 1})
    assert first.get("a") == 1 and Cache().get("a") is None


def test_another_value_replaces_the_first():
    cache = Cache()
    cache.put({"a": 1})
    cache.put({"a": 2})
    assert cache.get("a") == 2


def test_keys_tell_apart_what_differs():
    keys = [content_key(*p) for p in [(1, 2), (2, 1), ("1", "2"), ([1, 2],), ({"a": 1},), ({"a": 2},), (12,), ()]]
    assert len(set(keys)) == len(keys)
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})


def test_many_threads(tmp_path):
    cache = Cache(tmp_path / "cache.sqlite")

    def work(number: int) -> None:
        for i in range(20):
            cache.put({f"{number}-{i}": i})
            assert cache.get(f"{number}-{i}") == i

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(cache.get(f"{n}-{i}") == i for n in range(4) for i in range(20))


def test_a_killed_process_leaves_whole_entries(tmp_path):
    path = tmp_path / "cache.sqlite"
    code = (
        "import os, sys\nfrom ucolnet_lib.evaluation.cache import Cache\ncache = Cache(sys.argv[1])\n"
        "for i in range(50):\n    cache.put({f'{i}-a': i, f'{i}-b': i})\nos._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    cache = Cache(path)
    assert all(cache.get(f"{i}-a") == cache.get(f"{i}-b") for i in range(50)) and cache.get("0-a") == 0


def test_what_is_no_cache_is_one_clear_sentence(tmp_path):
    (tmp_path / "cache.sqlite").write_text("no database, but long enough to be looked at as one" * 50)
    with pytest.raises(UcolnetError, match="cannot be used"):
        Cache(tmp_path / "cache.sqlite")
    with pytest.raises(UcolnetError, match="cannot be used"):
        Cache(tmp_path / "cache.sqlite" / "below" / "a file")
