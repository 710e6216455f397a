"""FastAPI: a sync endpoint, an upload, a background task and an exception handler.

Needs ``pip install fastapi python-multipart``::

    katana-asgi examples.fastapi_app:app --workers 2
    curl -F document=@README.md http://127.0.0.1:8000/documents
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from typing import Annotated

from fastapi import BackgroundTasks, FastAPI, File, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel

logger = logging.getLogger("uploads")

app = FastAPI(title="Documents")

received: Counter[str] = Counter()


class Receipt(BaseModel):
    """What the sender of a document gets back."""

    name: str
    size: int
    sha256: str


class NotReceived(Exception):
    """Nobody has sent a document of that name."""


@app.exception_handler(NotReceived)
async def not_received(_request: Request, error: NotReceived) -> JSONResponse:
    """Tell the client in a form of our own."""
    return JSONResponse({"error": f"no document {error}"}, status_code=404)


@app.get("/")
def thread() -> dict[str, str]:
    """A sync endpoint runs in a thread and does not hold up the event loop."""
    return {"thread": threading.current_thread().name}


@app.post("/documents", status_code=201)
async def upload(document: Annotated[UploadFile, File()], background: BackgroundTasks) -> Receipt:
    """Read a document piece by piece; count it after the response has gone out."""
    digest, size = hashlib.sha256(), 0
    while piece := await document.read(64 * 1024):
        digest.update(piece)
        size += len(piece)
    name = document.filename or "nameless"
    background.add_task(count, name)
    return Receipt(name=name, size=size, sha256=digest.hexdigest())


def count(name: str) -> None:
    """The background task: runs in a thread when the client has its answer already."""
    received[name] += 1
    logger.info("received %s", name)


@app.get("/documents/{name}")
async def times(name: str) -> dict[str, int]:
    """How often a document was received by this worker."""
    if name not in received:
        raise NotReceived(name)
    return {"times": received[name]}
