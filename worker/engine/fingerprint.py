"""A name for the files of a model, the same wherever equal files lie."""

import hashlib
from pathlib import Path


def fingerprint(folder: Path) -> str:
    """SHA-256 over all files in the model's own folders: two models that differ in one weight must
    not go on with each other's pictures."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.glob("*/*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
