"""What all AWS resources have in common: names, tags, what was wanted and what is seen."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from lab.standins.aws.wire import tag_list
from lab.standins.provider import Failure, Resource
from lab.standins.values import UNKNOWN, Properties, is_secret, plain, unknown


class AwsResource(Resource):
    """Subclasses say what they know below, and how to make, look, change and remove.

    Those four take and give plain properties; secrets are put back here.
    """

    properties: ClassVar[frozenset[str]] = frozenset()  # all inputs; any other one is refused
    required: ClassVar[tuple[str, ...]] = ()
    computed: ClassVar[tuple[str, ...]] = ()  # outputs known only after the create
    name_key: ClassVar[str] = ""  # gets a generated name when the program gives none
    gone: ClassVar[tuple[str, ...]] = ()  # the API's error codes for "it does not exist"

    def make(self, inputs: Properties) -> str:
        """Make it; return its id."""
        raise NotImplementedError

    def look(self, resource_id: str, inputs: Properties) -> Properties | None:
        """Its properties as they are out there; None, or an error in `gone`, if it is not."""
        raise NotImplementedError

    def change(self, resource_id: str, new: Properties, old: Properties, changed: set[str]) -> None:
        """Change it in place, from the old inputs to the new; `changed` names what differs."""

    def remove(self, resource_id: str, state: Properties) -> None:
        """Remove it."""
        raise NotImplementedError

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return self.provider.client(service)

    def tags(self, inputs: Properties) -> dict[str, str]:
        """The program's tags over the provider's default ones."""
        return {**self.provider.default_tags, **(inputs.get("tags") or {})}

    def tag_changes(
        self, new: Properties, old: Properties
    ) -> tuple[list[dict[str, str]], list[str]]:
        """(tags to set, keys to take off)."""
        wanted, before = self.tags(new), self.tags(old)
        return tag_list(wanted), [key for key in before if key not in wanted]

    def chosen_name(self, inputs: Properties, key: str = "name") -> str:
        """The name, or a new one that begins with the prefix."""
        return str(inputs.get(key) or inputs[f"{key}Prefix"] + secrets.token_hex(8))

    # Resource

    def replaces(self, path: str, inputs: Properties) -> bool:
        return path == "region" or super().replaces(path, inputs)

    def needs_delete_first(self, inputs: Properties) -> bool:
        """A name that the program gave cannot be held by two at once."""
        name = inputs.get(self.name_key) if self.name_key else None
        return bool(name) and not self._generated(name)

    def check(
        self, inputs: Properties, old_inputs: Properties, failures: list[Failure]
    ) -> Properties:
        failures += [
            (key, f'Missing required argument: "{key}" is required')
            for key in self.required
            if inputs.get(key) is None
        ]
        known = self.properties | {"tags", "region", "__defaults"}
        failures += [
            (key, "not in this stand-in for the AWS provider")
            for key in sorted(inputs.keys() - known)
        ]
        key = self.name_key
        if key and inputs.get(key) is None and inputs.get(f"{key}Prefix") is None:
            old = plain(old_inputs).get(key)
            new = old if self._generated(old) else f"{self.name}-{secrets.token_hex(4)[:7]}"
            return {**inputs, key: new}
        return inputs

    def planned(self, inputs: Properties, old_state: Properties | None) -> Properties:
        state = {**(old_state or dict.fromkeys(self.computed, UNKNOWN)), **inputs}
        tags = UNKNOWN if unknown(inputs.get("tags")) else self.tags(plain(inputs))
        return {**state, "tagsAll": tags}

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        resource_id = self.make(plain(inputs))
        return resource_id, self._state(resource_id, inputs)

    def update(
        self, resource_id: str, inputs: Properties, old_state: Properties, old_inputs: Properties
    ) -> Properties:
        new, old = plain(inputs), plain(old_inputs)
        changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
        self.change(resource_id, new, old, changed)
        return self._state(resource_id, inputs)

    def read(
        self, resource_id: str, state: Properties, inputs: Properties
    ) -> tuple[Properties, Properties] | None:
        seen = self._seen(resource_id, plain(state))
        if seen is None:
            return None
        found = self.drifted(inputs, seen)
        tags = {"tagsAll": seen["tags"]} if "tags" in seen else {}
        return {**state, **seen, **found, **tags}, found

    def drifted(self, inputs: Properties, seen: Properties) -> Properties:
        """The inputs as they would have to be to give what is seen; unchanged ones stay secret."""
        found = {
            key: seen[key] if key in seen and seen[key] != plain(value) else value
            for key, value in inputs.items()
        }
        if "tags" in seen:
            own = self._own_tags(inputs, seen["tags"])
            found.pop("tags", None)
            if own or "tags" in inputs:
                found["tags"] = inputs["tags"] if plain(inputs.get("tags")) == own else own
        return found

    def delete(self, resource_id: str, state: Properties) -> None:
        try:
            self.remove(resource_id, plain(state))
        except ClientError as error:
            if not is_code(error, self.gone):
                raise

    def _state(self, resource_id: str, inputs: Properties) -> Properties:
        """What AWS says, under what the program says, so that secrets stay secret."""
        seen = self.look(resource_id, plain(inputs)) or {}
        merged = {
            key: {**seen[key], **value} if _both_maps(value, seen.get(key)) else value
            for key, value in inputs.items()
        }
        tags = self.tags(plain(inputs))
        return {**seen, **merged, "region": self.provider.region, "tagsAll": tags}

    def _seen(self, resource_id: str, state: Properties) -> Properties | None:
        try:
            return self.look(resource_id, state)
        except ClientError as error:
            if is_code(error, self.gone):
                return None
            raise

    def _own_tags(self, inputs: Properties, seen: dict[str, str]) -> dict[str, str]:
        """The tags seen, without the provider's own default ones that the program did not give."""
        given = plain(inputs.get("tags")) or {}
        defaults = self.provider.default_tags
        return {k: v for k, v in seen.items() if k in given or defaults.get(k) != v}

    def _generated(self, name: object) -> bool:
        return bool(re.fullmatch(re.escape(self.name) + "-[0-9a-f]{7}", str(name)))


def is_code(error: ClientError, codes: Iterable[str]) -> bool:
    """Whether the API's error has one of these codes."""
    return error.response["Error"]["Code"] in codes


def _both_maps(value: Any, seen: Any) -> bool:
    return isinstance(value, dict) and isinstance(seen, dict) and not is_secret(value)
