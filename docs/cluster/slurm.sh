#!/bin/bash
# Runs one Poise command on a Ray cluster inside a SLURM allocation:
#
#   sbatch docs/cluster/slurm.sh sweep search_spaces/dino_collapse.yaml data.dataset=/shared/cifar10 \
#       evaluation.queries=/shared/cifar10-test
#
# Before the first start, fill in the values marked CHANGE.
#
#SBATCH --job-name=poise
# CHANGE: whole nodes, the GPUs of each, and the time. Add your partition or account if SLURM asks for them.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
# Two minutes before the end, SLURM signals this script alone (B:), which tells Poise. Poise then
# writes a checkpoint. Without B:, SLURM would also end the processes of Ray, which Poise needs for it.
#SBATCH --signal=B:TERM@120
set -euo pipefail

# The folder of this checkout, whose .venv every node must see. sbatch starts scripts from a copy.
cd "${SLURM_SUBMIT_DIR:?start this script with sbatch}"
export PATH="$PWD/.venv/bin:$PATH"

# CHANGE: the MLflow server (docs/cluster/mlflow.md). Without one, all nodes would write to one SQLite file.
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-http://10.0.0.5:5000}"

# Storage that every node reaches, for runs and checkpoints.
export POISE_HOME="${POISE_HOME:-$PWD/runs}"

# Seconds that Poise has for the checkpoint, less than the 120 above.
export POISE_LEAVE_WITHIN_S=110

# A token for this allocation alone. A file, because other users can see the environment of a command.
umask 077
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="$HOME/.ray/auth_token-$SLURM_JOB_ID"
mkdir -p "$HOME/.ray"
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH"

# Poise runs on the node of this script, the first one, and keeps the number of its process here.
export POISE_PID_FILE="$HOME/.ray/poise-$SLURM_JOB_ID.pid"
trap 'rm -f "$RAY_AUTH_TOKEN_PATH" "$POISE_PID_FILE"' EXIT

# The first node is the head. A port that depends on the allocation, so that two do not meet.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
address=$(getent ahostsv4 "$head" | awk 'NR == 1 { print $1 }'):$port

# In the background, because bash handles signals only while it waits with `wait`.
srun ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --dashboard-host=127.0.0.1 -- \
    env RAY_ADDRESS="$address" sh -c 'echo $$ > "$POISE_PID_FILE"; exec poise "$@"' poise "$@" &
step=$!
trap 'kill -TERM "$(cat "$POISE_PID_FILE")" || kill -TERM "$step"' TERM

# A signal ends `wait`, but not the step.
status=0
wait "$step" || status=$?
while kill -0 "$step" 2> /dev/null; do
    status=0
    wait "$step" || status=$?
done
exit "$status"
