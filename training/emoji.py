"""Openly licensed pictures and their names, from npm packages.

An icon set of Iconify is an `icons.json` with SVG bodies by name. Some sets have a `chars.json`
from code point to name; what the others call a thing is found by comparing names. `emojibase-data`
says what a code point is called, which tags it has and to which group it belongs.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training.errors import TrainingError
from training.files import writing
from training.recipe import DataRecipe
from training.sources import Package

NPM_TIMEOUT_S = 300
NPM_REASON = re.compile(r"^npm (?:error|ERR!) (?!code|syscall|errno|path|dest)(.*\S)", re.MULTILINE)
"""What npm 6 to 11 say after the lines that are for programs."""
VARIATION_SELECTOR = "fe0f"
PLAIN_SIGNS = str.maketrans({"\u2019": "'", "\u201c": None, "\u201d": None})
"""Curly quotation marks: labels are written as a keyboard writes them."""
FIRST_LABELS = Path(__file__).with_name("first_labels.txt")


def first_labels() -> list[str]:
    """What the first checkpoint of this project could draw."""
    return FIRST_LABELS.read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True, slots=True)
class Concept:
    """One thing that can be asked for, whatever the style."""

    code: str  # code points in hexadecimal, joined by hyphens
    label: str
    tags: tuple[str, ...]
    group: str
    subgroup: str


@dataclass(frozen=True, slots=True)
class Icon:
    """One thing in one style."""

    code: str
    svg: str


def fetch(package: Package, cache: Path) -> Path:
    """The package's archive in the cache folder, fetched by npm where it is not there yet.

    Raises:
        TrainingError: npm or the network is missing, or the file is not what the recipe names.
    """
    path = cache / f"{package.name.lstrip('@').replace('/', '-')}-{package.version}.tgz"
    if not path.exists():
        _npm_pack(package, path)
    if _integrity(path) != package.integrity:
        raise TrainingError(
            f"{path} is damaged or not the version that the recipe names: delete it, and the next "
            "run fetches it again."
        )
    return path


def _npm_pack(package: Package, path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise TrainingError(
            "The pictures come from npm packages, but there is no `npm` command: install Node.js "
            "and run the same command again."
        )
    wanted = f"{package.name}@{package.version}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _run_npm([npm, "pack", wanted, "--loglevel=error"], package, folder)
            archives = list(Path(folder).glob("*.tgz"))
            if not archives:
                raise TrainingError(f"npm fetched no archive of {package.name}: run it again.")
            archives[0].replace(path)


def _run_npm(command: list[str], package: Package, folder: str) -> None:
    wanted = f"{package.name} {package.version}"
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrainingError(
            f"npm did not fetch {wanted} ({type(error).__name__}): check the network and the disk, "
            "then run the same command again; what is already fetched is kept."
        ) from error
    if done.returncode != 0:
        raise TrainingError(
            f"npm could not fetch {wanted} ({_reason(done)}): check the network and the disk, then "
            "run the same command again; what is already fetched is kept."
        )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """npm's own, without the full stop that it may end in."""
    found = NPM_REASON.search(done.stderr)
    return found[1].rstrip(".") if found else f"exit code {done.returncode}"


def _integrity(path: Path) -> str:
    """Subresource Integrity, as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def read_json(archive: Path, member: str) -> Any:
    """A JSON file inside a package's archive."""
    try:
        with tarfile.open(archive) as package:
            file = package.extractfile(f"package/{member}")
            if file is None:
                raise KeyError(member)
            return json.load(file)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{archive} holds no readable {member}: delete it, and the next run fetches it again."
        ) from error


def normal_code(code: str) -> str:
    """Code points in lower case, without the selector that only asks for a coloured picture."""
    points = code.lower().split("-")
    return "-".join(point for point in points if point != VARIATION_SELECTOR)


def read_concepts(archive: Path, recipe: DataRecipe) -> dict[str, Concept]:
    """Every concept by its code, in Unicode's order; skin tones are no entries of their own."""
    names = read_json(archive, "meta/groups.json")
    concepts = {}
    for entry in read_json(archive, "en/data.json"):
        group = names["groups"].get(str(entry.get("group")))
        if group is None or group in recipe.left_out_groups:
            continue
        concept = Concept(
            code=normal_code(entry["hexcode"]),
            label=entry["label"].translate(PLAIN_SIGNS),
            tags=tuple(entry.get("tags", ())),
            group=group,
            subgroup=names["subgroups"][str(entry["subgroup"])],
        )
        concepts[concept.code] = concept
    return concepts


def name_key(name: str) -> str:
    """What is left of a name when only letters and digits count."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def codes_by_name(
    chars: Iterable[Mapping[str, str]], concepts: Iterable[Concept]
) -> dict[str, str]:
    """From what a thing is called, by any set that says so or by its label, to its code."""
    codes = {name_key(concept.label): concept.code for concept in concepts}
    for table in chars:
        codes |= {name_key(name): normal_code(code) for code, name in table.items()}
    return codes


def read_icons(
    archive: Path, concepts: Mapping[str, Concept], codes: Mapping[str, str]
) -> list[Icon]:
    """The set's icons of known concepts, one for each, in the order of the concepts."""
    content = read_json(archive, "icons.json")
    chars = read_json(archive, "chars.json")
    named = [(normal_code(code), name) for code, name in chars.items()]
    if not named:
        named = [(codes.get(name_key(name), ""), name) for name in content["icons"]]
    found: dict[str, str] = {}
    for code, name in named:
        if code in concepts and name in content["icons"]:
            found.setdefault(code, name)
    return [Icon(code, _svg(content, found[code])) for code in concepts if code in found]


def _svg(content: Mapping[str, Any], name: str) -> str:
    icon = content["icons"][name]
    box = {"left": 0, "top": 0, "width": 16, "height": 16}  # Iconify's own defaults
    left, top, width, height = (
        icon.get(key, content.get(key, default)) for key, default in box.items()
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )


def collect(recipe: DataRecipe, cache: Path) -> tuple[list[Concept], dict[str, list[Icon]]]:
    """Fetches what is missing; all concepts, and the icons of each style.

    Raises:
        TrainingError: see `fetch`.
    """
    packages = [recipe.labels, *(each.package for each in recipe.sets)]
    labels, *sets = _fetch_all(packages, cache)
    archives = {each.style: path for each, path in zip(recipe.sets, sets, strict=True)}
    concepts = read_concepts(labels, recipe)
    chars = [read_json(archive, "chars.json") for archive in archives.values()]
    codes = codes_by_name(chars, concepts.values())
    icons = {style: read_icons(path, concepts, codes) for style, path in archives.items()}
    return list(concepts.values()), icons


def _fetch_all(packages: Sequence[Package], cache: Path) -> list[Path]:
    """With a bar that names the package which npm is fetching."""
    paths = []
    with tqdm(packages, desc="packages", unit="package") as bar:
        for package in bar:
            bar.set_postfix_str(f"{package.name} {package.version}")
            paths.append(fetch(package, cache))
    return paths
