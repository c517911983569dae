"""Everything that can go wrong, and the exit code each failure ends a command with.

::

    SeamlessError                 1   anything not named below
    ├── UsageError                2   the command or its configuration is wrong
    │   ├── ConfigError           2   configuration file, environment or --set
    │   ├── BundleError           2   a model bundle is missing, damaged or of the wrong kind
    │   ├── EngineRefused         2   a built engine is missing, damaged or belongs to something else
    │   └── LoginRefused          2   no, expired or insufficient credentials for a feed
    ├── InputsMissing             3   the day's inputs are not published yet
    │   └── FeedUnreachable       3   a feed does not answer, or not with what was asked for
    ├── InputRefused              4   an input file is damaged, wrong or implausible
    ├── ResultRefused             5   the filled day did not pass its gate
    ├── StateChainBroken          6   a state snapshot is damaged or does not belong to the chain
    ├── ArchiveBusy               7   another run holds the archive
    ├── RunOverdue                1   the time of a run was over before everything was filled
    ├── MirrorFailed              1   the mirror of the archive could not be brought up to date
    ├── EngineFailed              1   a GPU or its libraries failed while computing
    └── ArchiveError              1   the archive cannot be written or is not whole

A message says what was wrong, where, and what to do about it.
"""

from __future__ import annotations


class SeamlessError(Exception):
    """Base of every error this software raises on purpose; a message can be printed anywhere, and kept in any file."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message.encode(errors="backslashreplace").decode())  # names of files may not be UTF-8


class UsageError(SeamlessError):
    """The command was called with something it cannot work with."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration has an unknown key or an impossible value."""


class BundleError(UsageError):
    """A model bundle is missing, damaged, or does not fit the configured inputs."""


class EngineRefused(UsageError):
    """A built TensorRT engine is not there, is damaged, or was built for something else."""


class LoginRefused(UsageError):
    """A feed wants credentials: there are none, they have expired, or they do not cover this data."""


class InputsMissing(SeamlessError):
    """Inputs of a day that was asked for are not there yet."""

    exit_code = 3


class FeedUnreachable(InputsMissing):
    """A feed does not answer, or answers with something that is no granule."""


class InputRefused(SeamlessError):
    """An input file is damaged, belongs to another day or grid, or holds implausible values."""

    exit_code = 4


class ResultRefused(SeamlessError):
    """A filled day failed a gate and was not published."""

    exit_code = 5


class StateChainBroken(SeamlessError):
    """A state snapshot is damaged or was not made by this chain."""

    exit_code = 6


class ArchiveBusy(SeamlessError):
    """Another run holds the archive's lock."""

    exit_code = 7


class RunOverdue(SeamlessError):
    """The time of a run was over before everything was filled."""


class MirrorFailed(SeamlessError):
    """The mirror of the archive could not be brought up to date; the archive itself is not affected."""


class EngineFailed(SeamlessError):
    """A GPU or its libraries failed while computing."""


class ArchiveError(SeamlessError):
    """The archive cannot be written, or is not whole."""
