"""Send a manifest to a model on Replicate, a prediction for each row, and fetch the results.

    REPLICATE_API_TOKEN=... python deploy/replicate/send.py MANIFEST --output DIR --model OWNER/NAME[:VERSION]

The manifest, `DIR/status.jsonl`, the sentences and the exit codes are those of `sam2-cog batch`. Started again, it asks
after the predictions that it had begun, and sends what is missing, changed or failed. Files of this machine, and at
addresses that only this machine knows, are uploaded; `https://` addresses are passed on. Replicate's limits as of
November 2026 (replicate.com/docs/topics/predictions/rate-limits): 600 predictions a minute, 3000 other calls.
"""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any

import requests

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.fleet.manifest import Job, read_manifest
from sam2_cog.fleet.status import Event, Status, left_to_do
from sam2_cog.fleet.storage import Results, fetch, without_query
from sam2_cog.held import HeldFolder
from sam2_cog.outputs import suffix_of
from sam2_cog.request import Request

PREDICTIONS_A_MINUTE, CALLS_A_MINUTE = 600, 3000
MOST_BYTES = 100 * 10**6  # of a file that is uploaded
SECONDS_BETWEEN_LOOKS = 2.0
TRIES = 6
GONE = "its result was not fetched within the hour that Replicate keeps it; send it again"
ENDED = ("succeeded", "failed", "canceled", "aborted")


class Refused(Exception):
    """Replicate takes this call no second time either; the message says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"Replicate answers {status}: {reason}")
        self.status = status


class Replicate:
    """Its HTTP API, as slowly as it wants to be called."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._session = address.rstrip("/"), requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._next = {"predictions": 0.0, "calls": 0.0}

    def create(self, version: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Begin a prediction."""
        self._wait("predictions", 60 / PREDICTIONS_A_MINUTE)
        return self._call("POST", "/v1/predictions", json={"version": version, "input": inputs})

    def look(self, prediction: str) -> dict[str, Any]:
        """What has become of a prediction so far."""
        return self._call("GET", f"/v1/predictions/{prediction}")

    def newest(self, model: str) -> str:
        """The newest version of OWNER/NAME."""
        version = self._call("GET", f"/v1/models/{model}").get("latest_version")
        if not version:
            raise Refused(200, f"{model} has no version yet")
        return str(version["id"])

    def upload(self, path: Path) -> str:
        """The address of a file of this machine, which stays there for a day or so."""
        if path.stat().st_size > MOST_BYTES:
            raise InvalidRequest(
                f"{path.name}: at most {MOST_BYTES // 10**6} MB can be uploaded; put it at an https:// address"
            )
        content = path.read_bytes()
        return str(self._call("POST", "/v1/files", files={"content": (path.name, content)})["urls"]["get"])

    def download(self, address: str, path: Path) -> None:
        """Fetch a result; the token goes to Replicate's own address alone."""
        get = self._session.get if address.startswith(self._address + "/") else requests.get
        with get(address, stream=True, timeout=60) as answer:
            answer.raise_for_status()
            with path.open("wb") as file:
                for part in answer.iter_content(1 << 20):
                    file.write(part)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """An answer; where there is none, the same call again after a while, as often as TRIES.

        Where too many calls were made, as often as that is said: with little credit it is a few predictions a minute.
        """
        attempt = 0
        while attempt < TRIES:
            self._wait("calls", 60 / CALLS_A_MINUTE)
            try:
                answer = self._session.request(method, self._address + path, timeout=60, **options)
            except requests.ConnectionError:
                attempt += 1
                if attempt == TRIES:
                    raise
                time.sleep(2 ** (attempt - 1))
                continue
            if answer.status_code == 429:
                time.sleep(seconds_to_wait(answer))
            elif answer.status_code >= 500:
                attempt += 1
                time.sleep(2 ** (attempt - 1))
            elif answer.ok:
                found: dict[str, Any] = answer.json()
                return found
            else:
                break
        raise Refused(answer.status_code, reason_of(answer))

    def _wait(self, kind: str, interval: float) -> None:
        now = time.monotonic()
        time.sleep(max(0.0, self._next[kind] - now))
        self._next[kind] = max(now, self._next[kind]) + interval


def seconds_to_wait(answer: requests.Response) -> float:
    """What a 429 says: in its header, or in words (`Your rate limit resets in ~30s.`)."""
    header = answer.headers.get("Retry-After", "")
    words = re.search(r"resets in ~?(\d+)\s*s", answer.text)
    said = header if header.isdigit() else words[1] if words else "10"
    return max(1.0, float(said))  # half a second is said as 0


def reason_of(answer: requests.Response) -> str:
    """The sentence in a refusal."""
    try:
        return str(answer.json().get("detail") or answer.json())[:300]
    except (ValueError, AttributeError):
        return answer.text[:300]


def inputs_of(job: Job, upload: Callable[[Path], str]) -> dict[str, Any]:
    """What the row says that is not the default; files as addresses."""
    given = {item.name: getattr(job.request, item.name) for item in fields(Request)}
    given = {item.name: given[item.name] for item in fields(Request) if given[item.name] != item.default}
    with HeldFolder() as folder:
        for name, source in job.sources.items():
            public = source.startswith(("https://", "http://"))
            given[name] = source if public else upload(fetch(name, source, folder / name))
    return given


class Sender:
    """Keeps up to `at_once` predictions going; each is written down when it begins and when it ends."""

    def __init__(self, api: Replicate, version: str, status: Status, results: Results, at_once: int) -> None:
        self._api, self._version, self._at_once = api, version, at_once
        self._status, self._results = status, results
        self._going: dict[str, Job] = {}
        self.ended: list[Event] = []

    def run(self, jobs: Sequence[Job]) -> None:
        """Until each has its result or its sentence."""
        waiting = list(reversed(jobs))
        while waiting or self._going:
            while waiting and len(self._going) < self._at_once:
                self._begin(waiting.pop())
            looked = time.monotonic()
            for prediction in list(self._going):
                self._look(prediction)
            if self._going:
                time.sleep(max(0.0, looked + SECONDS_BETWEEN_LOOKS - time.monotonic()))

    def _begin(self, job: Job) -> None:
        last = self._status.last(job.name)
        if last and last.status == "started" and last.digest == job.digest and last.output:
            self._going[last.output] = job
            return
        try:
            prediction = self._api.create(self._version, inputs_of(job, self._api.upload))["id"]
        except (InvalidRequest, UnreadableVideo, OSError, Refused) as error:
            if isinstance(error, requests.RequestException) or getattr(error, "status", 422) not in (400, 422):
                raise  # it is not this row's fault, and would be the same with the next one
            self._end(job, "failed", error=one_line(error))
            return
        self._status.add(Event(job.name, "started", job.digest, 1, output=prediction))
        self._going[prediction] = job

    def _look(self, prediction: str) -> None:
        job = self._going[prediction]
        try:
            found = self._api.look(prediction)
        except Refused as error:
            if error.status != 404:
                raise
            found = {"status": "failed", "error": GONE}
        if found["status"] not in ENDED:
            return
        del self._going[prediction]
        if found["status"] != "succeeded":
            self._end(job, "failed", error=one_line(found.get("error") or found["status"]))
        elif not found.get("output"):
            self._end(job, "failed", error=GONE)
        else:
            name, seconds = self._keep(job, found["output"]), (found.get("metrics") or {}).get("predict_time", 0.0)
            self._end(job, "done", output=name, seconds=seconds)

    def _keep(self, job: Job, address: str) -> str:
        """Fetch a result; the name of its file, which ends as the address does."""
        name = job.stem + (PurePosixPath(without_query(address)).suffix or suffix_of(job.request))
        part = self._results.path(f".{job.digest}.part")
        try:
            self._api.download(address, part)
            part.replace(self._results.path(name))
        finally:
            part.unlink(missing_ok=True)
        self._results.keep(name)
        return name

    def _end(self, job: Job, what: str, **facts: Any) -> None:
        event = Event(job.name, what, job.digest, 1, **facts)
        self._status.add(event)
        self._results.keep("status.jsonl", move=False)
        self.ended.append(event)
        print(f"{job.name}: {event.output or 'failed: ' + event.error}", flush=True)


def one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def main() -> int:
    """Send a manifest; returns the exit code: 0 all done, 1 some failed, 2 refused, 130 interrupted."""
    arguments = parser().parse_args()
    token = os.environ.get("REPLICATE_API_TOKEN", "")
    results = None
    try:
        if not token:
            raise InvalidRequest("the environment variable REPLICATE_API_TOKEN holds no token")
        jobs = read_manifest(arguments.manifest)
        api = Replicate(os.environ.get("REPLICATE_BASE_URL") or "https://api.replicate.com", token)
        model, _, version = arguments.model.partition(":")
        version = version or api.newest(model)
        results = Results(arguments.output)
        results.bring("status.jsonl")
        with Status(results.path("status.jsonl")) as status:
            todo = left_to_do(jobs, status, results)
            sender = Sender(api, version, status, results, arguments.at_once)
            sender.run(todo)
        failed = sum(event.status == "failed" for event in sender.ended)
        print(f"done {len(sender.ended) - failed}, failed {failed}, done before {len(jobs) - len(todo)}")
        return 1 if failed else 0
    except (InvalidRequest, UnreadableVideo, Refused) as error:
        print(f"send.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"send.py: {one_line(error)}; call it again to go on", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("send.py: interrupted; the predictions go on, call it again to fetch them", file=sys.stderr)
        return 130
    finally:
        if results is not None:
            results.close()


def parser() -> argparse.ArgumentParser:
    """The flags."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("manifest", metavar="MANIFEST", type=Path, help="a .csv, .jsonl or .parquet table")
    found.add_argument("--output", required=True, metavar="DIR", help="folder or address of the results")
    found.add_argument("--model", required=True, metavar="OWNER/NAME[:VERSION]", help="the newest version without one")
    found.add_argument("--at-once", type=int, default=8, metavar="N", help="predictions at a time (default: 8)")
    return found


if __name__ == "__main__":
    sys.exit(main())
