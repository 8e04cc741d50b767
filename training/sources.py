"""Where the pictures come from: npm packages, each of one version, with author and licence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """One version of an npm package."""

    name: str
    version: str
    integrity: str  # as `npm view NAME dist.integrity` prints it


@dataclass(frozen=True, slots=True)
class EmojiSet:
    """One set of pictures, which is one style."""

    style: str  # how a prompt names it
    package: Package
    licence: str  # SPDX
    author: str


MICROSOFT, GOOGLE = "Microsoft Corporation", "Google Inc"
TWITTER, MOZILLA, EMOJI_ONE = "Twitter and contributors", "Mozilla", "Emoji One / EmojiTwo"

SETS = (
    EmojiSet(
        "flat",
        Package(
            "@iconify-json/fluent-emoji-flat",
            "1.2.6",
            "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4"
            "fRXlUw==",
        ),
        "MIT",
        MICROSOFT,
    ),
    EmojiSet(
        "glossy",
        Package(
            "@iconify-json/fluent-emoji",
            "1.2.7",
            "sha512-D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz"
            "4Hc/QA==",
        ),
        "MIT",
        MICROSOFT,
    ),
    EmojiSet(
        "noto",
        Package(
            "@iconify-json/noto",
            "1.2.9",
            "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYe"
            "ZVAuaw==",
        ),
        "Apache-2.0",
        GOOGLE,
    ),
    EmojiSet(
        "twemoji",
        Package(
            "@iconify-json/twemoji",
            "1.2.5",
            "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/m"
            "vgALsw==",
        ),
        "CC-BY-4.0",
        TWITTER,
    ),
    EmojiSet(
        "emojione",
        Package(
            "@iconify-json/emojione",
            "1.2.3",
            "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8z"
            "b9CMMg==",
        ),
        "CC-BY-4.0",
        EMOJI_ONE,
    ),
    EmojiSet(
        "blob",
        Package(
            "@iconify-json/noto-v1",
            "1.2.5",
            "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3ey"
            "PqMuVA==",
        ),
        "Apache-2.0",
        GOOGLE,
    ),
    EmojiSet(
        "firefox",
        Package(
            "@iconify-json/fxemoji",
            "1.2.2",
            "sha512-UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn"
            "78DpiQ==",
        ),
        "Apache-2.0",
        MOZILLA,
    ),
)
"""Permissive licences and CC BY; emojione-v1 and openmoji are CC BY-SA and so left out."""

LABELS = Package(
    "emojibase-data",
    "17.0.0",
    "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
)
