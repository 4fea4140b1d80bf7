"""Many clips: a manifest of requests, one loaded model, a line of status for each.

manifest -> jobs -> batch (one process) or ray_workers (many) -> status.jsonl: each word is a file.
"""
