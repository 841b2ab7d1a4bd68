"""A throw-away certificate authority, and pictures with content credentials signed under it."""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import dataclass

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)
MADE_BY_AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CREATED = {
    "action": "c2pa.created",
    "softwareAgent": {"name": "A Painter"},
    "digitalSourceType": MADE_BY_AI,
}
MANIFEST = {
    "claim_generator_info": [{"name": "A Program", "version": "1.0"}],
    "title": "a test",
    "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [CREATED]}}],
}
OFFLINE = {
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}


def _name(common: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, "Throw-away Ltd"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    words = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    wanted = {"key_cert_sign", "crl_sign"} if signs_certificates else {"digital_signature"}
    return x509.KeyUsage(**{word: word in wanted for word in words})


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Authority:
    """A root certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> Authority:
        """Return a root of its own."""
        key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("Test root"))
            .issuer_name(_name("Test root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 800 * DAY)
            .not_valid_after(now + 800 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> str:
        """The root certificate, as a trust list holds it."""
        return _pem(self.certificate).decode()

    def _signer(self, ends: dt.timedelta, ocsp: str | None) -> tuple[bytes, bytes]:
        """Return chain and key, as PEM, of a new signer."""
        key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        public = key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("Test signer"))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        )
        if ocsp:
            place = x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp)
            )
            builder = builder.add_extension(
                x509.AuthorityInformationAccess([place]), critical=False
            )
        raw = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return _pem(builder.sign(self.key, hashes.SHA256())) + _pem(self.certificate), raw

    def signed(
        self,
        data: bytes,
        media_type: str = "image/jpeg",
        *,
        manifest: object = MANIFEST,
        ends: dt.timedelta = 30 * DAY,
        ocsp: str | None = None,
        remote: str | None = None,
    ) -> bytes:
        """Return the picture with credentials; with ``remote``, that address in their stead."""
        chain, key = self._signer(ends, ocsp)
        info = c2pa.C2paSignerInfo(b"es256", chain, key, None)
        out = io.BytesIO()
        with (
            c2pa.Context.from_dict(OFFLINE) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder.from_json(json.dumps(manifest), context) as builder,
        ):
            if remote:
                builder.set_no_embed()
                builder.set_remote_url(remote)
            builder.sign(signer, media_type, io.BytesIO(data), out)
        return out.getvalue()
