#!/usr/bin/env bash
# One slice of training on Sudoku-Extreme on a GPU; run it again and it goes on where it stopped.
#   GRAM_DATA=data MINUTES=12 bash experiments/extreme_gpu.sh
set -eu
cd "$(dirname "$0")/.."
puzzles=runs/neighbours.csv folder=runs/extreme_gpu
test -e "$puzzles" || python experiments/hard_puzzles.py of=sudoku_extreme/train_1k.csv count=20000 guesses=3 swapped=3 out="$puzzles"
run() { timeout --signal=INT "$((60 * ${MINUTES:-12}))" python experiments/svi_sudoku.py "$@" || test $? -eq 124; }
if test -e "$folder/GRAM.safetensors"; then run resume="$folder"; else run rung=extreme_gpu run_dir="$folder"; fi
