"""The OpenAI Images API, under /v1."""
