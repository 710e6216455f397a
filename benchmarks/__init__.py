"""The benchmark suite: katana-asgi, its peers and two ceilings, taking turns in one run.

``python -m benchmarks quick`` takes about two minutes, ``full`` about an hour; both write
Markdown, JSON and plots. ``benchmarks/README.md`` says what is measured and how to read it.
"""
