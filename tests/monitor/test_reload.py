"""monitor.reload: a change is in force at once; a mistake is named, and what was in force stays."""

import base64
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


def change(path, text):
    """Write, and let the clock of the disk notice."""
    path.write_text(text)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_what_is_in_force(files):
    reloader = Reloader(files / "monitor.toml")
    setup = reloader.load()
    assert [item.id for item in reloader.items()] == ["home/number:+12025550123"]
    assert reloader.items() == []
    assert [root.trust_domain for root in setup.trust.roots] == ["test"]
    assert setup.trust.contacts == {"example": "abuse@example.com"}
    assert setup.state == files / "state"


def test_without_a_watch_list(files):
    (files / "watch.toml").unlink()
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    assert reloader.items() == []


def test_nothing_changed(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    assert reloader.refresh() is None
    assert reloader.error == ""


def test_the_watch_list_changes(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    change(files / "watch.toml", WATCH.replace("0123", "0124"))
    assert reloader.refresh() is not None
    assert [item.text for item in reloader.items()] == ["+12025550124"]
    assert reloader.refresh() is None


def test_a_mistake_leaves_what_was_in_force(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    change(files / "watch.toml", WATCH + "numbres = []\n")
    assert reloader.refresh() is None
    assert "line 5, column 1" in reloader.error
    assert reloader.refresh() is None  # and it is not read again and again
    change(files / "watch.toml", WATCH.replace("0123", "0125"))
    assert reloader.refresh() is not None
    assert reloader.items()[0].text == "+12025550125"
    assert reloader.error == ""


def test_roots_come_and_go(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    (files / "roots" / "rogue.pem").write_text(pem(ROGUE.chain[-1]))
    assert len(reloader.refresh().trust.roots) == 2
    (files / "roots" / "rogue.pem").unlink()
    assert len(reloader.refresh().trust.roots) == 1


def test_other_files_are_named(files):
    reloader = Reloader(files / "monitor.toml")
    reloader.load()
    (files / "other.toml").write_text(WATCH.replace("home", "office"))
    change(files / "monitor.toml", 'watch = "other.toml"\n' + CONFIG)
    assert reloader.refresh() is not None
    assert reloader.items()[0].group.name == "office"
    change(files / "other.toml", WATCH.replace("home", "cabin"))
    assert reloader.refresh() is not None
    assert reloader.items()[0].group.name == "cabin"


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


def test_pem():
    assert pem_certificates(pem(b"one", b"two").encode()) == [b"one", b"two"]
    with pytest.raises(ConfigError):
        pem_certificates(b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----")
