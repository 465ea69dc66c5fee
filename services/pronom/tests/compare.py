"""Compares what this engine says of files with what siegfried says (pip install pygfried), and shows each difference.

    cargo xtask identify --json FOLDER > ours.json
    python3 services/pronom/tests/compare.py ours.json [siegfried.sig]

The signature file must be of the same PRONOM release, built with `roy build -bof 32768 -eof 8096`.
"""

import collections
import json
import sys

import pygfried

FIELDS = ("id", "format", "version", "mime", "basis", "warning")


def main():
    with open(sys.argv[1], encoding="utf-8") as ours:
        files = json.load(ours)["files"]
    scanner = pygfried.Scanner(signature=sys.argv[2]) if len(sys.argv) > 2 else pygfried.Scanner()
    equal = collections.Counter()
    files = [file for file in files if file["matches"]]
    for file in files:
        theirs = scanner.identify(file["filename"], detailed=True)["files"][0]
        one, other = file["matches"][0], theirs["matches"][0]
        for field in FIELDS:
            equal[field] += one[field] == other[field]
        if any(one[field] != other[field] for field in ("id", "basis", "warning")):
            print(file["filename"])
            for match, errors in ((other, theirs["errors"]), (one, file["errors"])):
                print("   ", *(match[field] or "-" for field in ("id", "basis", "warning")), errors, sep=" | ")
    for field in FIELDS:
        print(f"{field}: {equal[field]} of {len(files)} equal, {100 * equal[field] / max(len(files), 1):.2f} %")


main()
