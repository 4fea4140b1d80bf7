"""What the HTTP doors share: who may speak to them, JSON within bounds, refusals in one sentence, and the server."""
