"""From the directory that ``headrace backtest --save-state`` wrote to what each task begins with."""

from collections.abc import Callable
from pathlib import Path

from stream.build import signing_key, user_modules
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.files import FileStore
from stream.checkpoints.history import STATE, History, read_history
from stream.checkpoints.signing import Signer
from stream.config import Config
from stream.errors import ConfigError, Unverified
from stream.runtime.warm import Warm
from stream.transport.base import Log


def warm_starts(config: Config, directory: Path, log: Log, say: Callable[[str], None]) -> Callable[[int], Warm]:
    """Of a task's number, what it begins with.

    Raises
    ------
    ConfigError
        The directory holds no state, or that of other topics or of another number of tasks. Called with a number:
        of a task that it does not hold.
    Unverified
        The state was signed with another key, or is damaged.
    """
    history = read_history(directory)
    identity = log.identity()
    if identity["partitions"] != history.tasks:
        raise ConfigError(
            f"{directory} holds {history.tasks} tasks, but the events have {identity['partitions']} partitions, "
            "and each is a task with models of its own",
            f"replay history with `headrace backtest --tasks {identity['partitions']} --save-state DIR`",
        )
    _check_topics(history, identity["topics"], directory)
    if not history.positions:
        say(
            f"{directory} was made from files: the topics are read from their beginning, and must hold only what came after"
        )
    store, signer = FileStore(directory / STATE), Signer(signing_key(config))

    def warm(number: int) -> Warm:
        failures: list[str] = []
        checkpointer = Checkpointer(
            store, signer, f"{history.name}/{number}", keep=1, on_unverified=failures.append,
            admitted=user_modules(config), fork=False,
        )  # fmt: skip
        restored = next(iter(checkpointer.restore()), None)
        if restored is None:
            raise Unverified(
                f"{directory} holds no usable state of task {number}" + "".join(f": {told}" for told in failures),
                "was it signed with this pipeline's key? (`checkpoints: {key_file: …}`)",
            )
        return Warm(restored, str(directory), history.positions[number] if history.positions else None)

    return warm


def _check_topics(history: History, topics: object, directory: Path) -> None:
    """Positions count in the topics that they were read from, and in no others of the same name."""
    assert isinstance(topics, dict)
    other = [name for name, told in history.topics.items() if topics.get(name) != told]
    if other:
        raise ConfigError(
            f"{directory} was made from {', '.join(other)}, which is not a topic of this pipeline, or was made anew since",
            "replay the topics as they are with `headrace backtest --source kafka --save-state DIR`",
        )
