"""docs/issue-certificates.md, run: the session with real logs, the program, and a key that never leaves its token."""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ctlog import issuance
from ctlog.cli.files import read_certificates
from ctlog.client.detached import read_sct_list
from ctlog.client.log_client import LogClient, session
from ctlog.client.log_list import LogList, parse_log_list
from ctlog.client.sct_policy import verify_scts
from ctlog.client.several import Destination, Several, SubmissionPolicy
from ctlog.issuance import Authority, Key, Subject
from ctlog.issuance.issuer import Issued, Issuer
from ctlog.x509.der import parse_certificate
from monitor.rcs import holds_proof, read_participant, read_provisioning
from tests import openssl
from tests.serving import Serving, command
from tests.tools import missing, tool

pytestmark = pytest.mark.trial

PAGE = (Path(__file__).parents[2] / "docs" / "issue-certificates.md").read_text("utf-8")
DAY_MS = 86_400_000
MODULES = [f"/usr/{where}/softhsm/libsofthsm2.so" for where in ("lib", "lib64", "local/lib")]


def block(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Place:
    """What the session of the page leaves behind: a folder, and two logs that are served from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs: list[Serving] = []
        self.said: dict[str, str] = {}

    def type(self, line: str) -> None:
        program, *words = shlex.split(line)
        assert program == "ctlog"
        if words[0] == "serve":  # on a port that is free
            self.logs.append(Serving(self.folder / words[1]))
            return
        for at, log in enumerate(self.logs):
            words = [word.replace(f"http://127.0.0.1:{8461 + at}/", log.url) for word in words]
        with contextlib.chdir(self.folder):
            self.said[line] = command(*words).stdout

    @property
    def log_list(self) -> LogList:
        path = self.folder / "log-list.json"
        if not path.exists():
            for name, log in zip(("One Inc", "Two Inc"), self.logs, strict=True):
                command("log-list", "add", path, log.url, "--operator", name)
            data = path.read_text()
            for at, name in enumerate(("one", "two")):  # where they are in truth
                data = data.replace(f"https://{name}.example/2027/", self.logs[at].url)
            path.write_text(data)
        return parse_log_list(path.read_bytes())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("a ca"))
    try:
        for line in block("issuing").splitlines():
            made.type(line.removeprefix("$ "))
        yield made
        assert [log.stop() for log in made.logs] == [0, 0]
    finally:
        for log in made.logs:
            log.kill()


def check(chain: tuple[bytes, ...], logs: LogList, detached: list[bytes] | None = None) -> None:
    verdict = verify_scts(chain[0], chain[1:], logs, now_ms(), detached=detached or [])
    assert (verdict.outcome, verdict.operators) == ("met", ["One Inc", "Two Inc"])


def test_the_session(place: Place) -> None:
    shown = next(text for line, text in place.said.items() if line.startswith("ctlog show"))
    for claim in ("service provider code 709J", "number 12025550123"):
        assert claim in shown
    for name in ("carrier", "voip"):
        check(tuple(read_certificates(place.folder / f"{name}.pem")), place.log_list)
    for name in ("phone.sct-list", "phone.pem.sct-list"):
        scts = read_sct_list((place.folder / name).read_bytes())
        check(tuple(read_certificates(place.folder / "phone.pem")), place.log_list, scts)


def test_by_a_signer_of_precertificates_and_the_finished_one_too(place: Place) -> None:
    urls = [log.url for log in place.logs]
    signer = ("--ca", "my-ca/shaken/ca.pem", "--precert-signer", "my-ca/shaken/precert-signer.pem")
    about = ("--code", "683G", "--organization", "Carrier", "--new-key", "s-key.pem")
    with contextlib.chdir(place.folder):
        command("ca", "certificate", *signer, *about, "--submit-final", "--log", *urls, "--out", "signed.pem")
        check(tuple(read_certificates(Path("signed.pem"))), place.log_list)
        for at, url in enumerate(urls):  # the finished certificate is an entry of its own
            one = ("--scts", "1", "--operators", "1")
            said = command("ca", "scts", "signed.pem", "--log", url, *one, "--json").stdout
            (told,) = json.loads(said)["scts"]
            assert told["log_id"] == place.log_list.logs[at].log_id.hex()


def write_orders(place: Place, name: str) -> None:
    orders = re.sub(r"MFkw\S+", lambda _: base64.b64encode(Key.generate().spki).decode(), block(f"file: {name}"))
    (place.folder / name).write_text(orders)


def test_thousands_at_a_time(place: Place) -> None:
    write_orders(place, "orders.csv")
    for line in block("issuing, in bulk").splitlines():
        place.type(line.removeprefix("$ "))
    for name in ("order-1", "order-2"):
        check(tuple(read_certificates(place.folder / "issued" / f"{name}.pem")), place.log_list)
    assert "10 numbers from 12025550120" in next(text for line, text in place.said.items() if "order-2.pem" in line)


def test_thousands_and_the_finished_ones_too(place: Place) -> None:
    """Orders that were issued before, too: asked for later, they are submitted then."""
    if not (place.folder / "orders.csv").exists():
        write_orders(place, "orders.csv")
    (line,) = (each for each in block("issuing, in bulk").splitlines() if " ca issue " in each)
    place.type(line.removeprefix("$ ") + " --submit-final")
    finished = place.folder / "issued/order-1.pem"
    one = ("--scts", "1", "--operators", "1")
    for log in place.logs:
        said = command("ca", "scts", finished, "--log", log.url, *one, "--json").stdout
        assert len(json.loads(said)["scts"]) == 1


def test_messaging_clients_and_who_vouches_for_them(place: Place) -> None:
    write_orders(place, "clients.csv")
    for line in block("issuing, messaging in bulk").splitlines():
        place.type(line.removeprefix("$ "))
    path = place.folder / "clients/client-1.pem"
    chain = tuple(read_certificates(path))
    check(chain, place.log_list, read_sct_list(path.with_name("client-1.pem.sct-list").read_bytes()))
    found = parse_certificate(chain[0])
    participant, proof = read_participant(found), read_provisioning(found)
    assert participant is not None
    assert holds_proof(found, participant)
    assert proof is not None
    assert proof.expiry_s * 1000 > now_ms()


def test_the_line_of_the_readme(place: Place) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    section = readme.partition("## Issuing a certificate")[2].partition("\n## ")[0]
    (line,) = re.findall(r"^    (ctlog ca certificate (?:.*\\\n)*.*)", section, re.MULTILINE)
    assert len(section.strip().splitlines()) <= 14  # ten lines, and what parts them
    assert place.log_list
    with contextlib.chdir(place.folder):
        for words in (
            "ecparam -name prime256v1 -genkey -noout -out r-key.pem",
            "req -new -key r-key.pem -subj /CN=x -out request.pem",
            "genpkey -algorithm ed25519 -out list-key.pem", "pkey -in list-key.pem -pubout -out list-key.pub.pem",
        ):  # fmt: skip
            subprocess.run([tool("openssl"), *words.split()], check=True, capture_output=True)
        command("log-list", "sign", "log-list.json", "--key", "list-key.pem")
        Path("carrier.pem").unlink(missing_ok=True)  # of the page's session: nothing is overwritten
        command(*shlex.split(line.replace("\\\n", " "))[1:])
        check(tuple(read_certificates(Path("carrier.pem"))), place.log_list)


def run_example(**names: Any) -> Issued:
    """The program of the page, whose last lines wait."""
    compiled = compile(block("library"), "issue-certificates.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert len([line for line in block("library").splitlines() if line]) <= 10

    async def run() -> Issued:
        await eval(compiled, names)
        issued = names["issued"]
        assert isinstance(issued, Issued)
        return issued

    return asyncio.run(run())


def test_the_program(place: Place) -> None:
    folder = place.folder / "my-ca" / "shaken"
    issued = run_example(
        ca_chain=tuple(read_certificates(folder / "ca.pem")), signer=Key.from_pem((folder / "ca-key.pem").read_bytes()),
        log_list=place.log_list, clock=now_ms, spki=Key.generate().spki, since_ms=now_ms(),
        until_ms=now_ms() + DAY_MS,
    )  # fmt: skip
    check((issued.certificate, *issued.chain), place.log_list)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A session with a token of SoftHSM that has a P-256 key which cannot be taken out."""
    pkcs11 = pytest.importorskip("pkcs11")
    tool("softhsm2-util")
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None:
        missing("libsofthsm2.so is not installed")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    line = ["softhsm2-util", "--init-token", "--free", "--label", "ca", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(line, check=True, capture_output=True)
    with pkcs11.lib(module).get_token(token_label="ca").open(rw=True, user_pin="1234") as opened:
        yield opened


def test_a_key_that_never_leaves_its_token(place: Place, token: Any) -> None:
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    parameters = token.create_domain_parameters(
        pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    parameters.generate_keypair(store=True, label="issuing")
    names: dict[str, Any] = {}
    exec(block("pkcs11"), names)
    signer = names["TokenSigner"](token, "issuing")
    # its CA certificate comes from the test hierarchy, as a real one would come from above
    shaken = place.folder / "my-ca" / "shaken"
    root = Authority.of(
        tuple(read_certificates(shaken / "root.pem")), Key.from_pem((shaken / "root-key.pem").read_bytes())
    )
    who = Subject(issuance.name(C="US", O="Token", CN="Token SHAKEN CA"), signer.spki, now_ms() - DAY_MS,
                  now_ms() + 365 * DAY_MS)  # fmt: skip
    authority = Authority.of(issuance.intermediate(root, signer, who).chain, signer)
    issued = asyncio.run(many_with_a_token(authority, place))
    assert len({each.certificate for each in issued}) == 20
    for each in issued:
        check((each.certificate, *each.chain), place.log_list)
        assert parse_certificate(each.certificate).issuer == authority.name
    assert openssl.verify(place.folder, (issued[0].certificate, *issued[0].chain)) == "OK"


async def many_with_a_token(authority: Authority, place: Place) -> list[Issued]:
    with ThreadPoolExecutor(1) as executor:
        async with session() as http:
            logs = [Destination(LogClient(log.submission_url, log.key, http), log.operator) for log in
                    place.log_list.logs]  # fmt: skip
            issuer = Issuer(authority, Several(logs, SubmissionPolicy(), now_ms), executor=executor)
            start, end, spki = now_ms(), now_ms() + DAY_MS, Key.generate().spki
            made = [issuance.shaken_leaf(authority, spki, "709J", "Carrier", not_before_ms=start, not_after_ms=end)
                    for _ in range(20)]  # fmt: skip
            return list(await asyncio.gather(*map(issuer.issue, made)))
