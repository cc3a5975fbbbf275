"""The net below the checks of `cookiecutter.json`: replayed answers and used folders end here."""

import sys
from pathlib import Path

COMPLAINT = "{{ cookiecutter | complaint | escaped }}"

if COMPLAINT:
    sys.exit(f"\n{COMPLAINT}\n")
if any(Path.cwd().iterdir()):
    sys.exit(
        f"\n{Path.cwd()} is not empty, and files of yours in it would be lost: use another"
        " project_slug or folder, or `make update` inside it to bring a project up to date.\n"
    )
