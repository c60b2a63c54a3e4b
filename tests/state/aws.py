"""`aws SERVICE OPERATION --some-argument VALUE`, as far as docs/state.md needs the command line."""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
import jmespath


def main(arguments: list[str]) -> None:
    """Call the operation; print what --query asks for."""
    service, operation, *rest = arguments
    options: dict[str, Any] = {
        name.removeprefix("--"): json.loads(value) if value.startswith("{") else value
        for name, value in zip(rest[::2], rest[1::2], strict=True)
    }
    query = options.pop("query", None)
    assert (options.pop("output", None) == "text") == (query is not None)
    client = boto3.client({"s3api": "s3"}.get(service, service))
    call = getattr(client, operation.replace("-", "_"))
    answer = call(
        **{
            "".join(part.capitalize() for part in name.split("-")): value
            for name, value in options.items()
        }
    )
    if query:
        print(jmespath.search(query, answer))
    client.close()


if __name__ == "__main__":
    main(sys.argv[1:])
