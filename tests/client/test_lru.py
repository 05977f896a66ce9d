"""What is remembered is what was used last, within the bounds; checked against a list that does the same slowly."""

from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.lru import LruCache

KEYS = st.integers(0, 5)
STEPS = st.lists(st.tuples(st.sampled_from(["get", "put", "drop"]), KEYS, st.integers(0, 30)), max_size=60)


@given(STEPS, st.integers(1, 4), st.integers(40, 200))
def test_it_is_a_list_with_the_last_used_at_the_end(steps, entries, octets):
    cache: LruCache[int, int] = LruCache(entries, octets)
    model: list[tuple[int, int, int]] = []
    for step, (what, key, weight) in enumerate(steps):
        found = next((item for item in model if item[0] == key), None)
        if found is not None:
            model.remove(found)
        if what == "get":
            assert cache.get(key) == (found and found[1])
            if found is not None:
                model.append(found)
        elif what == "drop":
            cache.drop(key)
        else:
            cache.put(key, step, weight)
            if weight <= octets // 8:
                model.append((key, step, weight))
            while len(model) > entries or sum(item[2] for item in model) > octets:
                model.pop(0)
        assert len(cache) == len(model)
        assert [each in cache for each in range(8)] == [any(item[0] == each for item in model) for each in range(8)]
    for key, value, _ in list(model):
        assert cache.get(key) == value
    cache.clear()
    assert len(cache) == 0
    assert cache.get(0) is None


def test_no_entries_at_all():
    cache: LruCache[int, int] = LruCache(0)
    cache.put(1, 1)
    assert cache.get(1) is None
