"""monitor.tell.trial: a test goes the whole way, and every outcome is told."""

import asyncio

from monitor.tell import make_channels, try_channels
from monitor.tell.channel import DeliveryError
from tests.tell_kit import MORNING, Recorder


async def test_each_outcome_is_told_and_none_waits_for_another(tmp_path):
    good, bad, slow = Recorder("good"), Recorder("bad"), Recorder("slow", limit_s=0.02)
    bad.refuse(DeliveryError("535 no such user"))

    async def hang(letter):
        await asyncio.Event().wait()

    slow.answer = hang
    outcomes = await try_channels([good, bad, slow], MORNING)
    assert [(each.channel, each.error) for each in outcomes] == [
        ("good", ""),
        ("bad", "535 no such user"),
        ("slow", "it did not take the letter within 0.02 s"),
    ]
    (letter,) = good.letters
    assert letter.kind == "test"
    assert letter.subject == "Test of the channel good: nothing has happened"
    assert "You need not do anything" in letter.text


async def test_through_a_real_file(tmp_path):
    channels = make_channels({"log": {"kind": "file", "path": "log.jsonl"}}, tmp_path)
    (outcome,) = await try_channels(channels.values(), MORNING)
    assert (outcome.error, outcome.where) == ("", str(tmp_path / "log.jsonl"))
    assert '"type":"test"' in (tmp_path / "log.jsonl").read_text()
