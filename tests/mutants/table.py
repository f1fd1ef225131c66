"""The rules that nothing may break without a test failing: each is broken here in one place, by an exact text.

`rule` in the words of the design; `tests` are the files that must notice, the first ones at once. A text that the code
does not have exactly once any more is an error: whoever changes the place says anew what would break it.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One rule, broken: in `file`, `old` becomes `new`."""

    name: str
    rule: str
    file: str
    old: str
    new: str
    tests: "tuple[str, ...]"


_ARRIVE = "desktop/cradle_desktop/sync/arrive.py"
_DEPART = "desktop/cradle_desktop/sync/depart.py"
_EXECUTE = "desktop/cradle_desktop/sync/execute.py"
_INTAKE = "desktop/cradle_desktop/sync/intake.py"
_RESOLVE = "desktop/cradle_desktop/sync/resolve.py"
_APPLY = "device/cradle_device/apply.py"
_INSTALL = "device/cradle_device/install.py"
_HOST_INSTALL = "device/cradle_device/host_install.py"
_DETECT = "protocol/cradle_protocol/sync/detect.py"
_ITEM = "protocol/cradle_protocol/sync/item.py"
_RECOVER = "protocol/cradle_protocol/sync/recover.py"
_RULES = "protocol/cradle_protocol/sync/rules.py"

_STAMPING = "every resolution is stamped fresh"
_ALIVE = "a result that keeps an item alive restamps every unit"
_TICK = "no version leaves a replica before its tick is durable"
_PENDING = "intents are durable before the first visible change, and what became visible is adopted with its made-with"
_DATA = "data is durable before metadata commits"
_RACY = "what may have been edited within the clock's grain is hashed again"
_MADE = "made-with is taken before the enumeration"
_DELETES = "what is in a range, deletes above all, is done before the range is learned"
_EXPECTED = "every write and delete carries the version it expects"
_HASH = "a content is checked by its hash before it gets its name"
_RANGE = "a range is learned when it is complete, and not beyond"
_SKIPPED = "a skipped item is skipped whole, and its knowledge stays"

_SYNC = "tests/sync"
_DURABLE, _FAULTS, _MENDED = f"{_SYNC}/test_durable.py", f"{_SYNC}/test_faults.py", f"{_SYNC}/test_mended.py"
_EXPECTING = f"{_SYNC}/test_expected.py"
_TRACES, _TWINS = f"{_SYNC}/test_traces.py", f"{_SYNC}/test_twins.py"

MUTANTS = (
    Mutant(
        "a conflict keeps a version that was there", _STAMPING, _RESOLVE,
        "                fresh = fresh or self.meta.next_version()\n"
        "                new.versions[u], new.values[u] = fresh, clash[0]",
        "                fresh = ours\n                new.versions[u], new.values[u] = fresh, clash[0]",
        (_TWINS,),
    ),
    Mutant(
        "what lives again restamps one unit", _ALIVE, _ITEM,
        "        self.versions = [version] * len(values)\n",
        "        self.versions = [version] + self.versions[1:]\n",
        (_MENDED,),
    ),
    Mutant(
        "a device's scan is not durable when its versions leave", _TICK, _DETECT,
        "    scan.held = hold and scan.changed == created > 0\n    if not scan.held:\n        meta.commit()\n",
        "    scan.held = hold and scan.changed == created > 0\n    if not scan.held and hold:\n        meta.commit()\n",
        (_DURABLE,),
    ),
    Mutant(
        "a desktop's new objects leave before they are durable", _TICK, _DEPART,
        "        if last or time.monotonic() - self._kept >= KEEP_EVERY:\n            self._keep()\n",
        "",
        (_TRACES,),
    ),
    Mutant(
        "the desktop notes no intents", _PENDING, _ARRIVE,
        "        self.meta.intend(items, [self.made.vector(item.id) for item in items])\n",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "the device notes no intents", _PENDING, _INSTALL,
        "        self._meta.intend(items, [made.vector(item.id) for item in items])\n",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "an intent that became visible is adopted without its made-with", _PENDING, _RECOVER,
        "    meta.knowledge.learn_item(item.id, made)\n",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "the desktop commits before its data are durable", _DATA, _ARRIVE,
        "                self.meta.put(parent)\n        self.store.sync()\n",
        "                self.meta.put(parent)\n",
        (_DURABLE,),
    ),
    Mutant(
        "the device commits before its data are durable", _DATA, _INSTALL,
        "        if acts:\n            self._store.sync()\n        self.remember(acts)\n",
        "        self.remember(acts)\n",
        (_DURABLE,),
    ),
    Mutant(
        "a machine with memory commits before its data are durable", _DATA, _HOST_INSTALL,
        "        self._store.sync()\n        self._meta.put_new(",
        "        self._meta.put_new(",
        (_DURABLE,),
    ),
    Mutant(
        "a scan trusts the stamp of what is new", _RACY, _DETECT,
        "                meta.create(i, identity, store.values(stamp), stamp, RACY if store.racy(stamp) else 0)\n",
        "                meta.create(i, identity, store.values(stamp), stamp, 0)\n",
        (_EXPECTING,),
    ),
    Mutant(
        "a scan trusts the stamp of what has changed", _RACY, _DETECT,
        "    item.flags = item.flags & ~(RACY | GHOST) | (RACY if store.racy(stamp) else 0)\n",
        "    item.flags = item.flags & ~(RACY | GHOST)\n",
        (_EXPECTING,),
    ),
    Mutant(
        "the desktop trusts the stamp of what it has just installed", _RACY, _ARRIVE,
        "        new.flags = RACY if self.store.racy(new.stamp) else 0\n",
        "        new.flags = 0\n",
        (_EXPECTING,),
    ),
    Mutant(
        "the device trusts the stamp of what it has just installed", _RACY, _INSTALL,
        "        new.flags = RACY if store.racy(new.stamp) else 0\n",
        "        new.flags = 0\n",
        (_EXPECTING,),
    ),
    Mutant(
        "what is overwritten is not looked at again where its stamp is racy", _RACY, _DETECT,
        "    if store.digest(item.identity) != digest_of(item.values[0]):\n        raise StoreError(CHANGED)\n",
        "",
        (_EXPECTING,),
    ),
    Mutant(
        "what departs was enumerated before what its made-with says arrived", _MADE, _EXECUTE,
        "        if (plan.steps or plan.tail) and not self.observer.cancelled:\n",
        "        if False:\n",
        (_MENDED,),
    ),
    Mutant(
        "the desktop learns a range before what is in it is done", _DELETES, _ARRIVE,
        "        self._install_all(ready)\n        if lower is None or upper is None:\n",
        "        if lower is not None and upper is not None:\n"
        "            self.meta.knowledge.learn(lower, upper, self.made, list(self.skipped | self._unlearned))\n"
        "            self._commit()\n"
        "        self._install_all(ready)\n        if lower is None or upper is None:\n",
        (_DURABLE,),
    ),
    Mutant(
        "the device learns a range before what is in it is done", _DELETES, _APPLY,
        "            yield from self._installer().run()\n            self._learn()\n",
        "            self._learn()\n"
        "            self.channel.meta.commit()\n            yield from self._installer().run()\n",
        (_DURABLE,),
    ),
    Mutant(
        "the desktop overwrites whatever is there", _EXPECTED, _ARRIVE,
        "        expected = old.stamp if old is not None and was else None\n",
        "        expected = self.store.stamp(new.identity)\n",
        (_EXPECTING,),
    ),
    Mutant(
        "the desktop deletes whatever is there", _EXPECTED, _ARRIVE,
        "            self.store.remove(old.identity, old.stamp)\n",
        '            self.store.remove(old.identity, self.store.stamp(old.identity) or b"")\n',
        (_EXPECTING,),
    ),
    Mutant(
        "the device overwrites whatever is there", _EXPECTED, _INSTALL,
        "        expected = old.stamp if old is not None and was else None\n",
        "        expected = store.stamp(new.identity)\n",
        (_EXPECTING,),
    ),
    Mutant(
        "the device deletes whatever is there", _EXPECTED, _INSTALL,
        "            self._store.remove(old.identity, old.stamp)\n",
        '            self._store.remove(old.identity, self._store.stamp(old.identity) or b"")\n',
        (_EXPECTING,),
    ),
    Mutant(
        "the device takes a change whatever its own version is", _EXPECTED, _RULES,
        "    seen = knows_all(made, local.versions)\n",
        "    seen = True\n",
        (_TRACES,),
    ),
    Mutant(
        "the desktop installs a content unchecked", _HASH, _INTAKE,
        "    if digest != last.digest or (not is_lazy(value) and digest_of(value) != digest):\n"
        "        raise StoreError(MISMATCH)\n",
        "",
        (_EXPECTING,),
    ),
    Mutant(
        "the device installs a content unchecked", _HASH, _APPLY,
        "            raise StoreError(MISMATCH)\n"
        "        new.values[0] = with_digest(new.values[0], digest)\n\n    def _end_content",
        "            pass\n        new.values[0] = with_digest(new.values[0], digest)\n\n    def _end_content",
        ("tests/device/test_agent.py",),
    ),
    Mutant(
        "the desktop learns everything with its first batch", _RANGE, _ARRIVE,
        "                upper = HIGHEST if k == len(batches) - 1 else batch[-1].change_id()\n",
        "                upper = HIGHEST\n",
        (_TWINS,),
    ),
    Mutant(
        "the desktop says that its first batch is everything", _RANGE, _DEPART,
        "            upper = HIGHEST if k == len(batches) - 1 and not alone else batch[-1].item.id\n",
        "            upper = HIGHEST if not alone else batch[-1].item.id\n",
        (_TWINS,),
    ),
    Mutant(
        "the desktop learns what it has skipped", _SKIPPED, _ARRIVE,
        "            left = list(self.skipped | self._unlearned)\n",
        "            left = list(self._unlearned)\n",
        (_FAULTS,),
    ),
    Mutant(
        "the device learns what it has skipped", _SKIPPED, _APPLY,
        "            skipped = [self.ids[k] for k in range(len(self.ids)) if self.entries[k].status]\n",
        "            skipped: list[bytes] = []\n",
        (_FAULTS,),
    ),
)  # fmt: skip
