"""The index against a dictionary: random inserts, marks, removals over many pages."""

from cradle_device import index as module
from cradle_device.index import MARKED, Index
from cradle_protocol.compat import MICROPYTHON, sha256

TURNS = 90 if MICROPYTHON else 3000
TAG = b"\x00" * 4


def numbers(seed):
    """The same numbers on both interpreters."""
    block, k = b"", 0
    while True:
        if k == len(block):
            block, k = sha256(seed + block).digest(), 0
        yield block[k] << 8 | block[k + 1]
        k += 2


def contents(index):
    found = []
    for at in index.positions():
        page = index._pages[at // module._PAGE]
        prefix = bytes(page[at % module._PAGE : at % module._PAGE + 4])
        oid = int.from_bytes(page[at % module._PAGE + 12 : at % module._PAGE + 16], "big")
        found.append((prefix, index.offset(at), oid, index.flags(at) & MARKED))
    return found


def test_it_is_what_a_sorted_dictionary_is():
    for seed in (b"a", b"b", b"c"):
        random, index, model = numbers(seed), Index(), {}
        for turn in range(TURNS):
            prefix = (next(random) % 2000).to_bytes(2, "big") + b"\x00\x00"
            prefix = bytes([prefix[1], prefix[0]]) + prefix[2:]
            at, choice = index.first(prefix), next(random) % 4
            if prefix not in model:
                mark = MARKED if choice & 1 else 0
                index.insert(at, prefix, turn, TAG, turn + 7, mark)
                model[prefix] = turn, turn + 7, mark
            elif choice == 0:
                index.remove(at)
                del model[prefix]
            elif choice == 1:
                index.mark(at)
                model[prefix] = model[prefix][0], model[prefix][1], MARKED
            else:
                index.replace(at, turn, TAG, model[prefix][1])
                model[prefix] = turn, model[prefix][1], model[prefix][2]
        assert contents(index) == [(prefix,) + model[prefix] for prefix in sorted(model)]
        assert index.count == index.alive == len(model)
        for prefix in model:
            assert index.has_prefix(index.by_oid(model[prefix][1]), prefix)


def test_what_comes_in_order_fills_its_pages():
    index = Index()
    count = 40 * module._PAGE // 16
    for k in range(count):
        prefix = k.to_bytes(4, "big")
        at = index.first(prefix)
        assert index.at_end(at)
        index.insert(at, prefix, k, TAG, k)
    assert len(index._pages) == 40
    index.unmark()
    index.clear()
    assert list(index.positions()) == [] and index.at_end(index.first(b"\x00" * 4))
