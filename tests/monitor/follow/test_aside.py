"""monitor.follow.aside: every contradicting tree is read, however late; no log is kept busy by its lies."""

from monitor.follow.aside import AT_ONCE, FOR_MS, RETRY_MS, Asides
from tests.simulator import Simulator


def heads(count):
    sim = Simulator()
    sim.grow(count)
    return [sim.sign(size) for size in range(1, count + 1)]


def test_once_it_is_read_it_is_not_read_again():
    asides, (head,) = Asides(), heads(1)
    asides.take([head], 0)
    assert asides.due(0) == [head]
    asides.tried(head, 0, is_read=True)
    asides.take([head], 1)
    assert asides.due(FOR_MS - 1) == []


def test_what_cannot_be_read_is_tried_again_for_a_day():
    asides, (head,) = Asides(), heads(1)
    asides.take([head], 0)
    asides.tried(head, 0, is_read=False)
    assert asides.due(RETRY_MS - 1) == []
    assert asides.due(RETRY_MS) == [head]
    assert asides.due(FOR_MS) == []
    asides.take([], FOR_MS)
    asides.take([head], FOR_MS)
    assert asides.due(FOR_MS) == [head], "it is shown once more, then"


def test_a_few_in_one_round_and_each_has_its_turn():
    asides, lies = Asides(), heads(3 * AT_ONCE)
    asides.take(lies, 0)
    seen = []
    for at_ms in range(3):
        for head in asides.due(at_ms):
            seen.append(head)
            asides.tried(head, at_ms, is_read=False)
    assert seen == lies
