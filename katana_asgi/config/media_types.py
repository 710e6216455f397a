"""Media types by the suffix of a file's name, and which of them compress well.

The table is the server's own, not the machine's: /etc/mime.types differs between machines and
is missing from small images. ``charset=utf-8`` stands where the type defines that parameter
(RFC 9239 §4.2, RFC 7763, RFC 6657) and XML's own declaration would not decide.
"""

from __future__ import annotations

from typing import Final

__all__ = ["OCTET_STREAM", "compresses_well", "media_type_of"]

OCTET_STREAM: Final = "application/octet-stream"

_TEXT: Final = "; charset=utf-8"

_TYPES: Final = {
    # text
    "css": "text/css" + _TEXT,
    "csv": "text/csv" + _TEXT,
    "htm": "text/html" + _TEXT,
    "html": "text/html" + _TEXT,
    "ics": "text/calendar" + _TEXT,
    "js": "text/javascript" + _TEXT,
    "log": "text/plain" + _TEXT,
    "markdown": "text/markdown" + _TEXT,
    "md": "text/markdown" + _TEXT,
    "mjs": "text/javascript" + _TEXT,
    "rst": "text/plain" + _TEXT,
    "text": "text/plain" + _TEXT,
    "tsv": "text/tab-separated-values" + _TEXT,
    "txt": "text/plain" + _TEXT,
    "vcf": "text/vcard" + _TEXT,
    "vtt": "text/vtt" + _TEXT,
    "xml": "application/xml",
    # data
    "atom": "application/atom+xml",
    "geojson": "application/geo+json",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "map": "application/json",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "rss": "application/rss+xml",
    "sqlite": "application/vnd.sqlite3",
    "toml": "application/toml",
    "topojson": "application/json",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "xhtml": "application/xhtml+xml",
    "xsl": "application/xslt+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    # images
    "apng": "image/apng",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "ico": "image/vnd.microsoft.icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    # fonts
    "eot": "application/vnd.ms-fontobject",
    "otf": "font/otf",
    "ttf": "font/ttf",
    "woff": "font/woff",
    "woff2": "font/woff2",
    # sound and film
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4s": "video/iso.segment",
    "m4v": "video/mp4",
    "mid": "audio/midi",
    "mkv": "video/matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "mpeg": "video/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "ts": "video/mp2t",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    # documents and archives
    "7z": "application/x-7z-compressed",
    "br": OCTET_STREAM,
    "bz2": "application/x-bzip2",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "gz": "application/gzip",
    "jar": "application/java-archive",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "whl": "application/zip",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}

_COMPRESSIBLE: Final = frozenset(
    {
        "application/dash+xml",
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/toml",
        "application/vnd.apple.mpegurl",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-tar",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    }
)


def media_type_of(name: str) -> str:
    """The content type that a file's name suggests; ``application/octet-stream`` where none.

    A compressed file is what it is, a compressed file.
    """
    _, dot, suffix = name.rpartition(".")
    return _TYPES.get(suffix.lower(), OCTET_STREAM) if dot else OCTET_STREAM


def compresses_well(content_type: str) -> bool:
    """Whether content of this type is usually text, or as redundant as text."""
    media_type = content_type.partition(";")[0].strip().lower()
    return (
        media_type.startswith("text/")
        or media_type in _COMPRESSIBLE
        or media_type.endswith(("+json", "+xml", "+yaml"))
    )
