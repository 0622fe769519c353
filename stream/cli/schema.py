"""``headrace schema``: what may be sent and what comes out, as JSON Schema or AsyncAPI. The schemas are schema.py's."""

import argparse
import os
from pathlib import Path
from typing import Any

from stream.cli.output import print_json
from stream.config import Config, load
from stream.config_specs import codec_specs
from stream.errors import ConfigError
from stream.schema import asyncapi, schemas

KINDS = ("events", "labels", "predictions", "alarms", "rejects")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument("--of", choices=KINDS, metavar="KIND", help=f"only the schema of {', '.join(KINDS)}")
    parser.add_argument("--asyncapi", action="store_true", help="one AsyncAPI 3.0 document over all topics")
    parser.add_argument("--json", action="store_true", help="JSON, which it is anyway")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    config = load(arguments.config, os.environ)
    if arguments.asyncapi:
        print_json(document(config))
        return 0
    told = schemas(*codec_specs(config))
    if arguments.of is None:
        print_json(told)
    elif arguments.of in told:
        print_json(told[arguments.of])
    else:
        raise ConfigError(f"{config.name} has no {arguments.of} of its own: they ride in the events")
    return 0


def document(config: Config) -> dict[str, Any]:
    """The AsyncAPI document. Raises ConfigError for a pipeline of files."""
    if config.on_files:
        raise ConfigError(
            f"{config.name} reads files, and AsyncAPI is about topics", "leave --asyncapi out for the schemas"
        )
    told = schemas(*codec_specs(config))
    return asyncapi(title=config.name, version="1", schemas=told, topics=config.topics())
