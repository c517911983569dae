#!/usr/bin/env bash
# Make one shipped bundle from a committed recipe, from data to `runtime/bundles/NAME`:
# train on 1-12 April 2015 and judge on 13-20, then train on all twenty days, and export with what the judging found.
#
#     SEAMLESS_SM_DATA=FOLDER scripts/make_bundle.sh seamless-amsr2-x [RUNS [BUNDLES]]
#
# FOLDER holds lprm_april2015_x/. A killed run goes on where it was.
set -euo pipefail
name=${1:?a recipe of training/recipes}
runs=${2:-runs}
bundles=${3:-runtime/bundles}
data=${SEAMLESS_SM_DATA:?the folder that holds lprm_april2015_x}
python=${PYTHON:-python3}

"$python" -m training fit --config "$name" --out "$runs/$name/judged" --records "$runs/records"
"$python" -m export onnx --checkpoint "$runs/$name/judged/last.safetensors" --out "$runs/$name/bundle/$name" --overwrite
"$python" -m training evaluate --bundle "$runs/$name/bundle/$name" --data "$data/lprm_april2015_x" \
    --consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --no-dct-pls --out "$runs/$name/report"
"$python" -m training fit --config "$name" --set 'data.0.targets=["2015-04-01","2015-04-20"]' \
    --out "$runs/$name/shipped" --records "$runs/records"
"$python" -m export onnx --checkpoint "$runs/$name/shipped/last.safetensors" --report "$runs/$name/report/report.json" \
    --out "$bundles/$name" --overwrite
