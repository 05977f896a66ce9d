"""What is remembered from call to call: for one trust at a time, and within its bounds."""

from ctlog.client.call_cache import CallCache
from ctlog.client.passport import verify_passport
from tests.call_values import CA, NOW, logged, number_tbs, signed, subject, trust


def test_for_one_trust_at_a_time():
    one, equal = trust(), trust()
    cache = CallCache()
    verify_passport(signed(), one, NOW, cache=cache)
    assert (len(cache), len(cache.headers), len(cache.paths)) == (1, 1, 1)
    cache.serve(one)
    assert len(cache) == 1
    cache.serve(equal)
    assert (len(cache), len(cache.headers), len(cache.bundles), len(cache.paths)) == (0, 0, 0, 0)


def test_bounded():
    cache, whom = CallCache(entries=3), trust()
    for name in "abcdefg":
        tbs = number_tbs(whose=subject(name))
        verify_passport(signed(x5c=(logged(tbs), CA.certificate)), whom, NOW, cache=cache)
    assert len(cache) == len(cache.headers) == 3
