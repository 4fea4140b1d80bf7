"""What `kubectl apply -k deploy/kubernetes/...` would send is what Kubernetes takes, and calls what there is.

The schema of RayJob is KubeRay's own and too large to lie here (1.4 MB): of it the names of the fields are held to the
list below, and the pods in it to the schema of pods.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sam2_cog import limits
from sam2_cog.__main__ import REFUSED, _parser
from sam2_cog.fleet.command import SOME_FAILED

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy/kubernetes"
OLDEST = "1.33"  # where backoffLimitPerIndex is stable
RAY_JOB = {
    "entrypoint",
    "backoffLimit",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "rayClusterSpec",
}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}

Document = dict[str, Any]


def built(way: str) -> dict[str, Document]:
    """The documents of a way by their kind."""
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is missing: make installs it with the other tools of the tests")
    done = subprocess.run([kubectl, "kustomize", str(FOLDER / way)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


def validate(document: Document) -> None:
    """Against the schemas of the oldest Kubernetes that will do, and of the newest that is known."""
    schemas = pytest.importorskip("kubernetes_validate")
    for version in (OLDEST, schemas.latest_version()):
        schemas.validate(document, version, strict=True)


def values(documents: dict[str, Document]) -> dict[str, str]:
    found: dict[str, str] = documents["ConfigMap"]["data"]
    return found


def parsed(command: list[str]) -> Any:
    """The arguments of our command line as it would read them."""
    assert command[:3] == ["python", "-m", "sam2_cog"]
    return _parser().parse_args(command[3:])


def test_the_job_is_one_that_kubernetes_takes() -> None:
    for document in built("shards").values():
        validate(document)


def test_each_pod_of_the_job_carries_out_its_part() -> None:
    documents = built("shards")
    job, given = documents["Job"]["spec"], values(documents)
    (worker,) = job["template"]["spec"]["containers"]
    known = given | {"JOB_COMPLETION_INDEX": "0"}
    command = [re.sub(r"\$\((\w+)\)", lambda name: known[name[1]], word) for word in worker["command"] + worker["args"]]
    arguments = parsed(command)
    assert arguments.shard == (0, job["completions"]) and job["completions"] >= job["parallelism"] > 1
    assert (str(arguments.manifest), arguments.output) == (given["MANIFEST"], given["OUTPUT"])
    assert arguments.checkpoint and worker["image"].startswith("registry.example.com/sam2-cog:")


@pytest.mark.parametrize("way", ["shards", "ray"])
def test_no_bound_of_the_image_that_is_meant_for_its_server_holds_for_a_fleet(way: str) -> None:
    """`environment` of cog.yaml is in the image: with its hour for a request a long clip would fail each time."""
    image = dict(line.split("=") for line in yaml.safe_load((ROOT / "cog.yaml").read_text())["environment"])
    bounds = {limit.variable: limit for limit in vars(limits).values() if isinstance(limit, limits.Limit)}
    given = values(built(way))
    for name in image.keys() & bounds.keys():
        assert int(given[name]) == bounds[name].default, name


def test_a_machine_that_goes_is_no_failure_and_a_failure_of_clips_is_tried_no_second_time() -> None:
    lost, final = built("shards")["Job"]["spec"]["podFailurePolicy"]["rules"]
    assert lost == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert final["action"] == "FailIndex" and set(final["onExitCodes"]["values"]) == {SOME_FAILED, REFUSED}
    assert built("ray")["RayJob"]["spec"]["backoffLimit"] == 0


def test_the_ray_job_has_fields_that_there_are_and_pods_that_kubernetes_takes() -> None:
    documents = built("ray")
    validate(documents["ConfigMap"])
    job = documents["RayJob"]["spec"]
    cluster = job["rayClusterSpec"]
    assert set(job) <= RAY_JOB and set(cluster) == {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
    (group,) = cluster["workerGroupSpecs"]
    assert set(group) == GROUP and set(cluster["headGroupSpec"]) <= GROUP
    for template in (cluster["headGroupSpec"]["template"], group["template"]):
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **template})
        (container,) = template["spec"]["containers"]
        assert container["image"].startswith("registry.example.com/sam2-cog-ray:")


def test_the_ray_job_calls_batch_with_as_many_workers_as_pods() -> None:
    documents = built("ray")
    job, given = documents["RayJob"]["spec"], values(documents)
    arguments = parsed(job["entrypoint"].split())
    assert (str(arguments.manifest), arguments.output) == (given["MANIFEST"], given["OUTPUT"])
    (group,) = job["rayClusterSpec"]["workerGroupSpecs"]
    assert arguments.ray == "" and arguments.workers == group["replicas"] == group["maxReplicas"]
    assert arguments.checkpoint, "a long clip goes on where it was when its machine went"
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1, "a worker takes one"


def test_all_is_said_once_in_the_values() -> None:
    """What is copied from there is a name in capitals, or 1, where it is copied to."""
    text = (FOLDER / "ray/rayjob.yaml").read_text() + (FOLDER / "shards/job.yaml").read_text()
    assert text.count("claimName: CLAIM") == 2 and "MANIFEST --output OUTPUT --ray --workers GPUS" in text
    assert not re.search(r"registry\.|/data/\w", text)


def test_one_version_of_ray_is_meant_everywhere() -> None:
    (extra,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["ray"]
    version = extra.removeprefix("ray==")
    assert (ROOT / "tests/integrations/ray.txt").read_text().strip() == extra
    assert f"ray[default]=={version}" in (FOLDER / "ray/Dockerfile").read_text()
    assert f'rayVersion: "{version}"' in (FOLDER / "ray/rayjob.yaml").read_text()
