"""A small HTTP server with COCO's layout that fails where a test says so, as real servers and networks fail.

Not a test: test_download.py, test_fetch.py and test_cli.py use it. It speaks on this machine only.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image
from urllib3.util import Retry

from ucolnet_lib.data.choice import restrict
from ucolnet_lib.data.download import RETRIES, Downloader

WEB_PAGE = b"<!DOCTYPE html>\n<html><body>Please log in to the network of the school.</body></html>"
SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "coco-sample"


def quick(timeout: float = 0.5) -> Downloader:
    """As patient in number as the real one, and without its waits."""
    retries: Retry = RETRIES.new(backoff_factor=0)
    return Downloader(retries, timeout)


class Mirror:
    """The server. `faults[path]` lists what goes wrong with the next GETs of that path, one fault a request:

    - `cut`: half of what was asked for, then the connection ends;
    - `stall`: half, then silence; `pause`: half, and the rest after the silence; `silence`: nothing at all;
    - `page`: 200 and a web page; `page-as-jpeg`: the same, said to be a JPEG;
    - `404`, `500`, `503`: that answer;
    - `whole`: the Range is ignored; `shifted`: the Range is answered with another one;
    - `too-long`, `too-short`: a wrong Content-Length;
    - `anonymous`: neither ETag nor Last-Modified;
    - `no-if-range`: If-Range is ignored;
    - several of them, as in `whole+cut`.

    `requests` lists (method, path, Range or None) of all requests.
    """

    def __init__(self, root: Path):
        self.root = root
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.requests: list[tuple[str, str, str | None]] = []
        self.released = threading.Event()
        """Ends the silences."""
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                mirror.answer(self)

            def do_GET(self):
                mirror.answer(self)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *arguments: None  # of clients that are killed
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def paths(self, method: str = "GET") -> list[str]:
        return [path for asked, path, _ in self.requests if asked == method]

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        path, wanted = to.path.lstrip("/"), to.headers.get("Range")
        self.requests.append((to.command, path, wanted))
        faults = set()
        if to.command == "GET" and self.faults[path]:
            faults = set(self.faults[path].pop(0).split("+"))
        file = self.root / path
        if "silence" in faults:
            self.released.wait(120)
            to.close_connection = True
            return
        status = next((int(fault) for fault in faults if fault.isdecimal()), 200 if file.is_file() else 404)
        if status != 200:
            return self.send(to, status, b"<html>no</html>", {"Content-Type": "text/html"})
        if faults & {"page", "page-as-jpeg"}:
            kind = "image/jpeg" if "page-as-jpeg" in faults else "text/html; charset=utf-8"
            return self.send(to, 200, WEB_PAGE, {"Content-Type": kind})
        data = file.read_bytes()
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        headers = {} if "anonymous" in faults else {"ETag": tag}
        same = to.headers.get("If-Range", tag) == tag or "no-if-range" in faults
        if wanted and same and "whole" not in faults:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                return self.send(to, 416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
            start += "shifted" in faults
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.send(to, 206, data[start:], headers, faults)
        else:
            self.send(to, 200, data, headers, faults)

    def send(self, to: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict, faults=frozenset()) -> None:
        length = len(body) + 7 * ("too-long" in faults) - 7 * ("too-short" in faults)
        to.send_response(status)
        for name, value in ({"Content-Length": length, "Content-Type": "application/octet-stream"} | headers).items():
            to.send_header(name, str(value))
        to.end_headers()
        if to.command == "HEAD":
            return
        half = len(body) // 2
        to.wfile.write(body[: half if faults & {"cut", "stall", "pause"} else length])
        to.wfile.flush()
        if faults & {"stall", "pause"}:
            self.released.wait(120)
        if "pause" in faults:
            to.wfile.write(body[half:])
        if faults & {"cut", "stall", "too-long"}:
            to.close_connection = True


@contextmanager
def serve(root: Path):
    """Run a `Mirror` of the folder."""
    mirror = Mirror(root)
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.released.set()
        mirror.server.shutdown()
        mirror.server.server_close()


def write_coco_site(root: Path, images: int = 12, split: str = "val2017") -> Path:
    """What COCO's server has of a split: archive, single images and annotations; real photographs where there are some.

    Every image with an odd place has a cat, every third one a hot dog, in drawn and in real ones alike.
    """
    (root / split).mkdir(parents=True)
    if SAMPLE.is_dir():
        content = json.loads((SAMPLE / "annotations" / f"instances_{split}.json").read_text(encoding="utf-8"))
        content = restrict(content, [image["id"] for image in content["images"][:images]])
        for image in content["images"]:
            (root / split / image["file_name"]).write_bytes((SAMPLE / split / image["file_name"]).read_bytes())
    else:
        content = {"info": {"year": 2017}, "licenses": [{"id": 4, "url": "http://licence"}], "categories": []}
        content |= {"images": [], "annotations": []}
        random = np.random.default_rng(0)
        for image_id in range(1, images + 1):
            name, size = f"{image_id:012d}.jpg", (80 + image_id, 60)
            Image.fromarray(random.integers(0, 256, (*size[::-1], 3), np.uint8)).save(root / split / name)
            entry = {"id": image_id, "file_name": name, "width": size[0], "height": size[1], "license": 4}
            content["images"].append(entry | {"flickr_url": f"http://photograph/{image_id}"})
    cats = [(image["id"], 17) for image in content["images"][1::2]]
    hot_dogs = [(image["id"], 58) for image in content["images"][::3]]
    content["annotations"] = [
        {"id": i, "image_id": image_id, "category_id": category, "bbox": [0, 0, 4, 4], "area": 16, "iscrowd": 0,
         "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}
        for i, (image_id, category) in enumerate(cats + hot_dogs, 1)
    ]  # fmt: skip
    content["categories"] = [{"id": 17, "name": "cat"}, {"id": 58, "name": "hot dog"}]
    (root / "annotations").mkdir()
    (root / "zips").mkdir()
    with zipfile.ZipFile(root / "annotations" / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"annotations/instances_{split}.json", json.dumps(content))
    with zipfile.ZipFile(root / "zips" / f"{split}.zip", "w") as archive:
        archive.writestr(f"{split}/", b"")
        for path in sorted((root / split).iterdir()):
            archive.write(path, f"{split}/{path.name}")
    return root
