"""Names for the files of a model, and for the code that develops with it."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("torch", "diffusers", "transformers")


def fingerprint(folder: Path) -> str:
    """SHA-256 over all files in the model's own folders: two models that differ in one weight must
    not go on with each other's pictures."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.glob("*/*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


@cache
def code_fingerprint() -> str:
    """SHA-256 of the engine's sources and of the versions that it computes with: after an upgrade
    nothing is gone on with that might come out otherwise."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    digest.update(" ".join(version(name) for name in LIBRARIES).encode())
    return digest.hexdigest()
