"""The libraries of others that the scripts here check with: from PyPI into the environment of the Python
that runs this, which must be a virtual one, and from npm into the directory `npm` beside it. All scripts
share the two; each names what it needs, with versions.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

from verify import Cannot

NPM_DIRECTORY = os.path.join(sys.prefix, "npm")


def install(pypi, npm, pypi_alone=()):
    """Fetches what is not there yet; what cannot be had is missed later. `pypi` and `npm` say a version for
    each name; `pypi_alone` says those that are wanted without what they depend on."""
    if sys.prefix == sys.base_prefix:
        raise Cannot("--install wants a virtual environment: python3 -m venv target/outside, and its python")

    def absent(names):
        found = {}
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = None
        return ["%s==%s" % (name, pypi[name]) for name in names if found[name] != pypi[name]]

    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    whole = [name for name in pypi if name not in pypi_alone]
    for wanted, options in [(absent(whole), []), (absent(pypi_alone), ["--no-deps"])]:
        if wanted and subprocess.run([*pip, *options, *wanted]).returncode != 0:
            for one in wanted:
                subprocess.run([*pip, *options, one])
    found = shutil.which("npm")
    if not found:
        return
    os.makedirs(NPM_DIRECTORY, exist_ok=True)
    wanted = ["%s@%s" % (name, version) for name, version in npm.items()
              if npm_version(name) != version.rsplit("@", 1)[-1]]
    command = [found, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", NPM_DIRECTORY]
    if wanted and subprocess.run([*command, *wanted]).returncode != 0:
        for one in wanted:
            subprocess.run([*command, one])


def npm_version(name):
    """The version of a package of npm that is here."""
    try:
        with open(os.path.join(NPM_DIRECTORY, "node_modules", name, "package.json"), encoding="utf-8") as file:
            return json.load(file).get("version")
    except OSError:
        return None
