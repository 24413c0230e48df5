"""Write golden files: ``python -m tests.golden NAME ...``, or all of them."""

import sys

from tests import golden

chosen = sys.argv[1:] or golden.case_names()
unknown = set(chosen) - set(golden.case_names())
if unknown:
    known = ", ".join(golden.case_names())
    sys.exit(f"no compressor has the name {', '.join(sorted(unknown))}; known: {known}")
if not sys.argv[1:]:
    for old in golden.FOLDER.glob("*.json"):
        old.unlink()
for name in chosen:
    golden.path(name).write_text(golden.text(name))
    print(golden.path(name))
