"""What the service answers with, as values."""

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from darkroom.client.errors import BadAnswer


class Answer(BaseModel):
    """Fields that a newer service adds are kept, so that they can be shown."""

    model_config = ConfigDict(frozen=True, extra="allow")


AnswerT = TypeVar("AnswerT", bound=Answer)


def read(kind: type[AnswerT], content: bytes | str) -> AnswerT:
    """
    Raises:
        BadAnswer: it is not JSON of that kind.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise BadAnswer(
            f"The answer is not the {kind.__name__} that was expected: {where}: {first['msg']}."
        ) from error
