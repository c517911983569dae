#!/usr/bin/env bash
# Make the shipped retrieval `runtime/bundles/fusion-made-up`: trained on a made-up world, to show how the commands work.
#
#     scripts/make_fusion_bundle.sh
#
# The variables RUNS, BUNDLES and PYTHON replace the folder of the runs, that of the bundles, and the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-runs}/fusion-made-up
bundles=${BUNDLES:-runtime/bundles}
python=${PYTHON:-python3}
[[ -e $runs/examples ]] || "$python" -m training examples --sensors 100 --times 4 --out "$runs/examples"
"$python" -m training fusion --preset all --examples "$runs/examples" --packed "$runs/packed" --out "$runs/run" \
    --set schedule.steps=160 --set schedule.batch=12 --set schedule.learning_rate=3e-3 --set schedule.average=0.95 \
    --source "400 made-up examples of 100 made-up sensors: python -m training examples --sensors 100 --times 4" \
    --set "limits=It was trained on the made-up world of \`runtime demo --fusion\` and on nothing else: it shows how the commands work, and says nothing about any real place."
"$python" -m export retrieval --checkpoint "$runs/run/last.safetensors" --out "$runs/fusion-made-up" --overwrite
"$python" -m training evaluate-fusion --bundle "$runs/fusion-made-up" --examples "$runs/examples" --out "$runs/report"
"$python" -m export retrieval --checkpoint "$runs/run/last.safetensors" --report "$runs/report/report.md" \
    --out "$bundles/fusion-made-up" --overwrite
