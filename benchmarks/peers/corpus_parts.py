"""Parts of as many shards as are wanted, made of those that a run has left.

python -m benchmarks.peers.corpus_parts PARTS FOLDER COUNT
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

from aves_verify.corpus.shards import joined
from aves_verify.parts.identity import SIGNALS, Identity
from aves_verify.parts.part import Part, PartFile, to_bytes


def many(parts: Path, folder: Path, count: int) -> None:
    """Write them into a new folder, with their list: each is one of those that there are, of another shard."""
    folder.mkdir(parents=True)
    (listing,) = parts.glob("*.json")
    document = json.loads(listing.read_text(encoding="utf-8"))
    known = Identity(document["port"], document["settings"])
    files = [PartFile(parts / known.part(audio), "") for audio in document["shards"]]
    made = [(file.facts, tuple(row for _, row in file.rows())) for file in files]
    shards = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]
    for number, audio in enumerate(shards):
        facts, rows = made[number % len(made)]
        (folder / known.part(audio)).write_bytes(to_bytes(Part(replace(facts, audio=audio), rows)))
    document |= {"shards": shards, "corpus": joined(shards)}
    (folder / listing.name).write_text(json.dumps(document), encoding="utf-8")
    shutil.copy(parts / known.part(SIGNALS), folder)


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    given = parser.parse_args()
    many(given.parts, given.folder, given.count)


if __name__ == "__main__":
    main()
