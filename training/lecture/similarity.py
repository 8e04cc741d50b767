"""CLIP's similarity of labels and pictures (Radford et al. 2021, figure 3).

The judge, a CLIP that the drawing model never met, compares each label with each picture that was
drawn for one. A bright diagonal says that pictures are what they should be; bright spots beside it
are things that resemble each other.
"""

from matplotlib.figure import Figure

from training.clip import embed_pictures, embed_texts
from training.lecture.studio import Studio, as_tensor

LABELS = (
    "red apple",
    "tangerine",
    "cat face",
    "dog face",
    "tiger face",
    "penguin",
    "fish",
    "tropical fish",
    "tulip",
    "rose",
    "automobile",
    "locomotive",
)


def draw(studio: Studio) -> Figure:
    pictures = studio.draw(LABELS, [1] * len(LABELS))
    points = embed_pictures(studio.judge, as_tensor(pictures))
    likeness = embed_texts(studio.judge, LABELS) @ points.T  # [labels, pictures]
    figure = Figure(figsize=(6.6, 6), layout="constrained")
    places = figure.subplots(2, 1, height_ratios=(1, len(LABELS)))
    places[0].imshow(pictures.swapaxes(0, 1).reshape(len(pictures[0]), -1, 3), aspect="auto")
    places[0].set_axis_off()
    shown = places[1].imshow(likeness, aspect="auto", vmin=-0.2, vmax=1)
    places[1].set(xticks=[], yticks=range(len(LABELS)), yticklabels=LABELS)
    figure.colorbar(shown, ax=places[1], location="bottom", label="cosine", shrink=0.6)
    return figure
