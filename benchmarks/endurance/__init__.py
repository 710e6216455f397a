"""A service under good and bad clients while everything is done to it that an operator may do.

``python -m benchmarks.endurance`` runs it; ``clients.py`` checks every byte of every answer,
``disturbances.py`` kills, stops, reloads and upgrades, ``report.py`` says what became of it.
"""
