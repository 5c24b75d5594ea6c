"""DPoP: tokens that only the holder of a key can use (RFC 9449)."""

import base64
import hashlib
import secrets
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm
from yarl import URL

ALGORITHM = "ES256"


class DpopKey:
    """An ES256 key pair. `pem` is the private one: a secret."""

    def __init__(self, pem: str = "") -> None:
        key = load_pem_private_key(pem.encode(), None) if pem else ec.generate_private_key(_CURVE)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("a DPoP key is one for ES256")
        self._key = key
        self._jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self.pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def proof(self, method: str, url: str, *, nonce: str = "", token: str = "") -> str:
        """A fresh proof for one request (4.2); with the hash of the token that it goes along with.

        The URL is named without query and fragment.
        """
        claims: dict[str, str | int] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": str(URL(url).with_query(None).with_fragment(None)),
            "iat": int(time.time()),
        }
        if nonce:
            claims["nonce"] = nonce
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        header = {"typ": "dpop+jwt", "jwk": self._jwk}
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers=header)

    def __repr__(self) -> str:
        return "DpopKey()"


_CURVE = ec.SECP256R1()
