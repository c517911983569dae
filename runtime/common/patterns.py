"""Regular expressions of a configuration, which must not be able to stop a run."""

from __future__ import annotations

import re

import re2


def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compile a regular expression so that the time of a match grows only with the length of the text.

    The ``re`` of Python tries every way to divide a text among repetitions inside repetitions, ``(a+)+$`` for example:
    years for a name of 60 letters. RE2 does not (Cox, R.: Regular expression matching can be simple and fast, 2007).

    Parameters
    ----------
    pattern : str
        A regular expression for both ``re`` and RE2.

    Returns
    -------
    re.Pattern
        RE2's object, which has the methods of Python's. Letters and digits of classes like ``\w`` are those of ASCII.

    Raises
    ------
    ValueError
        It is no regular expression, or one that cannot be matched in such a time.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        re.compile(pattern)  # RE2 takes x{9999} for the letters x{9999}
        compiled: re.Pattern[str] = re2.compile(pattern, options)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {error}") from error
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        raise ValueError(
            f"pattern {pattern!r} cannot be used: {reason}; write it without look-around such as (?=...) and without "
            r"references such as \1 (see RE2's syntax)"
        ) from error
    return compiled
