"""Content credentials: signed, tampered, absent and broken told apart, and nothing fetched."""

import builtins
import io
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import c2pa
import pytest

from faceproof.installation import install_command
from faceproof.provenance import credentials as reading
from faceproof.provenance import read_provenance
from faceproof.provenance.credentials import (
    VARIABLE,
    TrustList,
    describe_credentials,
    read_trust_list,
)
from faceproof.provenance.records import ContentCredentials, ProvenanceFinding
from support.metadata import picture, saved, with_chunk, with_segment, xmp
from support.signing import MADE_BY_AI, MANIFEST, OFFLINE, Authority


@pytest.fixture(scope="module")
def authority():
    return Authority.new()


@pytest.fixture(scope="module")
def signed(authority):
    return authority.signed(saved("JPEG"))


@pytest.fixture
def trusting(authority, tmp_path, monkeypatch):
    path = tmp_path / "list.pem"
    path.write_text(authority.pem, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(path))
    return path


@pytest.fixture(autouse=True)
def no_list(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def read(data, kind="JPEG") -> tuple[ContentCredentials, list[ProvenanceFinding]]:
    found, findings = read_provenance(data, kind=kind)
    return found, [finding for finding in findings if "credentials" in finding.where]


def changed(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_plain_picture_has_none_and_that_proves_nothing():
    found, findings = read(saved("JPEG"))
    assert found.state == "absent"
    assert "proves nothing" in found.says
    assert findings == []


def test_a_signature_without_a_list_is_untrusted_and_tells_all_the_same(signed):
    found, findings = read(signed)
    assert found.state == "untrusted"
    assert VARIABLE in found.says
    assert found.signer == "Test signer (Throw-away Ltd)"
    assert found.claim_generator == "A Program 1.0"
    assert found.actions == ("c2pa.created",)
    assert found.digital_source_types == (MADE_BY_AI,)
    assert found.validation_codes == ("signingCredential.untrusted",)
    stated, source = findings
    assert (stated.kind, stated.value, stated.points_to) == ("credentials", "untrusted", "nothing")
    assert (source.kind, source.points_to) == ("digital_source_type", "made_by_ai")
    assert (
        source.says
        == "The content credentials say of the picture that it was made by a generative AI."
    )


@pytest.mark.usefixtures("trusting")
def test_a_signature_under_an_authority_on_the_list_is_trusted(signed):
    found, _ = read(signed)
    assert found.state == "trusted"
    assert found.validation_codes == ()


@pytest.mark.usefixtures("trusting")
def test_a_signature_under_another_authority_is_untrusted():
    found, _ = read(Authority.new().signed(saved("JPEG")))
    assert found.state == "untrusted"
    assert "not on the trust list" in found.says


def test_a_list_may_be_a_folder_of_certificates(signed, trusting, monkeypatch):
    (trusting.parent / "another.pem").write_text(Authority.new().pem, encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(trusting.parent))
    assert read(signed)[0].state == "trusted"


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("part", ["pixels", "statement"])
def test_one_changed_bit_is_tampering(signed, part):
    at = len(signed) - 200 if part == "pixels" else signed.find(b"A Painter")
    found, findings = read(changed(signed, at))
    assert found.state == "tampered"
    assert any(code.endswith(".mismatch") for code in found.validation_codes)
    assert (findings[0].value, findings[0].points_to) == ("tampered", "edited")


def test_credentials_moved_to_another_picture_are_tampering(signed):
    start = signed.find(b"\xff\xeb")
    length = int.from_bytes(signed[start + 2 : start + 4], "big")
    other = saved("JPEG", picture(seed=9))
    found, _ = read(with_segment(other, 0xEB, signed[start + 4 : start + 2 + length]))
    assert found.state == "tampered"


def test_a_camera_named_by_broken_credentials_points_to_nothing(authority):
    captured = MADE_BY_AI.replace("trainedAlgorithmicMedia", "digitalCapture")
    action = {"action": "c2pa.created", "digitalSourceType": captured}
    manifest = MANIFEST | {"assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}]}
    data = authority.signed(saved("JPEG"), manifest=manifest)
    points = [read(file)[1][-1].points_to for file in (data, changed(data, len(data) - 200))]
    assert points == ["captured", "nothing"]


@pytest.mark.usefixtures("trusting")
def test_a_certificate_that_has_expired_makes_them_invalid(authority):
    data = authority.signed(saved("JPEG"), ends=timedelta(seconds=3))
    deadline = time.monotonic() + 20
    while (found := read(data)[0]).state == "trusted" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found.state == "invalid"
    assert "signingCredential.expired" in found.validation_codes
    assert "out of its time" in found.says


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        *(("PNG", "image/png"), ("WEBP", "image/webp"), ("GIF", "image/gif")),
        *(("TIFF", "image/tiff"), ("AVIF", "image/avif")),
    ],
)
def test_every_container_is_read(authority, kind, media_type):
    data = authority.signed(saved(kind), media_type)
    assert read(data, kind)[0].state == "untrusted"
    assert read(saved(kind), kind)[0].state == "absent"


def test_ingredients_are_counted(authority, signed):
    out = io.BytesIO()
    chain, key = authority._signer(timedelta(days=2), None)
    info = c2pa.C2paSignerInfo(b"es256", chain, key, None)
    with (
        c2pa.Context.from_dict(OFFLINE) as context,
        c2pa.Signer.from_info(info) as signer,
        c2pa.Builder.from_json('{"title": "joined"}', context) as builder,
    ):
        builder.add_ingredient(
            '{"title": "a", "relationship": "componentOf"}', "image/jpeg", io.BytesIO(signed)
        )
        builder.sign(signer, "image/jpeg", io.BytesIO(saved("JPEG")), out)
    assert read(out.getvalue())[0].ingredients == 1


@pytest.mark.parametrize("store", [b"", b"\xff" * 40, b"\0\0\0\x08jumb" * 300])
def test_what_cannot_be_read_is_told(store):
    data = with_chunk(
        saved("PNG"), b"caBX", b"\0\0\0\x28jumb\0\0\0\x20" + reading.STORE_HEAD + store
    )
    found, findings = read(data, "PNG")
    assert found.state == "unreadable"
    assert findings[0].kind == "unreadable"


def test_a_file_that_would_be_read_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(reading, "MOST_READS", 2000)
    parts = b"!\xfe" + b"\x01a" * 2 * reading.MOST_READS + b"\0"
    store = b"!\xff\x0bC2PA_GIF\x01\0\0\x20\0\0\0\x40jumb\0\0\0\x1e" + reading.STORE_HEAD
    found, _ = read(b"GIF89a" + bytes(7) + parts + store + b"\0;", "GIF")
    assert found.state == "unreadable"
    assert "too long" in found.says


def test_without_c2pa_they_are_said_to_be_unread_and_how_to_read_them(signed, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found, findings = read(signed)
    assert found is None
    assert [finding.kind for finding in findings] == ["credentials"]
    assert install_command("provenance") in findings[0].says
    assert read(saved("JPEG"))[0].state == "absent"


def test_a_c2pa_that_cannot_be_loaded_is_told(signed, monkeypatch):
    def refuse(name, *rest):
        if name == "c2pa":
            raise RuntimeError("no library for this platform")
        return imported(name, *rest)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    found, findings = read(signed)
    assert found is None
    assert "c2pa cannot be loaded: no library for this platform" in findings[0].says


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read (FileNotFoundError)"),
        (b"no certificate", "holds no certificate"),
        (b"\xff\xfe", "cannot be read (UnicodeDecodeError)"),
        (b"-----BEGIN CERTIFICATE-----\n" * 310_000, "more than"),
    ],
)
def test_a_list_that_is_none_is_told_and_trusts_no_one(
    signed, tmp_path, monkeypatch, content, fault
):
    path = tmp_path / "list.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(path))
    found, findings = read_provenance(signed, kind="JPEG")
    assert found.state == "untrusted"
    (actual,) = [finding for finding in findings if finding.where == "trust list"]
    assert fault in actual.says


def test_a_list_that_c2pa_refuses_is_left_out_and_told(signed, monkeypatch):
    refuse = c2pa.Context.from_dict

    def strict(settings):
        if "trust" in settings:
            raise c2pa.C2paError("bad anchors")
        return refuse(settings)

    monkeypatch.setattr(c2pa.Context, "from_dict", strict)
    found = reading.read_credentials(signed, "JPEG", TrustList("PEM"))
    assert found.credentials.state == "untrusted"
    assert found.fault == "the trust list was left out (bad anchors)"


def test_no_list_is_given_by_default():
    assert read_trust_list() == TrustList()


class Listener:
    """A server that counts who connects, and answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.visits = 0
        self._open = True
        self._thread = threading.Thread(target=self._listen)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._open = False
        self._thread.join()
        self._socket.close()

    def _listen(self):
        while self._open:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.visits += 1
            connection.close()


def fetching(data):
    """Read with c2pa as it is when nobody forbids it to fetch, so that the tests can fail."""
    settings = {"verify": {"remote_manifest_fetch": True, "ocsp_fetch": True}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_NO_NETWORK", settings)
        reading.read_credentials(data, "JPEG", TrustList())


BANS = (
    reading._NO_NETWORK,
    {"verify": reading._NO_NETWORK["verify"]},
    {"core": reading._NO_NETWORK["core"]},
)


@pytest.mark.parametrize("ban", BANS, ids=["both", "flags", "hosts"])
def test_a_remote_manifest_is_not_fetched(authority, monkeypatch, ban):
    monkeypatch.setattr(reading, "_NO_NETWORK", ban)
    with Listener() as listener:
        data = authority.signed(saved("JPEG"), remote=listener.address)
        found, _ = read(data)
        reading.read_credentials(data, "JPEG", TrustList())
        assert (found.state, listener.visits) == ("absent", 0)
        (actual,) = [
            one for one in read_provenance(data, kind="JPEG")[1] if one.kind == "credentials"
        ]
        assert (actual.value, actual.points_to) == (listener.address, "nothing")
        assert "fetches nothing" in actual.says
        fetching(data)
        time.sleep(0.2)
        assert listener.visits > 0


@pytest.mark.parametrize("ban", BANS, ids=["both", "flags", "hosts"])
def test_revocation_is_not_asked_for(authority, monkeypatch, ban):
    monkeypatch.setattr(reading, "_NO_NETWORK", ban)
    with Listener() as listener:
        data = authority.signed(saved("JPEG"), ocsp=listener.address)
        assert read(data)[0].state == "untrusted"
        assert listener.visits == 0
        fetching(data)
        time.sleep(0.2)
        assert listener.visits > 0


@pytest.mark.parametrize(
    "store",
    [
        {},
        {"active_manifest": 3, "manifests": []},
        {"active_manifest": "a", "manifests": {"a": None}, "validation_results": [1]},
        {
            "active_manifest": "a",
            "manifests": {
                "a": {
                    "signature_info": "x",
                    "claim_generator_info": {"name": "x"},
                    "claim_generator": ["x"],
                    "assertions": [3, {"label": "c2pa.actions", "data": {"actions": [4, {}]}}],
                    "ingredients": "x" * 9,
                }
            },
            "validation_results": {"activeManifest": {"failure": [None, {"code": 4}]}},
        },
    ],
)
def test_any_json_becomes_a_record(store):
    found, _ = describe_credentials(store, list_given=False)
    assert found.state == "invalid"


def test_long_names_are_cut():
    info = {"common_name": "n" * 10_000, "issuer": "i" * 10_000, "time": "t" * 10_000}
    manifest = {"signature_info": info, "claim_generator": "g" * 10_000, "ingredients": []}
    store = {"active_manifest": "a", "manifests": {"a": manifest}, "validation_state": "Valid"}
    found, actual = describe_credentials(store, list_given=True)
    assert len(found.signer) == len(found.issued) == len(found.claim_generator) == 300
    assert {len(statement.text) for statement in actual} == {300}


def test_pixels_without_a_file_have_nothing_to_say():
    assert read_provenance(b"", kind="ARRAY") == (None, ())
    assert read_provenance(saved("BMP"), kind="BMP")[0].state == "absent"


def test_a_remote_address_in_xmp_alone_is_told():
    data = saved("JPEG", xmp=xmp({"dcterms:provenance": "https://example.org/manifest"}))
    actual = read_provenance(data, kind="JPEG")[1][0]
    assert (actual.kind, actual.where) == ("credentials", "XMP dcterms:provenance")


def test_many_threads_read_at_once(signed):
    plain = saved("JPEG")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: read(data)[0].state, [signed, plain] * 20))
    assert found == ["untrusted", "absent"] * 20
