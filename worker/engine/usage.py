"""What a picture had of the device: its share of the calls that it rode in."""

from dataclasses import dataclass


@dataclass(slots=True)
class Usage:
    """Of one picture, or of several together."""

    text_s: float = 0.0
    denoise_s: float = 0.0
    decode_s: float = 0.0
    row_steps: int = 0  # rows times model evaluations, those before a checkpoint among them

    @property
    def device_s(self) -> float:
        return self.text_s + self.denoise_s + self.decode_s

    def add(self, other: "Usage") -> None:
        self.text_s += other.text_s
        self.denoise_s += other.denoise_s
        self.decode_s += other.decode_s
        self.row_steps += other.row_steps

    def less(self, other: "Usage") -> "Usage":
        return Usage(
            self.text_s - other.text_s,
            self.denoise_s - other.denoise_s,
            self.decode_s - other.decode_s,
            self.row_steps - other.row_steps,
        )
