"""A headless Chromium, where one is installed, over the DevTools protocol: no package for it.

Source of the messages: https://chromedevtools.github.io/devtools-protocol/ (Page, Runtime, Network,
DOM, Input, Emulation). They travel by the pipes 3 and 4, JSON ended by a zero byte, which
--remote-debugging-pipe opens. No name but 127.0.0.1 is found, as with the network cut.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WORDS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-pipe",
]
CUT = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PATIENCE = 60  # seconds for anything that is waited for


def chromium():
    """The program of a Chromium that is installed; None without one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab. ``requests``: the address of everything that its page asked for."""

    def __init__(self, folder):
        self.requests, self.complaints = [], []
        self._numbers, self._events, self._rest = itertools.count(1), [], b""
        self._process, self._to, self._from = _start(Path(folder))
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def send(self, method, **words):
        """What the tab answers to a message."""
        return self._send(method, self._session, **words)

    def _send(self, method, session=None, **words):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": words}
        message |= {"sessionId": session} if session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _receive(self):
        while b"\0" not in self._rest:
            part = os.read(self._from, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event):
        method, words = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(words["request"]["url"])
        elif method == "Log.entryAdded" and words["entry"]["level"] == "error":
            self.complaints.append(f"{words['entry']['text']} {words['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(words["exceptionDetails"])[:500])

    def size(self, width, height):
        """The window, in pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, address):
        """Another page; it is not waited for."""
        self.send("Page.navigate", url=address)

    def value(self, script):
        """What an expression of JavaScript gives."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script):
        """Until an expression is true; returns its value. AssertionError where it stays false."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := self.value(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}; the page says {self.value(TEXT)[:2000]}")

    def give(self, selector, *files):
        """Files for a field that takes some."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def shot(self, path, whole=True):
        """A picture of the page, of all of it or of what the window shows."""
        picture = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(picture["data"]))
        return path


TEXT = "document.body ? document.body.innerText : ''"


def _start(folder):
    """The process, and the ends of the two pipes."""
    (read_here, write_there), (read_there, write_here) = os.pipe(), os.pipe()
    words = [chromium(), *WORDS, CUT, f"--user-data-dir={folder}/profile"]
    script = f'exec "$@" 3<&{read_there} 4>&{write_there}'
    process = subprocess.Popen(
        ["bash", "-c", script, "browser", *words],
        pass_fds=(read_there, write_there),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_there)
    os.close(write_there)
    return process, write_here, read_here
