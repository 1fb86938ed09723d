"""A service that announces releases. It writes down what it is told, and can be in a bad mood.

    python announcements.py FOLDER

It tells where it answers on its first line, and ends with its standard input. What it knows is in
FOLDER/announcements.json, and what was done in FOLDER/log.txt.

    POST   /announcements                   {"package": …, "version": …}
    GET    /announcements/PACKAGE/VERSION   404 if that was not announced
    DELETE /announcements/PACKAGE/VERSION   does no harm if that was not announced
    PUT    /mood                            "fine"; "angry": writes it down and refuses it all the same;
                                            "silent": writes it down and does not answer
"""

from __future__ import annotations

import json
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from clew import Happened


def was_announced(service: str, version: str) -> Happened[object] | None:
    """Ask whether sundial was announced, when a process has died before it was answered; what it would have got.

    Args:
        service: its URL.
        version: that was announced, or not.
    """
    answer = httpx.get(f"{service}/announcements/sundial/{version}")
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    return Happened({"status": 201, "headers": {}, "body": answer.raise_for_status().json()})


class Announcements(BaseHTTPRequestHandler):
    """One request; what is known stands in files of the folder."""

    folder = Path()
    mood = "fine"
    lock = threading.Lock()

    def do_POST(self) -> None:
        """Announce a release; announced twice, it is there twice."""
        asked = self._json()
        with self.lock:
            self._write([*self._known(), asked])
            self._log(f"announced {asked['package']} {asked['version']}")
        match self.mood:
            case "angry":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "nothing is announced today")
            case "silent":
                threading.Event().wait()
            case _:
                self._answer(HTTPStatus.CREATED, asked)

    def do_GET(self) -> None:
        """Tell whether a release was announced."""
        found = [each for each in self._known() if self._is_meant(each)]
        self._answer(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, found[0] if found else None)

    def do_DELETE(self) -> None:
        """Take an announcement back."""
        with self.lock:
            known = self._known()
            kept = [each for each in known if not self._is_meant(each)]
            self._write(kept)
            self._log(f"took back {len(known) - len(kept)} of {self.path}")
        self._answer(HTTPStatus.OK, None)

    def do_PUT(self) -> None:
        """Change the mood."""
        type(self).mood = self._json()
        self._answer(HTTPStatus.OK, None)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name that is overridden
        """Do not write each request to the terminal."""

    def _is_meant(self, announcement: Any) -> bool:
        return self.path == f"/announcements/{announcement['package']}/{announcement['version']}"

    def _known(self) -> list[Any]:
        return json.loads((self.folder / "announcements.json").read_text("utf-8"))

    def _write(self, announcements: list[Any]) -> None:
        (self.folder / "announcements.json").write_text(json.dumps(announcements), "utf-8")

    def _log(self, line: str) -> None:
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    def _json(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: HTTPStatus, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(folder: Path) -> None:
    """Answer until nobody holds the other end of standard input."""
    Announcements.folder = folder
    with ThreadingHTTPServer(("127.0.0.1", 0), Announcements) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
