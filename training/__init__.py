"""The starter model, made from scratch: a small Stable Diffusion, and how one is trained.

Read the files in this order; each is one part of the lecture.

    recipe.py      every number that a stage depends on
    emoji.py       openly licensed pictures: where they come from and what they are called
    data.py        the pictures rendered, cached and checked
    tokenizer.py   words become numbers (byte-level BPE)
    loop.py        one training loop for all stages, which survives being interrupted
    vae.py         a picture becomes a small latent and comes back (the autoencoder)
    clip.py        words and pictures meet in one space (contrastive pre-training)
    diffusion.py   noise schedules and what the U-Net is asked to predict
    unet.py        the denoiser, which turns noise and a prompt into a latent
    export.py      the parts become one StableDiffusionPipeline folder

`python -m training STAGE` runs a stage, `python -m training all` all of them.
"""

import os

# Before torch loads OpenMP: its idle threads would spin in the way of the machine's other work.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
