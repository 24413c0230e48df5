"""Write the golden files anew."""

from tests import golden

for old in golden.FOLDER.glob("*.json"):
    old.unlink()
for name in golden.case_names():
    golden.path(name).write_text(golden.text(name))
    print(golden.path(name))
