"""Where pictures are kept: in stores chosen by URL, by the digest of their bytes."""
