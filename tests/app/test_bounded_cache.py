"""app/bounded_cache.py"""

import threading

from app.bounded_cache import BoundedCache


def test_the_least_recently_used_is_forgotten_where_room_is_needed() -> None:
    cache = BoundedCache[str, int](30)
    for number, key in enumerate("abc"):
        cache.put(key, number, 10)
    assert cache.get("a") == 0
    cache.put("d", 3, 10)
    assert [cache.get(key) for key in "abcd"] == [0, None, 2, 3]
    assert cache.first_of("zc") == 2
    cache.put("e", 4, 20)
    assert [cache.get(key) for key in "acde"] == [None, 2, None, 4]
    assert cache.bytes == 30


def test_what_does_not_fit_at_all_is_not_kept() -> None:
    cache = BoundedCache[str, int](30)
    cache.put("a", 1, 30)
    cache.put("b", 2, 31)
    assert (cache.get("a"), cache.get("b"), cache.bytes) == (1, None, 30)


def test_a_key_keeps_its_value_and_is_used_by_that() -> None:
    cache = BoundedCache[str, int](20)
    cache.put("a", 1, 10)
    cache.put("b", 2, 10)
    cache.put("a", 5, 20)
    cache.put("c", 3, 10)
    assert (cache.get("a"), cache.get("b"), cache.bytes) == (1, None, 20)


def test_hits_and_misses_are_those_of_the_first_that_is_looked_for() -> None:
    cache = BoundedCache[str, int](20)
    cache.put("a", 1, 10)
    assert (cache.first_of("xya"), cache.first_of("xy"), cache.get("a"), cache.get("x")) == (1, None, 1, None)
    assert (cache.hits, cache.misses) == (1, 1)


def test_threads_do_not_miscount() -> None:
    cache = BoundedCache[int, int](50)

    def use(first: int) -> None:
        for number in range(first, first + 2000):
            cache.put(number % 90, number, 10)
            cache.first_of([number % 7])

    threads = [threading.Thread(target=use, args=[first]) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.hits + cache.misses == 8000
    assert cache.bytes == 10 * sum(cache.get(key) is not None for key in range(90)) == 50
