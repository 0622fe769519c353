"""Every error that Headrace raises for a reason of its own.

::

    HeadraceError
    ├── ConfigError            the operator's mistake: names the setting and the nearest right one (exit 2)
    ├── LogError               something about the log
    │   ├── Fenced             somebody else owns the task now; nothing was written
    │   ├── InDoubt            the commit's answer is lost: the journal decides
    │   ├── OutputTooLarge     an output is above the broker's limit: names the topic and the setting to raise
    │   ├── RecordsGone        records that are needed are no longer in the log, or were changed
    │   ├── LogUnavailable     the log does not answer; retried with back-off
    │   └── LogMisfit          topics missing, recreated, with other partition counts; bad credentials
    ├── CheckpointError        something about checkpoints
    │   ├── Unverified         a checkpoint's signature, digest or content is wrong; the one before is used
    │   └── StoreUnavailable   the store does not answer or is full; work goes on without it
    ├── JournalBroken          entries do not follow one another: a broken promise, never carried on from
    ├── LineageChanged         state or journal were made by another configuration, version or topic
    └── OwnedOutside           an owner outside the group keeps claiming the task (exit 75)

Each says what failed, where, and what to do next. ``hint`` holds the last part by itself.
"""

RESHARD = (
    "a partition is a task with its own models: to keep what they learned it would have to be resharded "
    "(`headrace reshard`, not available in this version)"
)
"""The hint where the number of partitions is another one."""

RESTART = "`headrace restart CONFIG` starts over from the records that there are"
"""The hint where there is no way on."""


class HeadraceError(Exception):
    """Base of all: a message for people, and a hint that says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)
        self.message = message
        self.hint = hint


class ConfigError(HeadraceError):
    """The operator's mistake."""

    exit_code = 2


class LogError(HeadraceError):
    """Something about the log."""


class Fenced(LogError):
    """Somebody else owns the task now; nothing was written."""


class InDoubt(LogError):
    """The commit's answer is lost: it may have happened or not. The journal decides."""


class OutputTooLarge(LogError):
    """An output is above the broker's limit."""


class RecordsGone(LogError):
    """Records that are needed are no longer in the log, or are not what they were."""


class LogUnavailable(LogError):
    """The log does not answer; retried with back-off."""


class LogMisfit(LogError):
    """Topics are missing, recreated, or do not fit one another; or the log refuses who we are."""

    exit_code = 2


class CheckpointError(HeadraceError):
    """Something about checkpoints."""


class Unverified(CheckpointError):
    """A checkpoint's signature, digest or content is wrong."""


class StoreUnavailable(CheckpointError):
    """The store does not answer, or is full."""


class JournalBroken(HeadraceError):
    """Entries of the journal do not follow one another."""


class LineageChanged(HeadraceError):
    """State or journal were made by another configuration, version or topic."""

    exit_code = 2


class OwnedOutside(HeadraceError):
    """An owner outside the group keeps claiming the task."""

    exit_code = 75
