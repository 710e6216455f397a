"""A FastAPI application with one JSON endpoint: a path parameter, a query and a model."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(openapi_url=None)


class Item(BaseModel):
    """What the endpoint answers."""

    number: int
    name: str
    wanted: bool


@app.get("/items/{number}")
async def item(number: int, wanted: bool = False) -> Item:
    """Answer one item as JSON."""
    return Item(number=number, name="Hello, World!", wanted=wanted)
