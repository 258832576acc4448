#!/usr/bin/env bash
# An environment of its own for nncodec (it pins an old numpy): make_nncodec_env.sh FOLDER, then
# MDL_NNCODEC_PYTHON=FOLDER/bin/python make bench. Compiles for three minutes.
set -euo pipefail
folder=${1:?folder of the environment to make}
python3.11 -m venv "$folder"
"$folder/bin/pip" install torch==2.13.0
"$folder/bin/pip" install pandas tqdm pybind11 scikit-learn ptflops timm h5py opencv-python-headless safetensors 'numpy<2'
"$folder/bin/pip" install --no-deps nncodec==2.1.3
"$folder/bin/python" -c 'import nncodec.nn'
