#!/usr/bin/env bash
# toolkit.sh FOLDER: puts the CUDA toolkit that the tests are tried with into FOLDER, laid out as NVIDIA's installer does,
# from the packages that NVIDIA publishes for pip, pinned by version and SHA-256. Does nothing if it is there. About 1 GB, a
# minute; x86_64 Linux.
# Exits with 1, and leaves no FOLDER, where pip is missing or the packages cannot be fetched.
set -euo pipefail
folder=$1
# nvcc with its parts, the runtime, and the libraries whose headers cuda/ includes. Their own requirements are not
# pinned, so they are listed too.
packages() {
    cat <<'TEXT'
nvidia-cuda-nvcc==13.0.88 --hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-nvvm==13.0.88 --hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cccl==13.0.85 --hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
nvidia-cublas==13.1.0.3 --hash=sha256:ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
nvidia-cusolver==12.0.4.66 --hash=sha256:0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112
nvidia-cusparse==12.6.3.3 --hash=sha256:2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b
nvidia-nvjitlink==13.0.88 --hash=sha256:13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b
nvidia-nccl-cu13==2.28.9 --hash=sha256:e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
TEXT
}

[ ! -x "$folder/bin/nvcc" ] || exit 0
mkdir -p "$(dirname "$folder")"
parts=$folder.parts
trap 'rm -rf "$parts"' EXIT
fail() { echo "toolkit: $1" >&2; exit 1; }

[ "$(uname -sm)" = "Linux x86_64" ] || fail "packages are for x86_64 Linux, this is $(uname -sm)"
if command -v pip3 >/dev/null; then
    pip=(pip3)
elif python3 -m venv "$parts/venv" >/dev/null 2>&1; then
    pip=("$parts/venv/bin/pip")
else
    fail "neither pip3 nor python3 with venv is installed (Debian: python3-venv)"
fi
mkdir -p "$parts"
packages >"$parts/requirements"
"${pip[@]}" install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-cache-dir --require-hashes \
    --target "$parts/packages" --requirement "$parts/requirements" || fail "pip could not fetch the packages"

# The wheels have no lib64, libraries only as libX.so.N, and NCCL in a folder of its own.
mkdir -p "$parts/toolkit"
cp -rl "$parts/packages/nvidia/cu13/." "$parts/toolkit"
cp -rl "$parts/packages/nvidia/nccl/." "$parts/toolkit"
for library in "$parts/toolkit/lib"/*.so.*; do
    plain=${library%%.so.*}.so
    [ -e "$plain" ] || ln -s "$(basename "$library")" "$plain"
done
ln -s lib "$parts/toolkit/lib64"
"$parts/toolkit/bin/nvcc" --version | grep -q 'V13\.0\.88' || fail "nvcc does not start"
rm -rf "$folder"
mv "$parts/toolkit" "$folder"
