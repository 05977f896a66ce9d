"""monitor.sources: nothing is fetched that nobody switched on; every version is archived; what fails is said."""

import asyncio
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError, StoreError, TransportError
from ctlog.tn.numbers import ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from monitor.config import SourcesConfig
from monitor.sources import Known, Patience, Sources, read_codes, read_crl, read_scope, read_weak_keys
from monitor.state import State, make_state
from monitor.state.rows import CertificateRow, Position

NOW = 1_795_000_000_000
KEY = ec.derive_private_key(5, ec.SECP256R1())
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, text)])


def crl(*rows, issuer="PA"):
    """A list with (serial, certificate issuer or None) each."""
    made = x509.CertificateRevocationListBuilder().issuer_name(name(issuer)).last_update(WHEN).next_update(WHEN)
    for serial, ca in rows:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(WHEN)
        if ca:
            entry = entry.add_extension(x509.CertificateIssuer([x509.DirectoryName(name(ca))]), critical=True)
        made = made.add_revoked_certificate(entry.build())
    return made.sign(KEY, hashes.SHA256())


def crl_of(authority, *serials):
    """A list of an issuing CA's certificates."""
    issuer = x509.load_der_x509_certificate(authority.chain[0]).subject
    made = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(WHEN).next_update(WHEN)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(WHEN)
        made = made.add_revoked_certificate(entry.build())
    return made.sign(KEY, hashes.SHA256())


def der(made):
    return made.public_bytes(serialization.Encoding.DER)


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path / "state", 0)
    async with State.open(tmp_path / "state") as opened:
        yield opened


class Web:
    """URLs and what stands there; `asked` is what was fetched."""

    def __init__(self, **bodies):
        self.bodies = {f"https://x.example/{key}": value for key, value in bodies.items()}
        self.asked = []

    async def get(self, url):
        self.asked.append(url)
        body = self.bodies.get(url)
        if body is None:
            raise TransportError(f"{url} answered 404")
        return body


async def refreshed(sources, now_ms):
    """What is to be judged again since."""
    found = []

    async def rejudge(places):
        found.extend(places)

    await sources.refresh(now_ms, rejudge)
    return found


async def test_off_until_switched_on(state, tmp_path):
    web = Web()
    sources = Sources(SourcesConfig(), tmp_path, state, web.get)
    await refreshed(sources, NOW)
    assert await sources.snapshots(["https://x.example/list"], NOW) == ()
    assert web.asked == []
    assert sources.known == Known()


async def test_a_revocation_list(state, tmp_path):
    web = Web(crl=der(crl((5, "CA one"), (6, None), (7, "CA two"))))
    sources = Sources(SourcesConfig(crl=("https://x.example/crl",)), tmp_path, state, web.get)
    await refreshed(sources, NOW)
    one, two = name("CA one").public_bytes(), name("CA two").public_bytes()
    assert set(sources.known.revoked) == {(one, b"\5"), (one, b"\6"), (two, b"\7")}
    assert sources.known.revoked[one, b"\5"] == 1_767_225_600_000
    assert sources.known.revocations.by_serial(two, b"\7").revoked_ms == 1_767_225_600_000
    assert sources.known.table is None
    await refreshed(sources, NOW + 1)
    (version,) = await state.answers.snapshots("https://x.example/crl")
    assert (version.first_ms, version.fetched_ms) == (NOW, NOW + 1)


async def test_what_was_known_stays_in_force_when_a_source_fails(state, tmp_path):
    web = Web(crl=der(crl((5, None))))
    sources = Sources(SourcesConfig(crl=("https://x.example/crl",)), tmp_path, state, web.get)
    await refreshed(sources, NOW)
    for body in (None, b"garbage"):
        web.bodies["https://x.example/crl"] = body
        await refreshed(sources, NOW + 1)
        assert len(sources.known.revoked) == 1
        assert "https://x.example/crl" in sources.known.errors
    web.bodies["https://x.example/crl"] = der(crl((6, None)))
    await refreshed(sources, NOW + 2)
    assert [serial for _, serial in sources.known.revoked] == [b"\6"]
    assert sources.known.errors == {}
    assert len(await state.answers.snapshots("https://x.example/crl")) == 4


def test_a_list_in_pem_and_bad_ones():
    made = crl((5, None)).public_bytes(serialization.Encoding.PEM)
    assert [serial for _, serial in read_crl(made)] == [b"\5"]
    high = read_crl(der(crl((0x80FF, None))))
    assert [serial for _, serial in high] == [b"\0\x80\xff"]  # as the INTEGER has it
    of_version_8 = der(crl((5, None))).replace(b"\x02\x01\x01", b"\x02\x01\x07", 1)
    for bad in (b"", b"-----BEGIN X509 CRL-----\n", der(crl((5, None)))[:-3], b"\x30\x00", of_version_8):
        with pytest.raises(MalformedError):
            read_crl(bad)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_malformed(data):
    try:
        read_crl(data)
    except MalformedError:
        assert True


async def test_a_table_of_codes(state, tmp_path):
    (tmp_path / "codes.csv").write_text("Holder,code,note\nCarrier Inc,709j,x\n,1234,\nOther,,\n")
    sources = Sources(SourcesConfig(codes="codes.csv"), tmp_path, state, Web().get)
    await refreshed(sources, NOW)
    assert sources.known.codes == {"709J": "Carrier Inc"}
    assert sources.known.table.holders("709j") == ("carrier",)
    (tmp_path / "codes.csv").unlink()
    await refreshed(sources, NOW)
    assert sources.known.codes == {"709J": "Carrier Inc"}
    assert sources.known.errors


async def test_a_table_from_elsewhere(state, tmp_path):
    web = Web(codes=b"code,holder\n709J,Carrier\n")
    sources = Sources(SourcesConfig(codes="https://x.example/codes"), tmp_path, state, web.get)
    await refreshed(sources, NOW)
    assert sources.known.codes == {"709J": "Carrier"}
    assert len(await state.answers.snapshots("https://x.example/codes")) == 1


WEAK = b"\xab" * 32


async def test_a_list_of_weak_keys(state, tmp_path):
    """In force until there is a newer one that can be read; whatever concerned somebody and has such a key is judged
    again, once for each list that names it."""
    path = tmp_path / "weak-keys.txt"
    path.write_text(f"# debian\n\n{WEAK.hex().upper()}\n{'0' * 64}\n")
    certificates = [CertificateRow(b"ca", b"\5", WEAK, b"L" * 32, 7, NOW, ""),
                    CertificateRow(b"ca", b"\6", b"\xcd" * 32, b"L" * 32, 8, NOW, "")]
    await state.audits.store_found([], NOW, certificates=certificates)
    sources = Sources(SourcesConfig(weak_keys="weak-keys.txt"), tmp_path, state, Web().get)
    assert await refreshed(sources, NOW) == [(b"L" * 32, 7)]
    assert await refreshed(sources, NOW) == []
    path.write_text("md5:0123\n")
    assert await refreshed(sources, NOW) == []
    assert sources.known.weak_keys == {WEAK, bytes(32)}
    assert "line 1" in sources.known.errors["weak-keys.txt"]
    path.write_text(("cd" * 32) + "\n")
    assert await refreshed(sources, NOW) == [(b"L" * 32, 8)]
    assert sources.known.errors == {}
    sources.use(SourcesConfig())
    assert sources.known == Known()


async def test_a_list_of_weak_keys_from_elsewhere(state, tmp_path):
    web = Web(weak=WEAK.hex().encode())
    sources = Sources(SourcesConfig(weak_keys="https://x.example/weak"), tmp_path, state, web.get)
    await refreshed(sources, NOW)
    assert sources.known.weak_keys == {WEAK}


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"ab" * 31, b"ab" * 33, b"ab" * 32 + b" x", b"zz" * 32])
def test_bad_lists_of_weak_keys(bad):
    with pytest.raises(MalformedError, match="line 1"):
        read_weak_keys(bad)


@pytest.mark.parametrize("bad", [b"", b"\xff\xfe", b"a,b\n1,2\n", b'code,holder\n"x'])
def test_bad_tables(bad):
    with pytest.raises(MalformedError):
        read_codes(bad)


LIST = format_tnauthlist([ServiceProviderCode("709J"), TelephoneNumber("12025550123")])


async def test_a_scope_by_reference(state, tmp_path):
    """Fetched, hashed, archived, fetched again: each change is a version of its own."""
    web = Web(list=LIST)
    sources = Sources(SourcesConfig(references=True), tmp_path, state, web.get)
    url = "https://x.example/list"
    (first,) = await sources.snapshots([url], NOW)
    assert first == (url, NOW, (ServiceProviderCode("709J"), TelephoneNumber("12025550123")), "")
    assert await sources.snapshots([url], NOW + 1) == (first,)
    web.bodies[url] = format_tnauthlist([TelephoneNumber("12025550199")])
    assert [each.claims for each in await sources.snapshots([url], NOW + 2)] == [
        first.claims, (TelephoneNumber("12025550199"),)]  # fmt: skip
    web.bodies[url] = None
    gone = (await sources.snapshots([url], NOW + 3))[-1]
    assert (gone.claims, gone.fetched_ms) == (None, NOW + 3)
    assert "404" in gone.problem
    web.bodies[url] = b"<html>"
    assert "no TNAuthorizationList" in (await sources.snapshots([url], NOW + 4))[-1].problem
    assert len(await state.answers.snapshots(url)) == 4


async def test_keys_of_revoked_certificates_that_were_seen(state, tmp_path):
    log = bytes(32)
    row = CertificateRow(name("PA").public_bytes(), b"\5", b"k" * 32, log, 3, NOW, "")
    await state.logs.add(log, "log", "", Position(), NOW)
    await state.logs.advance(log, Position(), [], NOW, certificates=[row])
    web = Web(crl=der(crl((5, None), (6, None))))
    sources = Sources(SourcesConfig(crl=("https://x.example/crl",)), tmp_path, state, web.get)
    await refreshed(sources, NOW)
    assert [each.serial for each in sources.known.revocations.by_key(b"k" * 32)] == [b"\5"]


async def seen(state, *rows):
    """Certificates that concerned a watched item, in log 0."""
    await state.logs.add(bytes(32), "log", "", Position(), NOW)
    made = [
        CertificateRow(name("PA").public_bytes(), serial, key * 32, bytes(32), at, NOW + 9, url)
        for at, (serial, key, url) in enumerate(rows)
    ]
    await state.logs.advance(bytes(32), Position(), [], NOW, certificates=made)


async def test_what_was_revoked_is_judged_again_and_all_with_its_key(state, tmp_path):
    await seen(state, (b"\5", b"k", ""), (b"\6", b"k", ""), (b"\7", b"l", ""), (b"\x08", b"m", ""))
    web = Web(crl=der(crl((7, None))))
    sources = Sources(SourcesConfig(crl=("https://x.example/crl",)), tmp_path, state, web.get)
    assert await refreshed(sources, NOW) == [(bytes(32), 2)]
    web.bodies["https://x.example/crl"] = der(crl((7, None), (5, None), (99, None)))
    assert await refreshed(sources, NOW) == [(bytes(32), 0), (bytes(32), 1)]
    assert await refreshed(sources, NOW) == []
    again = Sources(SourcesConfig(crl=("https://x.example/crl",)), tmp_path, state, web.get)
    assert len(await refreshed(again, NOW)) == 3  # after a start, once more


async def test_what_stands_at_a_reference_changes(state, tmp_path):
    """It is fetched again as long as the certificate is valid; a crash before it was noted loses nothing."""
    url = "https://x.example/list"
    await seen(state, (b"\5", b"k", url))
    web = Web(list=LIST)
    sources = Sources(SourcesConfig(references=True), tmp_path, state, web.get)
    assert await refreshed(sources, NOW) == [(bytes(32), 0)]
    assert await refreshed(sources, NOW) == []
    web.bodies[url] = None
    assert await refreshed(sources, NOW) == []
    web.bodies[url] = format_tnauthlist([TelephoneNumber("12025550199")])

    async def crash(places):
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        await sources.refresh(NOW, crash)
    assert await refreshed(sources, NOW) == [(bytes(32), 0)]
    web.asked.clear()
    assert await refreshed(sources, NOW + 10) == []  # it has expired
    assert web.asked == []


async def test_other_sources_are_switched_on(state, tmp_path):
    web = Web(crl=der(crl((5, None))), codes=b"code,holder\n709J,Carrier\n")
    both = SourcesConfig(crl=("https://x.example/crl",), codes="https://x.example/codes")
    sources = Sources(both, tmp_path, state, web.get)
    await refreshed(sources, NOW)
    sources.use(both)
    assert len(sources.known.revoked) == len(sources.known.codes) == 1
    sources.use(SourcesConfig(crl=both.crl))
    assert (sources.known.codes, sources.known.table) == (None, None)
    sources.use(SourcesConfig())
    assert sources.known == Known()
    web.asked.clear()
    await refreshed(sources, NOW)
    assert web.asked == []


@given(st.binary(max_size=200))
def test_any_bytes_are_a_scope_or_say_why_not(data):
    claims, error = read_scope(data)
    assert (claims is None) == bool(error)


async def test_attack_references_to_slow_places_use_patience_up():
    """Each entry has a little of it, and all together have no more of a minute, however many they are."""
    clock = asyncio.get_running_loop().time
    patience, began = Patience(0.02, 0.05), clock()

    begun = []

    async def slow():
        begun.append(clock())
        await asyncio.sleep(60)

    for _ in range(50):
        await patience.wait(slow)
    assert clock() - began < 5
    assert 2 <= len(begun) < 10

    async def fails():
        raise StoreError("full", reason="store")

    with pytest.raises(StoreError):
        await Patience().wait(fails)


async def test_what_was_too_slow_is_fetched_in_the_background(state, tmp_path):
    url = "https://x.example/list"
    await seen(state, (b"\5", b"k", url))
    slow = asyncio.Event()

    async def get(where):
        await slow.wait()
        return LIST

    sources = Sources(SourcesConfig(references=True), tmp_path, state, get)
    sources._patience = Patience(0.01, 0.01)
    assert await sources.snapshots([url], NOW) == ()
    slow.set()
    assert await refreshed(sources, NOW) == [(bytes(32), 0)]
    (found,) = await sources.snapshots([url], NOW)
    assert found.claims is not None
