"""``headrace VERB …``: finds the verb, runs it, and turns errors into messages and exit codes.

A verb is a module with ``add_arguments(parser)`` and ``run(arguments) -> int``, imported only when it is called, so that
``--help`` is quick. Nothing of a verb's work is here. Exit codes: 0 done; 1 the answer is no, or it failed; 2 wrong usage
or configuration; 75 owned by somebody outside the group; 130 interrupted.
"""

import argparse
import difflib
import functools
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from learners import compiling
from stream.errors import HeadraceError


class Verb(NamedTuple):
    """Where a verb is, what it does in a line, and how it is called."""

    module: str
    help: str
    example: str


VERBS: dict[str, Verb] = {
    "init": Verb("stream.cli.init", "write a configuration that runs", "headrace init fraud --template fraud"),
    "check": Verb(
        "stream.cli.check", "validate a configuration, its learners and its topics", "headrace check fraud.yaml"
    ),
    "run": Verb("stream.cli.run", "the worker: Kafka or files, as configured", "headrace run fraud.yaml"),
    "restart": Verb("stream.cli.restart", "start over with a new lineage", "headrace restart fraud.yaml"),
    "demo": Verb(
        "stream.cli.demo", "a simulated fraud feed through the whole service, no server needed", "headrace demo"
    ),
    "simulate": Verb(
        "stream.cli.simulate", "a made-up feed into files or Kafka", "headrace simulate fraud --days 60 --out feed"
    ),
    "produce": Verb(
        "stream.cli.produce",
        "files into a topic",
        "headrace produce events.jsonl --kafka localhost:9092 --topic transactions --key customer_id",
    ),
    "backtest": Verb(
        "stream.cli.backtest",
        "what would these configurations have answered on history",
        "headrace backtest fraud.yaml changed.yaml --source april.csv.gz may.csv.gz --out compared",
    ),
    "audit": Verb(
        "stream.cli.audit", "fold the journal again, compare with what was emitted", "headrace audit fraud.yaml"
    ),
    "explain": Verb(
        "stream.cli.explain",
        "one decision as it was made: record, features, scores, reasons; and what if",
        "headrace explain fraud.yaml --event t00012345 --what-if amount=20",
    ),
    "schema": Verb(
        "stream.cli.schema", "JSON Schema and AsyncAPI of every topic", "headrace schema fraud.yaml --asyncapi"
    ),
    "topics": Verb("stream.cli.topics", "check or create a pipeline's topics", "headrace topics create fraud.yaml"),
    "status": Verb(
        "stream.cli.status", "who works, how far behind, and the newest checkpoints", "headrace status fraud.yaml"
    ),
    "checkpoints": Verb(
        "stream.cli.checkpoints", "list, show, pin and delete checkpoints", "headrace checkpoints list fraud.yaml"
    ),
    "rejects": Verb(
        "stream.cli.rejects",
        "what was refused and why; send it again",
        "headrace rejects list fraud.yaml --reason schema",
    ),
}

INTERRUPTED = 130
BROKEN_PIPE = 141
"""As a shell reports a process that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; its exit code. argparse leaves with SystemExit(2) on wrong usage, and 0 after ``--help``."""
    given = list(sys.argv[1:] if argv is None else argv)
    top = _top_parser()
    frame = top.parse_args(given)
    if frame.version:
        print(f"headrace {_version()}")
        return 0
    if frame.verb is None:
        top.print_help(sys.stderr)
        return 2
    if frame.verb not in VERBS:
        near = difflib.get_close_matches(frame.verb, VERBS, n=1)
        top.error(
            f"there is no `{frame.verb}`"
            + (f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(VERBS)}")
        )
    return _guarded(frame.verb, frame.rest, debug=frame.debug)


def _guarded(name: str, rest: Sequence[str], *, debug: bool) -> int:
    try:
        code = _call(name, rest)
        sys.stdout.flush()
    except HeadraceError as error:
        if debug or "--debug" in rest:
            raise
        print(f"headrace: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if debug or "--debug" in rest:
            raise
        print("headrace: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone; so that the interpreter does not stumble over it once more at its end:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if debug or "--debug" in rest or error.strerror is None:
            raise
        print(f"headrace: {f'{error.filename}: ' if error.filename else ''}{error.strerror}", file=sys.stderr)
        return 1
    return code


def _call(name: str, rest: Sequence[str]) -> int:
    verb = VERBS[name]
    module = importlib.import_module(verb.module)
    parser = argparse.ArgumentParser(
        prog=f"headrace {name}",
        description=f"{verb.help[0].upper()}{verb.help[1:]}.",
        epilog=f"example:\n  {verb.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = parser.parse_args(rest)
    if os.getcwd() not in sys.path and "" not in sys.path:  # noqa: PTH109 - what sys.path holds
        sys.path.append(os.getcwd())  # noqa: PTH109 - last, so that a user's stream.py shadows nothing of ours
    if _say_compiling not in compiling.hearers:
        compiling.hearers.append(_say_compiling)
    code: int = module.run(arguments)
    return code


@functools.cache
def _say_compiling() -> None:
    print("headrace: compiling, once on a machine: up to half a minute", file=sys.stderr, flush=True)


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {verb.help}" for name, verb in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="headrace",
        usage="headrace [--version] [--debug] VERB ...",
        description="Streaming online learning: Kafka in, River models, state in Redis, predictions out, exactly once.",
        epilog=f"verbs:\n{verbs}\n\n`headrace VERB --help` says more. First steps: headrace demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("verb", nargs="?", metavar="VERB", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only here

    return version("headrace")
