#!/usr/bin/env bash
# Usage: test_wheel.sh PYTHON. Builds the wheel, installs it in an environment of its own, and runs the main job in
# another folder. The libraries are those of PYTHON, to save some gigabytes; sam2_cog comes from the wheel alone.
set -euo pipefail
python=$(command -v "$1")
case $python in /*) ;; *) python=$PWD/$python ;; esac
cd "$(dirname "$0")/.."
project=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/source" "$folder/elsewhere" "$folder/home"

git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$folder/source"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" "$folder/source"
"$python" - "$folder"/*.whl <<'CHECK'
import subprocess, sys, zipfile
inside = set(zipfile.ZipFile(sys.argv[1]).namelist())
listed = subprocess.run(["git", "ls-files", "sam2_cog"], check=True, capture_output=True, text=True).stdout.split("\n")
missing = sorted({*filter(None, listed), "sam2_cog/weights/demo.pt"} - inside)
sys.exit(f"not in the wheel: {', '.join(missing)}" if missing else 0)
CHECK

"$python" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$folder"/*.whl
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    > "$("$folder/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/libraries.pth"

cd "$folder/elsewhere"
run() { env -i HOME="$folder/home" PATH="$folder/env/bin:$PATH" OMP_NUM_THREADS=1 "$@"; }
run python -c "import sam2_cog; assert sam2_cog.__file__.startswith('$folder/env/'), sam2_cog.__file__"
run sam2-cog segment "$project/samples/two_birds.mp4" --model demo --click-coordinates "[80,222],[556,96]" --output birds.mp4
test "$(ffprobe -v error -select_streams v -show_entries stream=nb_frames -of csv=p=0 birds.mp4)" = 120
missing=$(run sam2-cog weights verify tiny 2>&1 || true)
case $missing in
    *"$folder/home/.cache/sam2-cog/sam2.1_hiera_tiny.pt does not exist"*) ;;
    *) echo "official checkpoints do not belong into the user's cache: $missing"; exit 1 ;;
esac
echo "The wheel does the main job on its own, $(du -h "$folder"/*.whl | cut -f1) with the demo checkpoint"
