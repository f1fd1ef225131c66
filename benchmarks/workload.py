"""The trees that are synced, the same for every peer, and the check that both sides are equal. Seeded."""

import random
import shutil
from pathlib import Path

SMALL_FILES = 10_000
SMALL_BYTES = 42_000_000  # in all; half of it random, half text that compresses about 5:1
DIRECTORIES = 200
EDITED_PERCENT = 1
EDIT_MIX = ("change", "delete", "rename", "change", "delete", "rename", "change", "delete", "rename", "change")
LARGE_BYTES = 500 * 1000 * 1000
CHUNK = 1 << 20

SERIAL_ONE = 256 * 1024  # bytes of the one incompressible file
SERIAL_MANY = 200  # files of SERIAL_SIZES bytes, 224 KB in all
SERIAL_SIZES = (200, 2048)

WORDS = b"the sensor in bed four says that soil is dry again and asks for water at noon".split()


def small_files(folder: Path, seed: int = 1, count: int = SMALL_FILES) -> None:
    """Files of 0.4 to 8 KB over some two hundred directories."""
    chance = random.Random(seed)
    mean = SMALL_BYTES // SMALL_FILES
    for number in range(count):
        size = chance.randrange(mean // 10, mean * 2 - mean // 10)
        content = chance.randbytes(size) if number % 2 else _text(chance, size)
        place = folder / f"area{number % DIRECTORIES // 20:02}" / f"group{number % DIRECTORIES:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"note-{number:05}.dat").write_bytes(content)


def _text(chance: random.Random, size: int) -> bytes:
    return b" ".join(chance.choices(WORDS, k=size // 3))[:size]


def rewrite(folder: Path, seed: int) -> int:
    """Change the contents of one per cent of the files. Returns how many."""
    chance, files = _shuffled(folder, seed)
    chosen = files[: max(1, len(files) * EDITED_PERCENT // 100)]
    for path in chosen:
        _rewrite(path, chance)
    return len(chosen)


def edit(folder: Path, seed: int) -> int:
    """What a day leaves: one per cent of the files changed, deleted or renamed, 4 to 3 to 3. Returns how many."""
    chance, files = _shuffled(folder, seed)
    count = max(len(EDIT_MIX), len(files) * EDITED_PERCENT // 100)
    for number, path in enumerate(files[:count]):
        kind = EDIT_MIX[number % len(EDIT_MIX)]
        if kind == "change":
            _rewrite(path, chance)
        elif kind == "delete":
            path.unlink()
        else:
            path.rename(path.with_name(f"renamed-{seed}-{path.name}"))
    return count


def _shuffled(folder: Path, seed: int) -> "tuple[random.Random, list[Path]]":
    chance = random.Random(seed)
    files = sorted(folder.rglob("*.dat"))
    chance.shuffle(files)
    return chance, files


def _rewrite(path: Path, chance: random.Random) -> None:
    """Put 16 to 400 random bytes at some place in the file."""
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    new = chance.randbytes(chance.randrange(16, 400))
    content[at : at + len(new)] = new
    path.write_bytes(content)


def large_file(folder: Path, seed: int = 2, size: int = LARGE_BYTES) -> None:
    """One incompressible file."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "large.bin").open("wb") as out:
        for at in range(0, size, CHUNK):
            out.write(chance.randbytes(min(CHUNK, size - at)))


def serial_one(folder: Path, seed: int = 3) -> int:
    """One incompressible file for the serial line. Returns the bytes of content."""
    folder.mkdir(parents=True)
    (folder / "one.bin").write_bytes(random.Random(seed).randbytes(SERIAL_ONE))
    return SERIAL_ONE


def serial_many(folder: Path, seed: int = 4) -> int:
    """Many small incompressible files for the serial line. Returns the bytes of content."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    total = 0
    for number in range(SERIAL_MANY):
        content = chance.randbytes(chance.randrange(*SERIAL_SIZES))
        (folder / f"row-{number:03}.bin").write_bytes(content)
        total += len(content)
    return total


def copy(source: Path, target: Path) -> None:
    """A fresh copy with times and modes."""
    shutil.copytree(source, target)


def differences(one: Path, other: Path) -> "list[str]":
    """Names whose content differs, or that one side lacks; a store's own `.cradle` aside."""
    here, there = _files(one), _files(other)
    return sorted(n for n in here | there if n not in here or n not in there or not _equal(one / n, other / n))


def _files(folder: Path) -> "set[str]":
    names = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return {n.as_posix() for n in names if n.parts[0] != ".cradle"}


def _equal(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        while chunk := a.read(CHUNK):
            if chunk != b.read(CHUNK):
                return False
        return not b.read(1)
