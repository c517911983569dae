#!/usr/bin/env bash
# Make the shipped bundles in `runtime/bundles/NAME` from committed recipes: train each on 1-12 April 2015, evaluate them
# together on 13-20 April, then train each on all twenty days, and export with the figures of the evaluation.
#
#     SEAMLESS_SM_DATA=FOLDER scripts/make_bundles.sh NAME...      (default: all recipes of training/recipes)
#
# FOLDER holds lprm_april2015_x/ and, for the stations, ismn/. The variables RUNS, BUNDLES and PYTHON replace the folder of
# the runs, that of the bundles, and the interpreter. If the script is killed, start it again: training continues from its
# last save. At the end the evaluated default bundle is evaluated again with its sigma scaled.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${SEAMLESS_SM_DATA:?set it to the folder that holds lprm_april2015_x}
runs=${RUNS:-runs}
bundles=${BUNDLES:-runtime/bundles}
python=${PYTHON:-python3}
names=("$@")
((${#names[@]})) || names=(seamless-amsr2-x sgdsm1-amsr2-x sgdsm2-amsr2-x)

evaluated=()
for name in "${names[@]}"; do
    "$python" -m training fit --config "$name" --out "$runs/$name/judged" --records "$runs/records"
    "$python" -m export onnx --checkpoint "$runs/$name/judged/last.safetensors" --out "$runs/judged/$name" --overwrite
    evaluated+=(--bundle "$runs/judged/$name")
done
"$python" -m training evaluate "${evaluated[@]}" --data "$data/lprm_april2015_x" \
    --consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 \
    --series 2015-04-01:2015-04-20 --ismn "$data/ismn" --out "$runs/report"
for name in "${names[@]}"; do
    "$python" -m training fit --config "$name" --set 'data.0.targets=["2015-04-01","2015-04-20"]' \
        --out "$runs/$name/shipped" --records "$runs/records"
    "$python" -m export onnx --checkpoint "$runs/$name/shipped/last.safetensors" --report "$runs/report/report.json" \
        --out "$bundles/$name" --overwrite
    for precision in bf16 fp16; do
        [[ $name == sgdsm2-* && $precision == bf16 ]] && continue  # a memory must not be rounded
        "$python" -m export precision --bundle "$bundles/$name" --precision "$precision" --data "$data/lprm_april2015_x" \
            --consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --out "$bundles/$name" --overwrite
    done
done
for name in "${names[@]}"; do
    [[ $name == seamless-* ]] || continue
    "$python" -m export onnx --checkpoint "$runs/$name/judged/last.safetensors" --report "$runs/report/report.json" \
        --out "$runs/scaled/$name" --overwrite
    "$python" -m training evaluate --bundle "$runs/scaled/$name" --data "$data/lprm_april2015_x" \
        --consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --no-dct-pls --out "$runs/scaled/report"
done
