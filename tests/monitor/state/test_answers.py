"""monitor.state.answers: items, authorisations, events, baselines, snapshots."""

import pytest

from ctlog.errors import NotFoundError
from monitor.state import State, make_state
from monitor.state.rows import CertificateRow, Position

NOW = 1_790_000_000_000


@pytest.fixture
async def answers(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as opened:
        yield opened.answers


async def test_items(answers):
    await answers.put_items([("b", b"1"), ("a", b"2")], NOW)
    await answers.put_items([("b", b"3")], NOW + 5)
    assert [(row.id, row.spec, row.added_ms) for row in await answers.items()] == [("a", b"2", NOW), ("b", b"3", NOW)]
    await answers.remove_item("a", NOW + 6)
    with pytest.raises(NotFoundError, match="a is not among"):
        await answers.remove_item("a", NOW + 7)
    assert [row.id for row in await answers.items()] == ["b"]
    await answers.put_items([("a", b"4")], NOW + 8)
    assert (await answers.items())[0] == ("a", b"4", NOW + 8, None)


async def test_items_are_changed_all_or_none(answers):
    await answers.put_items([("a", b"1"), ("b", b"2")], NOW)

    def change(found):
        assert found == {"a": b"1", "b": b"2"}
        return {"a": b"11", "b": None, "c": b"3"}

    await answers.change_items(["a", "b", "z"], change, NOW + 5)
    assert [(row.id, row.spec, row.added_ms) for row in await answers.items()] == [
        ("a", b"11", NOW), ("c", b"3", NOW + 5)]  # fmt: skip

    def refuse(found):
        raise NotFoundError("no")

    with pytest.raises(NotFoundError):
        await answers.change_items(["a"], refuse, NOW + 6)
    assert [row.id for row in await answers.items()] == ["a", "c"]


async def test_a_running_daemon_notices_what_a_command_changed(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as daemon, State.open(tmp_path, exclusive=False) as command:
        before = await daemon.answers.data_version()
        await daemon.answers.put_meta("own", b"")
        assert await daemon.answers.data_version() == before
        await command.answers.put_items([("a", b"")], NOW)
        assert await daemon.answers.data_version() != before


async def test_authorisations(answers):
    made = await answers.authorise("key", "ab" * 32, "home", "me", "new phone", NOW, NOW + 100)
    await answers.authorise("issuer", "root/Org", "", "me", "", NOW)
    assert [row.kind for row in await answers.authorisations(NOW + 99)] == ["key", "issuer"]
    assert [row.kind for row in await answers.authorisations(NOW + 100)] == ["issuer"]
    assert made.note == "new phone"
    await answers.revoke(2, NOW)
    assert await answers.authorisations(NOW + 100) == []
    with pytest.raises(NotFoundError):
        await answers.revoke(3, NOW)


async def test_baselines(answers):
    await answers.put_baselines([("a", b"1"), ("b", b"2")], NOW)
    await answers.put_baselines([("a", b"3")], NOW)
    assert await answers.baselines() == {"a": b"3", "b": b"2"}
    assert await answers.baselines(["b", "z"]) == {"b": b"2"}


async def test_what_was_learned_on_the_way(tmp_path):
    make_state(tmp_path, NOW)
    log = bytes([7]) * 32
    rows = [
        CertificateRow(b"CA", bytes([at]), b"key %d" % (at % 2), log, at, NOW + at, "https://x/l" if at == 2 else "")
        for at in range(3)
    ]
    async with State.open(tmp_path) as state:
        await state.logs.add(log, "log", "", Position(), NOW)
        await state.logs.advance(log, Position(), [], NOW, issuers=["one", "two"], certificates=rows)
        await state.logs.advance(log, Position(), [], NOW, issuers=["two", "three"], certificates=rows)
        answers = state.answers
        assert await answers.issuers() == {"one", "two", "three"}
        assert await answers.certificates(serial=(b"CA", b"\x01")) == [rows[1]]
        assert await answers.certificates(spki=b"key 0") == [rows[0], rows[2]]
        assert await answers.certificates(url="https://x/l") == [rows[2]]
        assert await answers.references(NOW + 2) == ["https://x/l"]
        assert await answers.references(NOW + 3) == []


async def test_since_when_items_are_watched(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as state:
        answers = state.answers

        async def enrolled():
            return dict(zip(*await answers.enrolled(), strict=True))

        assert await enrolled() == {}
        await answers.enrol([6, 5, 6, -7], [], [("enrol", b"these")], NOW)
        assert list((await answers.enrolled())[0]) == [-7, 5, 6]
        await answers.enrol([6, 8], [5, 99], [], NOW + 9)
        assert await enrolled() == {-7: NOW, 6: NOW, 8: NOW + 9}
        await answers.enrol([], [6], [], NOW + 10)
        await answers.enrol([6], [], [], NOW + 11)
        assert (await enrolled())[6] == NOW + 11  # it went, and came back
        assert [(task.kind, task.spec) for task in await state.audits.tasks()] == [("enrol", b"these")]


async def test_events(answers):
    await answers.add_event("port", "12025550123", NOW + 5, "reported")
    await answers.add_event("sim", "12025550123", NOW, "")
    await answers.add_event("sim", "12025550199", NOW, "")
    assert [(row.kind, row.at_ms) for row in await answers.events("12025550123")] == [("sim", NOW), ("port", NOW + 5)]
    assert [row.kind for row in await answers.events(since_ms=NOW + 1)] == ["port"]


async def test_snapshots_keep_each_change(answers):
    assert await answers.put_snapshot("https://x", b"1", b"h1", "", NOW)
    assert not await answers.put_snapshot("https://x", b"1", b"h1", "", NOW + 1)
    assert await answers.put_snapshot("https://x", b"", b"", "unreachable", NOW + 2)
    assert await answers.put_snapshot("https://x", b"1", b"h1", "", NOW + 3)
    found = await answers.snapshots("https://x")
    assert [(row.body, row.error, row.first_ms, row.fetched_ms) for row in found] == [
        (b"1", "", NOW + 3, NOW + 3), (b"", "unreachable", NOW + 2, NOW + 2), (b"1", "", NOW, NOW + 1)]  # fmt: skip
    assert await answers.snapshots("https://y") == []


async def test_every_state_has_an_identity_and_keeps_it(answers, tmp_path):
    mine = await answers.identity()
    assert await answers.identity() == mine
    make_state(tmp_path / "other", NOW)
    async with State.open(tmp_path / "other") as other:
        assert await other.answers.identity() != mine
        await other.database.write(lambda connection: connection.execute("DELETE FROM meta WHERE key = 'identity'"))
        made = await other.answers.identity()  # one that was made before there were any
        assert len(made) == 32
        assert await other.answers.identity() == made
