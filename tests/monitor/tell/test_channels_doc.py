"""docs/channels.md: every key of every kind stands there, and what is shown there works."""

import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from monitor.tell import check_channel, make_channels
from monitor.tell.channel import KIND
from monitor.tell.command import CommandChannel, variables, write_files
from monitor.tell.kinds import KINDS
from monitor.tell.letter import make_letter
from monitor.tell.plan import GATHER_MS, GATHER_S1_MS, SINGLES, UNREADABLE_SINGLES
from monitor.tell.webhook import payload, sign
from tests.floor_plan import ROOT
from tests.monitor.tell.test_letter import CERTIFICATE, LIE
from tests.monitor.tell.test_webhook import SECRET
from tests.tell_kit import row

PATH = ROOT / "docs" / "channels.md"
PAGE = PATH.read_text("utf-8")
MARK = "<!-- keys: {} -->\n"


def shown(value):
    return "(none)" if value in (None, "", []) else f"`{json.dumps(value)}`"


def table(kind):
    keys = KINDS[kind][0]
    rows = [f"| `{key.name}` | {shown(key.default)} | {key.sentence.replace('|', '/')} |" for key in keys]
    return "\n".join(["| key | default | |", "|---|---|---|", *rows])


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def section(title):
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_stands_there_with_its_sentence(kind):
    told = PAGE.partition(MARK.format(kind))[2].split("\n\n")[0]
    assert told == table(kind), "`python -m tests.monitor.tell.test_channels_doc` writes the tables anew"


def test_every_kind_is_named():
    assert set(re.findall(r"`(\w+)`", KIND.sentence)) == set(KINDS)
    channels = tomllib.loads(blocks("toml")[0])["channels"]
    assert {each["kind"] for each in channels.values()} == set(KINDS)


@pytest.mark.parametrize("number", range(len(blocks("toml"))))
def test_what_is_shown_makes_channels(number, tmp_path):
    channels = tomllib.loads(blocks("toml")[number])["channels"]
    for name, each in channels.items():
        check_channel(name, each)
    assert list(make_channels(channels, tmp_path)) == list(channels)


def test_the_figures_are_those_of_the_code():
    assert (SINGLES, UNREADABLE_SINGLES, GATHER_MS, GATHER_S1_MS) == (10, 3, 600_000, 60_000)


def test_the_receiver_that_is_shown_takes_what_is_signed_and_nothing_else(tmp_path):
    (code,) = blocks("python")
    names = {}
    exec(code, names)
    body = payload(make_letter(CERTIFICATE))
    headers = {"webhook-id": "m", "webhook-timestamp": "1000", "webhook-signature": sign(SECRET, "m", 1000, body)}
    taken = names["take"](headers, body, SECRET, 1000 + 60)
    assert taken["data"]["id"] == CERTIFICATE.alert.id
    for changed, at_s in ((body + b" ", 1060), (body, 1000 + 301)):
        with pytest.raises(ValueError):
            names["take"](headers, changed, SECRET, at_s)


def test_the_secret_is_made_as_it_is_told():
    line = next(each for each in blocks("sh") if "whsec_" in each)
    made = os.popen(line.partition(">")[0]).read().strip()
    assert sign(made, "m", 1, b"").startswith("v1,")


def test_every_variable_of_a_command_is_told(tmp_path):
    letter = make_letter(CERTIFICATE, "https://log.example/")
    lie = make_letter(row(1, alert_kind="misbehaviour", body=json.dumps(LIE).encode()))
    given = {*variables(letter), *write_files(letter, tmp_path), *write_files(lie, tmp_path)}
    told = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", section("`command`")))
    assert told - {"PATH", "HOME", "USER", "LANG", "TMPDIR"} == given


async def test_the_hook_that_is_shown_runs(tmp_path):
    hook = next(each for each in blocks("sh") if each.startswith("#!"))
    (tmp_path / "page-me").write_text(hook.replace("logger -t ctlog", "cat >> said; echo"))
    (tmp_path / "page-me").chmod(0o755)
    line = tomllib.loads(blocks("toml")[0])["channels"]["pager"]
    letter = make_letter(CERTIFICATE)
    await CommandChannel("pager", line, tmp_path).send(letter)
    said = variables(letter)
    assert (tmp_path / "said").read_text().startswith(f"{said['EVENT']}: {said['SUMMARY']} (for {said['WATCH_ITEM']}, ")


def main() -> None:
    """Write the tables anew."""
    text = PAGE
    for kind in KINDS:
        before, mark, after = text.partition(MARK.format(kind))
        text = f"{before}{mark}{table(kind)}\n\n{after.partition(chr(10) * 2)[2]}"
    Path(PATH).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
