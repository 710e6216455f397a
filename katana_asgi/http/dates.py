"""HTTP dates (RFC 9110 §5.6.7): IMF-fixdate is sent, all three forms are read."""

from __future__ import annotations

import re
import time
from calendar import timegm
from email.utils import formatdate
from typing import Final

__all__ = ["http_date", "parse_http_date"]

_MONTHS: Final = {
    name: number
    for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_DAY: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY: Final = rb"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH: Final = rb"(?P<month>" + b"|".join(_MONTHS) + rb")"
_TIME: Final = rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"

_FORMS: Final = tuple(
    re.compile(form).fullmatch
    for form in (
        _DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT",
        _LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT",
        _DAY + rb" " + _MONTH + rb" (?P<day>[ 0-9][0-9]) " + _TIME + rb" (?P<year>[0-9]{4})",
    )
)
"""IMF-fixdate, RFC 850, asctime. The day of the week is not compared with the date."""


def http_date(timestamp: float) -> bytes:
    """Format seconds since the epoch, such as ``b"Sun, 06 Nov 1994 08:49:37 GMT"``."""
    return formatdate(timestamp, usegmt=True).encode("ascii")


def parse_http_date(value: bytes) -> int | None:
    """Seconds since the epoch of a date in one of the three forms; ``None`` for anything else."""
    for match_form in _FORMS:
        match = match_form(value)
        if match is not None:
            break
    else:
        return None
    day, hour, minute, second = map(int, match.group("day", "hour", "minute", "second"))
    year = int(match["year"])
    if len(match["year"]) == 2:
        year = _full_year(year)
    month = _MONTHS[match["month"]]
    # A second of 60 is a leap second (RFC 9110 §5.6.7); timegm() carries it over.
    if not 1 <= day <= _days(year, month) or hour > 23 or minute > 59 or second > 60:
        return None
    return timegm((year, month, day, hour, minute, second))


def _full_year(two_digits: int) -> int:
    """A year that seems more than 50 years in the future is in the past (RFC 9110 §5.6.7)."""
    this_year = time.gmtime().tm_year
    year = this_year - this_year % 100 + two_digits
    return year - 100 if year > this_year + 50 else year


def _days(year: int, month: int) -> int:
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31
