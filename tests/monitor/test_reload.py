"""monitor.reload: a change is in force at once; a mistake is named, and what was in force stays."""

import base64
import json
import os

import pytest

from ctlog.errors import ConfigError, UsageError
from monitor.reload import Reloader, pem_certificates
from tests.cert_sim import CA, ROGUE

CONFIG = """
contact = "me"
[channels.mail]
type = "email"
[[roots]]
trust_domain = "test"
files = ["roots/*.pem"]
[contacts]
"Example, Inc." = "abuse@example.com"
"""
WATCH = '[[watch]]\nname = "home"\nnumbers = ["+12025550123"]\ntell = ["mail"]\n'


def pem(*ders):
    return "".join(
        f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n" for der in ders
    )


@pytest.fixture
def files(tmp_path):
    (tmp_path / "monitor.toml").write_text(CONFIG)
    (tmp_path / "watch.toml").write_text(WATCH)
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "example.pem").write_text("a comment\n" + pem(CA.chain[-1]))
    return tmp_path


def watched(reloader):
    """What was read since this was asked last."""
    watchlist = reloader.take_watchlist()
    return None if watchlist is None else [item.id for item in watchlist.items()]


def again(reloader):
    """Look until what is there has stayed the same."""
    assert reloader.refresh() is None
    return reloader.refresh()


def change(path, text):
    """Write, and let the clock of the disk notice."""
    path.write_text(text)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_a_restart_with_a_mistake_has_what_was_in_force(files):
    """The list that was in force last is kept in the state; the mistake is said until it is mended."""
    (files / "state").mkdir()
    Reloader(files / "monitor.toml").load()
    change(files / "watch.toml", WATCH.replace("numbers", "numbres"))
    started = Reloader(files / "monitor.toml")
    started.load()
    assert watched(started) == ["home/number:+12025550123"]
    assert "watch.toml: watch list, line 3, column 1" in started.error
    change(files / "watch.toml", WATCH.replace("0123", "0124"))
    assert again(started) is not None
    assert (watched(started), started.error) == (["home/number:+12025550124"], "")


@pytest.mark.parametrize("spoil", ["gone", "no UTF-8"])
def test_a_restart_without_the_watch_file_does_not_watch_nothing(files, spoil):
    (files / "state").mkdir()
    Reloader(files / "monitor.toml").load()
    path = files / "watch.toml"
    path.unlink() if spoil == "gone" else path.write_bytes(b"\xff")
    started = Reloader(files / "monitor.toml")
    started.load()
    assert watched(started) == ["home/number:+12025550123"]
    assert spoil in started.error


def test_a_mistake_in_the_configuration_itself_does_not_start(files):
    (files / "state").mkdir()
    Reloader(files / "monitor.toml").load()
    change(files / "monitor.toml", CONFIG + "x = 1\n")
    with pytest.raises(ConfigError):
        Reloader(files / "monitor.toml").load()


def test_an_added_item_that_names_no_channel_is_said(files):
    reloader = Reloader(files / "monitor.toml")
    table = json.dumps({"name": "shop", "numbers": ["+12025550124"], "tell": ["mail", "pager"]}).encode()
    reloader.load([("shop", table)])
    assert reloader.homeless == ("shop tells 'pager', and there is no such channel",)
    reloader.renew([])
    assert reloader.homeless == ()


def test_what_is_in_force(files):
    reloader = Reloader(files / "monitor.toml")
    setup = reloader.load()
    assert watched(reloader) == ["home/number:+12025550123"]
    assert watched(reloader) is None
    assert [root.trust_domain for root in setup.trust.roots] == ["test"]
    assert setup.trust.contacts == {"example": "abuse@example.com"}
    assert setup.state == files / "state"


def test_without_a_watch_list(files):
    (files / "watch.toml").unlink()
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    assert watched(reloader) == []


def test_nothing_changed(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    assert reloader.refresh() is None
    assert reloader.error == ""


def test_the_watch_list_changes(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    change(files / "watch.toml", WATCH.replace("0123", "0124"))
    assert again(reloader) is not None
    assert watched(reloader) == ["home/number:+12025550124"]
    assert again(reloader) is None


def test_a_mistake_leaves_what_was_in_force(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    change(files / "watch.toml", WATCH + "numbres = []\n")
    watched(reloader)
    assert again(reloader) is None
    assert "line 5, column 1" in reloader.error
    assert watched(reloader) is None
    assert again(reloader) is None  # and it is not read again and again
    change(files / "watch.toml", WATCH.replace("0123", "0125"))
    assert again(reloader) is not None
    assert watched(reloader) == ["home/number:+12025550125"]
    assert reloader.error == ""


def test_roots_come_and_go(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    (files / "roots" / "rogue.pem").write_text(pem(ROGUE.chain[-1]))
    assert len(again(reloader).trust.roots) == 2
    (files / "roots" / "rogue.pem").unlink()
    assert len(again(reloader).trust.roots) == 1


def test_other_files_are_named(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    (files / "other.toml").write_text(WATCH.replace("home", "office"))
    change(files / "monitor.toml", 'watch = "other.toml"\n' + CONFIG)
    assert again(reloader) is not None
    assert watched(reloader) == ["office/number:+12025550123"]
    change(files / "other.toml", WATCH.replace("home", "cabin"))
    assert again(reloader) is not None
    assert watched(reloader) == ["cabin/number:+12025550123"]


@pytest.mark.parametrize(("name", "text", "what"), [
    ("monitor.toml", "contact", "no TOML"),
    ("watch.toml", WATCH.replace('"mail"', '"post"'), "home tells 'post', and there is no such channel"),
    ("roots/example.pem", "nothing", "no certificate in PEM"),
    ("roots/example.pem", pem(CA.chain[-1])[:-60] + "-----END CERTIFICATE-----", "example.pem"),
    ("roots/example.pem", pem(b"no certificate"), "example.pem"),
])  # fmt: skip
def test_a_start_with_a_mistake_is_refused(files, name, text, what):
    (files / name).write_text(text)
    with pytest.raises(ConfigError, match=what):
        Reloader(files / "monitor.toml").load()


def test_what_is_not_there(files):
    (files / "roots" / "example.pem").unlink()
    with pytest.raises(ConfigError, match="no such file of accepted roots"):
        Reloader(files / "monitor.toml").load()
    with pytest.raises(ConfigError, match="No such file"):
        Reloader(files / "nowhere.toml").load()
    (files / "monitor.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="no UTF-8"):
        Reloader(files / "monitor.toml").load()


def test_channels_are_checked_by_whoever_knows_them(files):
    def check(name, table):
        raise UsageError(f"{name}: a channel of type {table['type']} needs an address")

    with pytest.raises(ConfigError, match="needs an address"):
        Reloader(files / "monitor.toml", check).load()


def test_a_file_is_not_read_half_written(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    watched(reloader)
    for end in range(0, len(WATCH), 20):
        change(files / "watch.toml", WATCH[:end])
        assert reloader.refresh() is None
        assert watched(reloader) is None
        assert reloader.error == ""


def test_a_watch_list_that_is_gone_is_a_mistake(files):
    """An editor may take it away for a moment; nobody is unwatched for that."""
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    watched(reloader)
    (files / "watch.toml").unlink()
    assert again(reloader) is None
    assert "watch.toml is gone" in reloader.error
    assert watched(reloader) is None
    change(files / "watch.toml", "")
    assert again(reloader) is not None
    assert watched(reloader) == []


def table(name, **members):
    return name, json.dumps({"name": name, **members}).encode()


def test_tables_that_were_added_by_command(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load([table("office", numbers=["+12025550124"], tell=["mail"])])
    assert watched(reloader) == ["home/number:+12025550123", "office/number:+12025550124"]
    assert reloader.renew([table("shop", ranges=["+12025550100 to +12025550199"])]) is not None
    assert watched(reloader) == ["shop/range:+12025550100 to +12025550199", "home/number:+12025550123"]
    assert reloader.unread == ()


def test_a_table_of_the_same_name_is_watched_besides(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load([table("home", numbers=["+12025550124"])])
    assert watched(reloader) == ["home/number:+12025550123", "home (added)/number:+12025550124"]


def test_a_table_whose_channels_are_gone_is_watched(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load([table("office", numbers=["+12025550124"], tell=["mail", "post"])])
    groups = {group.name: group.tell for group in reloader.take_watchlist().groups}
    assert groups == {"home": ("mail",), "office": ("mail",)}


@pytest.mark.parametrize("spec", [
    b"", b"[]", b"{}", b"null", b'{"name": "x"}', b'{"name": "x", "numbers": ["1"]}', b'{"name": "x", "colour": 1}',
    b'{"name": 7}', b'{"name": "x", "tell": 7}',
])  # fmt: skip
def test_a_table_that_cannot_be_read_keeps_no_other_from_being_watched(files, spec):
    reloader = Reloader(files / "monitor.toml")
    reloader.load([("bad", spec), table("office", numbers=["+12025550124"])])
    assert watched(reloader) == ["home/number:+12025550123", "office/number:+12025550124"]
    assert [each.partition(":")[0] for each in reloader.unread] == ["bad"]


def test_pem():
    assert pem_certificates(pem(b"one", b"two").encode()) == [b"one", b"two"]
    with pytest.raises(ConfigError):
        pem_certificates(b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----")
