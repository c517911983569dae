#!/bin/sh
# Delete from the environment of an image, /opt/venv, what the runtime never imports. Used by the Dockerfile.
set -eu
cd /opt/venv/lib/python3.*/site-packages
find . -type d \( -name tests -o -name include -o -name sample_data \) -prune -exec rm -r {} +
find . -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
# Debug symbols of extension modules. Libraries that wheels bring in *.libs were patched, and are not touched.
find . -type f \( -name '*.cpython-*.so' -o -name '*.abi3.so' \) -exec strip --strip-unneeded {} +
rm -rf numpy/distutils numpy/f2py onnxruntime/transformers onnxruntime/tools onnxruntime/quantization
rm -f onnxruntime/capi/libonnxruntime.so* # for programs in C; Python has its own
# Figures are PNG: what Matplotlib needs for PDF and PostScript only.
find fontTools -mindepth 1 -maxdepth 1 -type d -not -name misc -not -name __pycache__ -exec rm -r {} +
rm -rf matplotlib/mpl-data/fonts/afm matplotlib/mpl-data/fonts/pdfcorefonts
# Of the languages that Pygments colours, the one that tracebacks are in.
find pygments/lexers -type f -not -name '__init__.*' -not -name '_mapping.*' -not -name 'python.*' -delete
# Of the services of AWS, object storage and log-in.
find botocore/data -mindepth 1 -maxdepth 1 -type d \
    -not -name s3 -not -name sts -not -name 'sso*' -not -name signin -exec rm -r {} +
# OpenVINO: other devices than CPUs, other formats than ONNX and its own.
if [ -d openvino ]; then
    rm -rf openvino/frontend/*/ openvino/tools openvino/torch
    find openvino/libs -type f \
        \( -name cache.json -o -name '*_intel_[gn]pu_plugin.so' -o -name '*_[gjpt]*_frontend.so.*' \) -delete
fi
