"""One request with a client certificate: to the API server as admin, or to etcd's JSON gateway."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    authority: Path
    certificate: Path
    key: Path

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and text. Raises OSError while the server cannot be reached."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, timeout=TIMEOUT_S, context=context)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def good(self, path: str) -> bool:
        """Whether GET `path` answers 200 now."""
        try:
            return self.ask("GET", path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False
