"""Models as the web UI names them: by a title of the name and ten digits of a hash."""

from app.census import Census
from contract.errors import UnknownModel
from contract.infotext import HASH_DIGITS
from contract.workers import ModelCard

FIELD = "sd_model_checkpoint"


def title_of(card: ModelCard) -> str:
    digits = short_hash(card)
    return f"{card.id} [{digits}]" if digits is not None else card.id


def short_hash(card: ModelCard) -> str | None:
    """None where the model's worker did not say."""
    return card.fingerprint[:HASH_DIGITS] or None


def model_titled(text: str, census: Census) -> ModelCard:
    """The model of a title, a name or a hash.

    Raises:
        UnknownModel: there is none.
    """
    for card in census.models.values():
        if text in (title_of(card), card.id, short_hash(card), card.fingerprint):
            return card
    titles = [title_of(card) for card in census.models.values()]
    raise UnknownModel(
        f"There is no such model; valid values are {', '.join(titles)}.",
        field=FIELD,
        allowed=titles,
    )
