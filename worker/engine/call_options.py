"""How the U-Net and the decoder of a model are to be called."""

from dataclasses import dataclass

from worker.engine.row_plan import RowPlan


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What makes calls faster, or pictures bit-equal; nothing here changes more than last bits."""

    records: bool = True  # whether a GPU replays U-Net calls; see `recorder.py`
    compiles: bool = False  # the U-Net and the decoder, at the native size; see `compiled.py`
    channels_last: bool | None = None  # how weights lie in memory; None: as is fastest
    fused: bool = False  # query, key and value of the attention in one product
    plan: RowPlan | None = None  # row counts of compiled U-Net calls; None: any number of rows
    fixed_rows: int | None = None  # rows of every U-Net call; see `row_plan.py`
