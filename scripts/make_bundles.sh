#!/usr/bin/env bash
# Make the shipped bundles in `runtime/bundles/NAME` from committed recipes: train each on the first days of April 2015,
# evaluate it on the days after, then train it on all days, and export with the figures of the evaluation.
#
#     SEAMLESS_SM_DATA=FOLDER scripts/make_bundles.sh NAME...      (default: all recipes of training/recipes)
#
# FOLDER holds lprm_april2015_x/, lprm_january2019_c1/ and, for the stations, ismn/. The variables RUNS, BUNDLES and PYTHON
# replace the folder of the runs, that of the bundles, and the interpreter. If the script is killed, start it again: training
# continues from its last save.
#
# seamless-2-soil starts from the weights of seamless-2: name seamless-2 before it, or have its runs in RUNS.
# seamless-2 is judged four times: trained on 1-12 April for 13-16 April (and its sigma), on 1-16 April for 17-20 April,
# on 1-20 April for January, and on January for April.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${SEAMLESS_SM_DATA:?set it to the folder that holds lprm_april2015_x}
runs=${RUNS:-runs}
bundles=${BUNDLES:-runtime/bundles}
python=${PYTHON:-python3}
names=("$@")
((${#names[@]})) || names=(seamless-2 seamless-2-soil sgdsm1-amsr2-x sgdsm2-amsr2-x)
april=lprm_april2015_x
january=lprm_january2019_c1
provisional=2015-04-17:2015-04-20
consolidated=2015-04-13:2015-04-16

train() { # NAME RUN OPTION...
    local name=$1 run=$2
    shift 2
    "$python" -m training fit --config "$name" --data-root "$data" --out "$runs/$name/$run" --records "$runs/records" \
        --workers 1 "$@"
}
fit() { # NAME RUN OPTION...
    local name=$1 run=$2
    shift 2
    case $name in
    seamless-2) # twice: a shorter second pass with smaller steps, without simulated values, starts from the first one's weights
        train "$name" "$run-first" "$@"
        train "$name" "$run" --start "$runs/$name/$run-first/last.safetensors" "$@" \
            --set samples.simulated_first=0 --set samples.simulated=0 --set schedule.steps=1200 \
            --set schedule.learning_rate=5e-4 --set schedule.average=0.995 --set schedule.seed=1 ;;
    *-soil) train "$name" "$run" --start "$runs/${name%-soil}/$run/last.safetensors" "$@" ;;
    *) train "$name" "$run" "$@" ;;
    esac
}
judged() { # NAME RUN OPTION...: export a run as a bundle NAME, to be evaluated
    local name=$1 run=$2
    shift 2
    "$python" -m export onnx --checkpoint "$runs/$name/$run/last.safetensors" --out "$runs/$run/$name" --overwrite "$@"
}

evaluated=()
for name in "${names[@]}"; do
    without_january=()
    [[ $name == seamless-2* ]] && without_january=(--set data.1.weight=0)
    fit "$name" to-12-april --set 'data.0.targets=["2015-04-01","2015-04-12"]' "${without_january[@]}"
    judged "$name" to-12-april
    evaluated+=(--bundle "$runs/to-12-april/$name")
done
"$python" -m training evaluate "${evaluated[@]}" --data "$data/$april" --consolidated $consolidated \
    --provisional $provisional --series 2015-04-01:2015-04-20 --ismn "$data/ismn" --out "$runs/report"
for name in "${names[@]}"; do
    accepted=()
    if [[ $name == seamless-2 ]]; then
        fit $name to-16-april --set 'data.0.targets=["2015-04-01","2015-04-16"]' --set data.1.weight=0
        fit $name april --set 'data.0.targets=["2015-04-01","2015-04-20"]' --set data.1.weight=0
        fit $name january --set data.0.weight=0
        # with sigma as fitted above; the report of January says how it holds there, and fits it to January too
        for run in to-16-april april january; do judged $name $run --report "$runs/report/report.json"; done
        "$python" -m training evaluate --bundle "$runs/to-16-april/$name" --data "$data/$april" \
            --provisional $provisional --no-dct-pls --out "$runs/report-to-16-april"
        "$python" -m training evaluate --suite --bundle "$runs/april/$name" --data "$data/$january" --band c1 \
            --no-dct-pls --out "$runs/report-january"
        "$python" -m training evaluate --suite --bundle "$runs/january/$name" --data "$data/$april" --no-dct-pls \
            --out "$runs/report-from-january"
    fi
    reports=(--report "$runs/report/report.json")
    if [[ $name == seamless-2 ]]; then
        fit "$name" shipped
        accepted=(--any-product)
        reports+=(--report "$runs/report-january/report.json")
    elif [[ $name == *-soil ]]; then
        fit "$name" shipped
        accepted=(--product lprm-amsr2 --product lprm-amsre --product lprm-windsat --band x --band c1 --band c2 --band c)
    else
        fit "$name" shipped --set 'data.0.targets=["2015-04-01","2015-04-20"]'
    fi
    "$python" -m export onnx --checkpoint "$runs/$name/shipped/last.safetensors" --out "$bundles/$name" --overwrite \
        "${reports[@]}" "${accepted[@]}"
    [[ $name == seamless-2 ]] && "$python" -m export judged --bundle "$bundles/$name" --report "$runs/report-january/report.json" \
        --note "decoded from pictures" --out "$bundles/$name" --overwrite
    for precision in bf16 fp16; do
        [[ $name == sgdsm2-* && $precision == bf16 ]] && continue  # a memory must not be rounded
        [[ $name == *-soil && $precision == fp16 ]] && continue    # all bundles together stay below 36 MB
        "$python" -m export precision --bundle "$bundles/$name" --precision "$precision" --data "$data/$april" \
            --consolidated $consolidated --provisional $provisional --out "$bundles/$name" --overwrite ||
            echo "$name is not offered in $precision"
    done
done
