#!/bin/sh
# Makes an environment with nncodec for the benchmarks: sh make_nncodec_env.sh FOLDER
# Then: MDL_NNCODEC_PYTHON=FOLDER/bin/python make bench. Compiling takes about three minutes.
set -eu
folder=${1:?usage: sh make_nncodec_env.sh FOLDER}
"${PYTHON:-python3.11}" -m venv "$folder"
pip="$folder/bin/python -m pip install --quiet --disable-pip-version-check"
# Its own requirements would bring a CUDA build of torch; what importing nncodec.nn needs is given here instead.
$pip torch==2.13.0 'numpy<2' setuptools wheel pybind11 \
    pandas tqdm scikit-learn h5py 'opencv-python-headless<4.12' safetensors
$pip --no-deps --no-build-isolation nncodec==2.1.3
