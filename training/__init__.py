"""The starter model, made from scratch: a small Stable Diffusion, and how one is trained.

Read the files in this order; each is one part of the lecture.

    recipe.py      every number that a stage depends on; recipes.py has the two sets of them
    emoji.py       openly licensed pictures: where they come from and what they are called
    data.py        the pictures rendered, cached and checked
    loop.py        one training loop for all stages, which survives being interrupted
                   (checkpoint.py), and is watched (journal.py for TensorBoard, memory.py)
    vae.py         a picture becomes a small latent and comes back (the autoencoder)
    tokenizer.py   words become numbers (byte-level BPE)
    texts.py       what a picture may be called; variation.py: in other colours, several times
    clip.py        words and pictures meet in one space; contrast.py: how that is trained
    diffusion.py   noise, what the U-Net is asked to predict, and how a picture comes of it
    latents.py     the pictures as the U-Net sees them
    unet.py        the denoiser, which turns noise and a prompt into a latent
    export.py      the parts become one StableDiffusionPipeline folder
    evaluate.py    what the finished model can do, measured; score.py: what the judge says of it;
                   card.py: how MODEL_CARD.md comes of that
    lecture/       the figures of docs/how-it-works.md

`python -m training STAGE` runs a stage, `python -m training all` all of them.
"""

import os

# Before torch loads OpenMP: its idle threads would spin in the way of the machine's other work.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
# transformers warns of a missing torchvision, which nothing here needs.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
