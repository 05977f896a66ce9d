"""The home page: everything is escaped, nothing is fetched, no script runs, and the links lead somewhere."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re

import pytest

from ctlog.http.pages import HomePage, Identity, LimitRow, Moment, RootRow, age_text, contact_href, to_pem

IDENTITY = Identity(
    origin="log.example/2026", description="A log", operator="Example Ltd", contact="ct@log.example",
    submission_url="https://log.example/2026/", monitoring_url="https://log.example/2026/", log_id=bytes(range(32)),
    spki=bytes(91), vkeys=("log.example/2026+01234567+AQAA",), window="", require_number=True, restricted=False,
    limits=(LimitRow("One source", "200 a second"),), version="0.1.0", kernel="reference")
MOMENT = Moment(size=8753, root=bytes(32), head_ms=1_763_888_400_000, now_ms=1_763_888_403_000, frozen=False,
                problems=(), roots=(RootRow("CN=Root", "us-shaken", "ab" * 32, "2026-01-01"),))


class Reader(html.parser.HTMLParser):
    """Tags, attributes and text of a page; fails on what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(identity: Identity = IDENTITY, moment: Moment = MOMENT) -> Reader:
    return Reader(HomePage(identity).answer(moment).body.decode())


def test_it_says_what_it_is() -> None:
    read = page()
    for text in ("log.example/2026", "8\u202f753", "healthy", "3 seconds ago", "CN=Root", "us-shaken", "ab" * 32,
                 "200 a second", bytes(range(32)).hex(), base64.b64encode(bytes(range(32))).decode(),
                 "BEGIN PUBLIC KEY", "+01234567+AQAA", "Example Ltd", "ct/v1/add-chain", "ctlog verify"):
        assert text in read.text, text
    assert ("a", {"href": "mailto:ct@log.example"}) in read.tags
    assert "Anyone may submit" in re.sub(r"\s+", " ", read.text)


def test_nothing_is_fetched_and_nothing_runs() -> None:
    answer = HomePage(IDENTITY).answer(MOMENT)
    read = Reader(answer.body.decode())
    assert not {"script", "img", "iframe", "object", "embed", "form"} & {tag for tag, _ in read.tags}
    for tag, attributes in read.tags:
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes), tag
        if tag == "link":
            assert attributes["href"] == "data:,"
    style = re.search(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = dict(answer.headers)["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_whatever_a_ca_calls_itself_is_text() -> None:
    evil = RootRow('<script>alert(1)</script>" onclick="x', "<i>", "<em>", "&")
    body = HomePage(IDENTITY._replace(description="<u>", operator="<s>", contact="<q>@x")).answer(
        MOMENT._replace(roots=(evil,), problems=("<del>",))).body.decode()
    for raw in ("<script", "<i>", "<em>", "<u>", "<s>", "<q>", "<del>", '" onclick'):
        assert raw not in body.replace("<em>should</em>", "").replace("<em>proven</em>", ""), raw
    assert "&lt;script&gt;" in body


def test_trouble_and_the_end_are_said() -> None:
    read = page(moment=MOMENT._replace(problems=("the head is 17 minutes old",)))
    assert "in trouble" in read.text
    assert "17 minutes old" in read.text
    read = page(moment=MOMENT._replace(frozen=True))
    assert "has ended" in read.text
    assert "add-chain" not in read.text.replace("add-pre-chain", "")
    assert "None yet" in page(moment=MOMENT._replace(roots=())).text


def test_internal_links_are_relative_so_that_a_prefix_can_stand_before_them() -> None:
    hrefs = [attributes["href"] for tag, attributes in page().tags if tag == "a"]
    assert {"checkpoint", "health", "metrics", "log.v3.json", "ct/v1/get-sth", "ct/v1/get-roots"} <= set(hrefs)
    assert not [href for href in hrefs if href and href.startswith("/")]


@pytest.mark.parametrize(("ms", "text"), [
    (-5, "0 seconds"), (1999, "1 second"), (119_000, "119 seconds"), (120_000, "2 minutes"), (7_200_000, "2 hours"),
    (172_800_000, "2 days"),
])
def test_ages(ms: int, text: str) -> None:
    assert age_text(ms) == text


def test_contacts() -> None:
    assert contact_href("https://x/y") == "https://x/y"
    assert contact_href("a@b") == "mailto:a@b"
    assert contact_href("javascript:alert(1)@x") == ""
    assert contact_href("ask for Bob") == ""


def test_pem() -> None:
    lines = to_pem(bytes(91)).splitlines()
    assert base64.b64decode("".join(lines[1:-1])) == bytes(91)
    assert all(len(line) <= 64 for line in lines)
