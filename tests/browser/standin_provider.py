"""An OpenID provider on localhost with the part of the protocol that Gradio's sign-in button uses in a Space."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.local_server import serving

CLIENT, SECRET, TOKEN = "client", "secret", "hf_visitor"
SCOPES = "openid profile contribute-repos"


class _Handler(BaseHTTPRequestHandler):
    url: str
    user: str
    key: RSAKey
    nonces: dict[str, str]

    def log_message(self, *args: object) -> None:
        pass

    def _json(self, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            self._json(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/keys",
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            )
        elif parts.path == "/keys":
            self._json({"keys": [{**self.key.as_dict(private=False), "kid": "1", "use": "sig", "alg": "RS256"}]})
        else:
            self._agree({name: values[0] for name, values in parse_qs(parts.query).items()})

    def _agree(self, asked: dict[str, str]) -> None:
        """The visitor agrees at once."""
        assert asked["client_id"] == CLIENT and asked["scope"] == SCOPES
        code = f"code-{len(self.nonces)}"
        self.nonces[code] = asked["nonce"]
        separator = "&" if "?" in asked["redirect_uri"] else "?"
        self.send_response(302)
        answer = urlencode({"code": code, "state": asked["state"]})
        self.send_header("Location", f"{asked['redirect_uri']}{separator}{answer}")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 3600,
            "nonce": self.nonces[parse_qs(body)["code"][0]],
            "name": self.user, "preferred_username": self.user, "profile": f"{self.url}/{self.user}", "picture": "",
        }  # fmt: skip
        id_token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.key)
        self._json(
            {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600, "scope": SCOPES, "id_token": id_token}
        )


@contextmanager
def standin_provider(user: str) -> Iterator[str]:
    """The address of a provider at which everybody is `user`."""
    members = {"user": user, "key": RSAKey.generate_key(2048), "nonces": {}}
    handler = type("Handler", (_Handler,), members)
    with serving(handler) as handler.url:
        yield handler.url
