# /// script
# requires-python = ">=3.11"
# dependencies = ["cruft>=2.16"]
# ///
"""Brings this project up to its template, or to other answers: `make update auth=none`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Join the project to its template if it is not yet, then apply what changed, uncommitted."""
    recorded = json.loads(Path(".cookiecutter.json").read_text(encoding="utf-8"))
    wanted = dict(argument.split("=", 1) for argument in arguments)
    template = wanted.pop("template", recorded["template"])
    checkout = wanted.pop("checkout", None)
    if unknown := wanted.keys() - recorded["cookiecutter"].keys():
        sys.exit(f"No such answer: {', '.join(sorted(unknown))}. See .cookiecutter.json.")
    if not Path(".cruft.json").exists():
        link(template, recorded)
    command = ["cruft", "update", "--skip-apply-ask", "--allow-untracked-files"]
    if checkout:
        command += ["--checkout", checkout]
    if wanted:
        command += ["--variables-to-update", json.dumps(wanted)]
    sys.exit(subprocess.run(command).returncode)


def link(template: str, recorded: dict[str, Any]) -> None:
    """Note in `.cruft.json` which version of the template, and which answers, made the project."""
    answers = json.dumps(recorded["cookiecutter"])
    version = f"v{recorded['version']}"
    command = ["cruft", "link", template, "--no-input", "--default-config"]
    command += ["--checkout", version, "--extra-context", answers]
    if code := subprocess.run(command).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
