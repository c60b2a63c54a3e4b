"""One look at Heroku: where an inherited config var has another value there, a release with it.

It is of the commit that runs here, under the release's lock, with its journal, drain, gate and way
back. Anything but a whole answer changes nothing, and a name that has gone there keeps its value;
that is told when it begins, once a day, and when it is over.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import config_vars, frontend, storage, webhook
from .heroku import Api, HerokuError
from .layout import Layout
from .ledger import ROTATION, Ledger, Target
from .system import Say, System
from .turns import Turns, restart_seconds

DAY = 86_400  # seconds between two attempts with the same values, at most
WEATHER = "Heroku does not tell; it is asked again in each turn"
"""Stands for each trouble that passes by itself: they change by the minute."""


class _Look(NamedTuple):
    """One look, by what this host was told of Heroku."""

    layout: Layout
    told: Mapping[str, Any]
    last: Target
    system: System
    say: Say

    def run(self) -> int:
        """The exit status: 1 where the workers have not what Heroku has, but for the hour."""
        names = self.last.manifest.inherited
        api = Api(self.told["app"], self.told["token"], setting="heroku_host_token")
        try:
            found = api.config_vars()
        except HerokuError as problem:
            return self._kept(problem)
        theirs = {name: found[name] for name in names if name in found and _fits(found[name])}
        if len(theirs) == len(names):
            self._answered()
            return self._follow(theirs)
        self._kept(_left_out(api.app, names, found))
        if theirs:
            self._follow(theirs)
        return 1

    def _follow(self, theirs: Mapping[str, str]) -> int:
        """Have the workers run with these values."""
        ours = Ledger(self.layout).config(self.last.release)
        names = tuple(sorted(name for name, value in theirs.items() if ours.get(name) != value))
        if not names:
            self._remember(tried=None)
            self.say("the workers have what Heroku has")
            return 0
        self.say(f"Heroku has other values: {', '.join(names)}")
        missing = [f for f in self.last.manifest.config_files if f.path not in self._templates()]
        if missing:
            self.say("the next release brings the templates of the config files: until then, wait")
            return 1
        return self._attempt(names, theirs, {**ours, **theirs})

    def _attempt(
        self, names: tuple[str, ...], theirs: Mapping[str, str], config: dict[str, str]
    ) -> int:
        """Release with these values, unless they have failed here and it is not time again."""
        tried, now = self._memory().get("tried") or {}, self.system.time()
        mark = self._mark(theirs)
        times = tried["times"] if tried.get("mark") == mark else 0
        if times and now < tried["not_before"]:
            self.say(f"these values have failed here ({times}): not tried again yet")
            return 1
        # before: not even values that end this machine are tried in each turn
        pause = self._pause(self.told["minutes"] * 60 * 2**times)
        self._remember(tried={"mark": mark, "times": times + 1, "not_before": now + pause})
        text = self._request(names, config, now)
        status, said = frontend.submit(
            self.layout, text, self.system, frontend.ROTATION, tell=self.say
        )
        self.say(said)
        if status == 0:
            self._remember(tried=tried)
            if Ledger(self.layout).current() != self.last.release:
                self._tell(f"rotated: {', '.join(names)} changed on Heroku; the workers have it")
        return status

    def _pause(self, seconds: float) -> float:
        """So many, a day at most, and half a period less: no turn is missed for a moment."""
        period: int = self.told["minutes"] * 60
        return min(DAY, seconds) - period / 2

    def _request(self, names: tuple[str, ...], config: dict[str, str], now: float) -> str:
        """What a deployer would send; the digests of new values are the deployer's to make."""
        manifest, told = self.last.manifest, self.told
        turn = Turns(told["minutes"], told["place"], told["hosts"]).end(now)
        graces = [process.grace for process in manifest.processes]
        watched = manifest.gate_seconds, manifest.health_seconds if manifest.health else 0
        digests = {**manifest.config, **dict.fromkeys(names, ROTATION)}
        # other hosts wait for their turn, not for this one's soak
        new = manifest._replace(config=digests, soak_seconds=0)
        bundle = {
            "config": config,
            "config_files": self._templates(),
            "deployer": ROTATION,
            "rotation": {
                "names": names,
                "base": self.last.release,
                "until": turn - restart_seconds(graces, *watched),
            },
        }
        return new.text() + json.dumps(bundle)

    def _templates(self) -> dict[str, str]:
        found: dict[str, str] = storage.read_json(self.layout.templates(self.last.release), {})
        return found

    def _mark(self, theirs: Mapping[str, str]) -> str:
        """Stands for these values with this code; only with the token a guess can be tested."""
        text = json.dumps([self.last.manifest.code_id(), sorted(theirs.items())])
        key = self.told["token"].encode()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    # what is remembered from one look to the next

    def _memory(self) -> dict[str, Any]:
        found: dict[str, Any] = storage.read_json(self.layout.rotation, {})
        return found

    def _remember(self, **changes: Any) -> None:
        memory = {key: value for key, value in {**self._memory(), **changes}.items() if value}
        if memory != self._memory():
            storage.write_json(self.layout.rotation, memory)

    def _kept(self, problem: HerokuError) -> int:
        self.say(str(problem))
        memory, now = self._memory(), self.system.time()
        # no weather takes the place of what a person has to mend
        trouble = memory.get("trouble", WEATHER) if problem.passing else str(problem)
        begins = memory.get("trouble") != trouble
        if begins or now >= memory.get("tell_again", 0):
            since = now if begins else memory.get("since", now)
            # first: what cannot be remembered would be told in each turn
            self._remember(trouble=trouble, since=since, tell_again=now + self._pause(DAY))
            if begins:
                self._record("kept", str(problem))
            self._tell(f"config vars are kept as they are: {problem}")
        return 1

    def _answered(self) -> None:
        if self._memory().get("trouble"):
            self._remember(trouble=None, since=None, tell_again=None)
            self._record("answered", "Heroku tells its config vars again")
            self._tell("Heroku tells its config vars again")

    def _record(self, outcome: str, reason: str) -> None:
        Ledger(self.layout).record(outcome, by=ROTATION, phase="ask", reason=reason)

    def _tell(self, text: str) -> None:
        webhook.tell(self.layout, text, self.system, self.say)


def rotate(layout: Layout, system: System, say: Say) -> int:
    """Look once, if this host follows Heroku and nobody releases here; the exit status."""
    told = storage.read_json(layout.heroku)
    if not told:
        say("this host does not follow Heroku by itself: satellite:heroku.rotate is not set")
        return 0
    unit = system.units([layout.release_unit]).get(layout.release_unit)
    if unit and unit.active not in ("inactive", "failed"):
        say(f"gives way to {storage.holder(layout.lock)}")
        return 0
    last = Ledger(layout).last_good()
    if last is None or not last.manifest.inherited:
        say("no release here inherits a config var from Heroku")
        return 0
    whose = last.manifest.inherited_from or told["app"]  # which an older release does not name
    if whose != told["app"]:  # the way to another app's was taken back
        say(f"the release here has config vars of {whose}: the next one follows {told['app']}")
        return 0
    return _Look(layout, told, last, system, say).run()


def _left_out(app: str, names: Sequence[str], found: Mapping[str, str]) -> HerokuError:
    """What to say of those among the names that are lost, or cannot be set."""
    lost = [name for name in names if name not in found]
    unfit = [name for name in names if name in found and not _fits(found[name])]
    said = [f"{app} on Heroku has no config var {', '.join(lost)} any more"] if lost else []
    said += [f"what {app} has there as {', '.join(unfit)} cannot be set on a host"] if unfit else []
    return HerokuError(
        f"satellite:heroku.app: {'; '.join(said)}; of those what the workers have stays until a "
        "`pulumi up`"
    )


def _fits(value: str) -> bool:
    try:
        return "\0" not in value and len(value.encode()) <= config_vars.LONGEST
    except UnicodeEncodeError:  # half a character
        return False
