# Copyright (c) 2026, WorkOn
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack a collection: ``SOURCE DIRECTORY``. The source is a checkout, an installed collection, or a tarball, which stays as it is.

Prints where the tarball is, its version, and the hash of the list of its files, by which two of the same version are told apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

source, directory = Path(sys.argv[1]), Path(sys.argv[2])

if source.is_file():
    archive = source
elif (source / "MANIFEST.json").is_file():
    # Installed: what was in its tarball, as the list of its files says, and nothing that came later.
    archive = directory / "collection.tar.gz"
    files = json.loads((source / "FILES.json").read_text(encoding="utf-8"))["files"]
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("MANIFEST.json", "FILES.json", *(one["name"] for one in files if one["name"] != ".")):
            tar.add(source / name, arcname=name, recursive=False)
elif (source / "galaxy.yml").is_file():
    command = [sys.executable, "-m", "ansible", "galaxy", "collection", "build", str(source), f"--output-path={directory}"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        sys.exit(f"The collection in {source} could not be built: {result.stdout}")
    archive = next(directory.glob("*.tar.gz"))
else:
    sys.exit(f"{source} is no collection: it has neither MANIFEST.json nor galaxy.yml.")

with tarfile.open(archive) as tar:
    member = next((one for one in tar if one.name.removeprefix("./") == "MANIFEST.json"), None)
    content = tar.extractfile(member) if member else None
    if content is None:
        sys.exit(f"{archive} is no collection: it has no MANIFEST.json.")
    manifest = json.load(content)
json.dump(
    {"archive": str(archive), "version": manifest["collection_info"]["version"], "content": manifest["file_manifest_file"]["chksum_sha256"]},
    sys.stdout,
)
