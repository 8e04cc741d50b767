"""The page at `/`: templates and scripts, as they go out."""
